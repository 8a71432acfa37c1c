package pixel

import (
	"encoding/binary"
	"fmt"
	"math/bits"
)

// version is the first byte of a stream. Those of version 1 have no edges.
const version = 2

// Flags, the second byte of a stream.
const (
	flagBytes     = 1 << 0 // samples of 8 bits
	flagBigEndian = 1 << 1 // 16-bit samples have their high byte first
	flagSigned    = 1 << 2 // the top bit of 16-bit samples is flipped
	flagColour    = 1 << 3 // 8-bit pixels of three samples: the first and third as their difference from the second
	flagStep3     = 1 << 4 // three samples per pixel
	leadShift     = 5      // two bits: bytes before the first sample
	flagPalette   = 1 << 7 // samples are numbers of a palette; not with flagColour
)

// format is a stream's head.
type format struct {
	flags byte
	lead  int // bytes before the first sample
	grid  grid
	start uint16 // stands for the samples before the first
}

func (f *format) has(flag byte) bool { return f.flags&flag != 0 }

// sampleBytes is the length of a sample.
func (f *format) sampleBytes() int {
	if f.has(flagBytes) {
		return 1
	}
	return 2
}

// unit is the length of what may not be cut: a sample, or a pixel whose colours are taken together.
func (f *format) unit() int {
	if f.has(flagColour) {
		return 3
	}
	return f.sampleBytes()
}

// samples is the number of samples in a stream of size bytes.
func (f *format) samples(size int) int {
	return (size - f.lead) / f.unit() * f.unit() / f.sampleBytes()
}

// formatOf chooses the format for src, or says that there is none.
func formatOf(src []byte, l Layout) (*format, bool) {
	if l.Bits != 8 && l.Bits != 16 || l.Columns <= 0 || l.Samples != 1 && l.Samples != 3 || l.Phase < 0 {
		return nil, false
	}
	f := &format{grid: grid{step: 1}}
	bytes := l.Bits / 8
	phase := int(l.Phase % int64(bytes*l.Samples))
	f.grid.row = l.Columns
	if l.Samples == 3 && !l.Planar {
		f.flags |= flagStep3
		f.grid.row, f.grid.step = 3*l.Columns, 3
	}
	switch {
	case bytes == 1 && f.grid.step == 3:
		f.flags |= flagBytes | flagColour
		f.lead = (3 - phase%3) % 3
	case bytes == 1:
		f.flags |= flagBytes
	default:
		f.lead = phase & 1
		if l.BigEndian {
			f.flags |= flagBigEndian
		}
	}
	f.grid.row *= (minRow + f.grid.row - 1) / f.grid.row
	f.grid.first = noEdges
	if f.grid.step == 1 {
		at := int((l.Phase + int64(f.lead)) / int64(bytes) % int64(l.Columns)) // of the first sample in its row
		f.grid.first = (l.Columns - at) % l.Columns
	}
	n := f.samples(len(src))
	if len(src) <= f.lead || n < 64 || f.grid.row > n {
		return nil, false
	}
	f.flags |= byte(f.lead) << leadShift
	if !f.has(flagBytes) && f.flipHelps(src[f.lead:], n) {
		f.flags |= flagSigned
	}
	return f, true
}

// flipHelps looks at some samples and says whether neighbours are closer to each other when read as signed.
func (f *format) flipHelps(src []byte, n int) bool {
	var some [1024][2]uint16
	count := min(n/8, len(some))
	for k := range count { // apart from what is done with them, so that the processor waits for many at once
		i := 2 * (f.grid.step + pick(n-f.grid.step, count, k))
		j := i - 2*f.grid.step
		some[k] = [2]uint16{uint16(src[i]) | uint16(src[i+1])<<8, uint16(src[j]) | uint16(src[j+1])<<8}
	}
	plain, flipped := 0, 0
	for _, pair := range some[:count] {
		a, b := pair[0], pair[1]
		if f.has(flagBigEndian) {
			a, b = bits.ReverseBytes16(a), bits.ReverseBytes16(b)
		}
		plain += abs(int(a) - int(b))
		flipped += abs(int(a^0x8000) - int(b^0x8000))
	}
	return flipped < plain
}

// append writes the head of the stream for src.
func (f *format) append(dst, src []byte) []byte {
	dst = append(dst, version, f.flags)
	dst = binary.AppendUvarint(dst, uint64(f.grid.row))
	if f.grid.first != noEdges {
		dst = binary.AppendUvarint(dst, uint64(f.grid.first))
	}
	dst = append(dst, byte(f.start), byte(f.start>>8))
	dst = append(dst, src[:f.lead]...)
	return append(dst, src[f.lead+f.samples(len(src))*f.sampleBytes():]...)
}

// parseFormat reads the head of a stream of size bytes. edges are the bytes before the first sample and after the last.
func parseFormat(src []byte, size int) (f *format, body, edges []byte, err error) {
	if len(src) > 0 && src[0] > version {
		return nil, nil, nil, fmt.Errorf("version %d: %w", src[0], ErrUnsupported)
	}
	if len(src) < 2 || src[0] < 1 {
		return nil, nil, nil, fmt.Errorf("no head: %w", ErrCorrupt)
	}
	f = &format{flags: src[1], lead: int(src[1] >> leadShift & 3), grid: grid{step: 1, first: noEdges}}
	if f.has(flagStep3) {
		f.grid.step = 3
	}
	row, k := binary.Uvarint(src[2:])
	bad := f.has(flagPalette) && f.has(flagColour) || f.has(flagBytes) && f.has(flagBigEndian|flagSigned) ||
		f.has(flagColour) && !(f.has(flagBytes) && f.has(flagStep3)) || f.lead >= f.unit() || size < f.lead
	if bad || k <= 0 || row < minRow || row > uint64(max(0, f.samples(size))) {
		return nil, nil, nil, fmt.Errorf("head does not fit: %w", ErrCorrupt)
	}
	f.grid.row = int(row)
	body = src[2+k:]
	if src[0] > 1 && f.grid.step == 1 {
		first, k := binary.Uvarint(body)
		if k <= 0 || first >= row {
			return nil, nil, nil, fmt.Errorf("first row: %w", ErrCorrupt)
		}
		f.grid.first = int(first)
		body = body[k:]
	}
	n := size - f.samples(size)*f.sampleBytes()
	if len(body) < 2+n {
		return nil, nil, nil, fmt.Errorf("head is cut short: %w", ErrCorrupt)
	}
	f.start = binary.LittleEndian.Uint16(body)
	return f, body[2+n:], body[2 : 2+n], nil
}

// appendHead writes what a block's reader must know: taps, classes, sets and weights.
func (b *block) appendHead(dst []byte) []byte {
	dst = append(dst, byte(b.ntaps), byte(b.nclasses-1|(b.nsets-1)<<4))
	dst = append(dst, b.first[1:b.nclasses]...)
	if b.nsets > 1 {
		dst = append(dst, b.setOf[:b.nclasses]...)
	}
	for s := range b.nsets {
		for _, w := range b.sets[s][:b.ntaps] {
			dst = append(dst, byte(w), byte(w>>8))
		}
	}
	return dst
}

// readHead is the inverse of appendHead; stored means that the samples follow as they are.
func (b *block) readHead(src []byte) (rest []byte, stored bool, err error) {
	if len(src) > 0 && src[0] == 0 {
		return src[1:], true, nil
	}
	if len(src) < 2 || int(src[0]) > maxTaps || src[1]&0x80 != 0 {
		return nil, false, fmt.Errorf("block head: %w", ErrCorrupt)
	}
	b.ntaps, b.nclasses, b.nsets = int(src[0]), int(src[1]&15)+1, int(src[1]>>4)+1
	src = src[2:]
	n := b.nclasses - 1
	if b.nsets > 1 {
		n += b.nclasses
	}
	if len(src) < n+2*b.nsets*b.ntaps {
		return nil, false, fmt.Errorf("block head is cut short: %w", ErrCorrupt)
	}
	copy(b.first[1:], src[:b.nclasses-1])
	for c := 1; c < b.nclasses; c++ {
		if b.first[c] <= b.first[c-1] || b.first[c] >= maxBand {
			return nil, false, fmt.Errorf("block's bands: %w", ErrCorrupt)
		}
	}
	b.setClasses()
	b.setOf = [maxClasses]uint8{}
	if b.nsets > 1 {
		for c, s := range src[b.nclasses-1 : n] {
			if int(s) >= b.nsets {
				return nil, false, fmt.Errorf("block's sets: %w", ErrCorrupt)
			}
			b.setOf[c] = s
		}
	}
	src = src[n:]
	for s := range b.nsets {
		b.sets[s] = weights{}
		for t := range b.ntaps {
			b.sets[s][t] = int32(int16(binary.LittleEndian.Uint16(src)))
			src = src[2:]
		}
		if !b.sets[s].valid() {
			return nil, false, fmt.Errorf("block's weights: %w", ErrCorrupt)
		}
	}
	b.widen()
	return src, false, nil
}

// stored makes the tokens of k samples those of a stored block.
func (b *block) stored(k int) {
	tokens := b.tokens[b.tokenAt:][:k]
	for i := range tokens {
		tokens[i] = storedToken
	}
}

package pixel

import (
	"encoding/binary"
	"fmt"
	"math/bits"
)

// A palette numbers the values that samples really have, in order, where many between them are never used: images that were
// multiplied by a slope, masks. Samples are then predicted as numbers.
type palette struct {
	used   [1 << 10]uint64 // a bit for each value
	table  [1 << 16]uint16 // number of a value; value of a number when decoding
	low    int             // the lowest value used
	span   int             // values from the lowest used to the highest
	packed [1 << 13]byte   // used from low on, a bit for each value, the first in the lowest bit
}

// clear forgets all values.
func (p *palette) clear() { clear(p.used[:]) }

// mark notes the values of samples.
func (p *palette) mark(samples []byte) {
	for len(samples) >= 2 {
		v := binary.LittleEndian.Uint16(samples)
		p.used[v>>6] |= 1 << (v & 63)
		samples = samples[2:]
	}
}

// number fills table, low, span and packed from used.
func (p *palette) number() {
	clear(p.packed[:])
	first, n := -1, 0
	for i, word := range p.used {
		for ; word != 0; word &= word - 1 {
			v := i*64 + bits.TrailingZeros64(word)
			if first < 0 {
				first = v
			}
			p.table[v] = uint16(n)
			n++
			p.span = v - first + 1
			p.packed[(v-first)>>3] |= 1 << ((v - first) & 7)
		}
	}
	p.low = first
}

// replace puts the table's entry in the place of each sample.
func (p *palette) replace(samples []byte) {
	for i := 0; i+2 <= len(samples); i += 2 {
		binary.LittleEndian.PutUint16(samples[i:], p.table[binary.LittleEndian.Uint16(samples[i:])])
	}
}

// append writes low, span and packed.
func (p *palette) append(dst []byte, s *sectionWriter) []byte {
	dst = append(dst, byte(p.low), byte(p.low>>8), byte(p.span-1), byte((p.span-1)>>8))
	return s.append(dst, p.packed[:(p.span+7)/8], maxDepth)
}

// read is the inverse of append; it fills table for decoding. Numbers beyond the last give 0.
func (p *palette) read(src []byte, s *sectionReader) ([]byte, error) {
	if len(src) < 4 {
		return nil, fmt.Errorf("palette is cut short: %w", ErrCorrupt)
	}
	p.low = int(binary.LittleEndian.Uint16(src))
	p.span = int(binary.LittleEndian.Uint16(src[2:])) + 1
	packed := p.packed[:(p.span+7)/8]
	rest, err := s.read(packed, src[4:], maxDepth)
	if err != nil {
		return nil, err
	}
	clear(p.table[:])
	n := 0
	for i, b := range packed {
		for ; b != 0; b &= b - 1 {
			v := p.low + 8*i + bits.TrailingZeros8(b)
			if v > 0xffff || 8*i+bits.TrailingZeros8(b) >= p.span {
				return nil, fmt.Errorf("palette has a value out of range: %w", ErrCorrupt)
			}
			p.table[n] = uint16(v)
			n++
		}
	}
	return rest, nil
}

// palettePairs is the number of neighbours that are looked at to see whether a palette helps, pairsRun of them side by side: memory is
// quicker to read so.
const (
	palettePairs = 2048
	pairsRun     = 16
)

// pairs calls f with some samples of the n in samples and their left neighbours, where the image is not flat.
func pairs(samples []byte, n, step int, f func(a, b int)) {
	runs := min(n/8, palettePairs) / pairsRun
	for k := range runs {
		from := 2*step + pick(n-2*step-pairsRun, runs, k)
		for i := from; i < from+pairsRun; i++ {
			a, b, c := sample(samples, 2*i), sample(samples, 2*(i-step)), sample(samples, 2*(i-2*step))
			if b != c {
				f(int(a), int(b))
			}
		}
	}
}

// gaps reports whether some difference between neighbours is clearly more frequent than a smaller one: where all values are
// used, larger differences are rarer.
func gaps(samples []byte, n, step int) bool {
	var count [64]int
	pairs(samples, n, step, func(a, b int) {
		if d := abs(a - b); d < len(count) {
			count[d]++
		}
	})
	least := count[1]
	for _, c := range count[2:] {
		if c > least+least/4+24 {
			return true
		}
		least = min(least, c)
	}
	return false
}

// helps reports whether differences of numbers are shorter than those of values by a fifth of a bit.
func (p *palette) helps(samples []byte, n, step int) bool {
	saved, seen := 0, 0
	pairs(samples, n, step, func(a, b int) {
		saved += bits.Len(uint(abs(a-b))) - bits.Len(uint(abs(int(p.table[a])-int(p.table[b]))))
		seen++
	})
	return saved*5 > seen
}

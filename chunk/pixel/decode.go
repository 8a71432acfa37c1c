package pixel

import (
	"encoding/binary"
	"fmt"
)

// Decoder reads what an Encoder wrote. It keeps its buffers from call to call and is for one goroutine; the zero value is
// ready.
type Decoder struct {
	block    block
	sections sectionReader
	palette  palette
	streams  []byte
	mapped   []byte // samples of a block looked up in the palette
}

// Decode appends the size bytes that src stands for to dst. On an error dst is returned unchanged: ErrUnsupported for a newer
// version, ErrCorrupt for everything else. It allocates size bytes for dst and at most 16·size + 1 MB of its own, whatever
// src says. That size is right is for the caller to know: some streams can be read as another one.
func (d *Decoder) Decode(dst, src []byte, size int) ([]byte, error) {
	f, body, edges, err := parseFormat(src, size)
	if err != nil {
		return dst, fmt.Errorf("pixel header: %w", err)
	}
	start := len(dst)
	out := extend(dst, size)
	copy(out[start:], edges[:f.lead])
	to := out[start+f.lead:]
	n := f.samples(size)
	d.block.begin(f.grid, n)
	d.block.fill(f.start)
	if f.has(flagPalette) {
		if body, err = d.palette.read(body, &d.sections); err != nil {
			return dst, fmt.Errorf("pixel palette: %w", err)
		}
	}
	for n > 0 {
		k := min(n, f.grid.blockSamples())
		if body, err = d.readBlock(body, k); err != nil {
			return dst, fmt.Errorf("pixel block: %w", err)
		}
		bytes := k * f.sampleBytes()
		d.store(f, to[:bytes], k)
		d.block.advance(k)
		to = to[bytes:]
		n -= k
	}
	if len(body) != 0 {
		return dst, fmt.Errorf("pixel stream has %d bytes too many: %w", len(body), ErrCorrupt)
	}
	copy(to, edges[f.lead:])
	return out, nil
}

// store writes the k samples in the block to dst.
func (d *Decoder) store(f *format, dst []byte, k int) {
	body := d.block.body(k)
	if f.has(flagPalette) {
		d.mapped = append(d.mapped[:0], body...)
		body = d.mapped
		d.palette.replace(body)
	}
	f.store(dst, body)
}

// extend returns dst with n more bytes, not set.
func extend(dst []byte, n int) []byte {
	if cap(dst)-len(dst) >= n {
		return dst[:len(dst)+n]
	}
	out := make([]byte, len(dst)+n)
	copy(out, dst)
	return out
}

// readBlock decodes k samples into the block and returns what follows in src.
func (d *Decoder) readBlock(src []byte, k int) ([]byte, error) {
	b := &d.block
	n := padded(k)
	src, stored, err := b.readHead(src)
	if err != nil {
		return nil, err
	}
	if stored {
		if len(src) < 2*k {
			return nil, fmt.Errorf("stored block is cut short: %w", ErrCorrupt)
		}
		copy(b.body(k), src)
		b.stored(k)
		return src[2*k:], nil
	}
	var count, next [maxClasses]int
	src, err = d.readStreams(src, n, &count)
	if err != nil {
		return nil, err
	}
	starts(&next, &count)
	for at := 0; at < n; {
		run := min(b.run(), n-at)
		if b.nclasses > 1 {
			b.classify(at, run)
			d.gather(at, run, &next)
		}
		b.expand(at, run)
		at += run
	}
	if b.extraAt != len(b.extra)-slack || b.nclasses > 1 && !allTaken(&next, &count) {
		return nil, fmt.Errorf("block's counts do not match: %w", ErrCorrupt)
	}
	b.restore(n)
	return src, nil
}

// allTaken reports whether next, which began as starts says, has gone through all groups of every class.
func allTaken(next, count *[maxClasses]int) bool {
	end := 0
	for c, n := range count {
		if end += group * n; next[c] != end {
			return false
		}
	}
	return true
}

// readStreams reads the groups of each class, of which it says the number, and the extra bytes.
func (d *Decoder) readStreams(src []byte, n int, count *[maxClasses]int) ([]byte, error) {
	b := &d.block
	left := n / group
	for c := 1; c < b.nclasses; c++ {
		v, k := binary.Uvarint(src)
		if k <= 0 || v > uint64(left) {
			return nil, fmt.Errorf("class count: %w", ErrCorrupt)
		}
		count[c] = int(v)
		left -= int(v)
		src = src[k:]
	}
	count[0] = left
	extra, k := binary.Uvarint(src)
	if k <= 0 || extra > uint64(2*n) {
		return nil, fmt.Errorf("count of extra bytes: %w", ErrCorrupt)
	}
	src = src[k:]
	d.streams = resize(d.streams, n)
	streams := d.streams
	if b.nclasses == 1 { // they are in order
		streams = b.tokens[b.tokenAt:][:n]
	}
	b.extra, b.extraAt = resize(b.extra, int(extra)+slack), 0
	at := 0
	var err error
	for c := range b.nclasses {
		if src, err = d.sections.read(streams[at:at+group*count[c]], src, 0); err != nil {
			return nil, err
		}
		at += group * count[c]
	}
	return d.sections.read(b.extra[:extra], src, maxDepth)
}

// gather fetches the tokens of n samples at at from the streams of their classes. A class whose groups are used up goes on
// into the next class's, which readBlock then finds out.
func (d *Decoder) gather(at, n int, next *[maxClasses]int) {
	b := &d.block
	out := b.tokens[b.tokenAt+at:][:n]
	for _, c := range b.classes[at/group:][:n/group] {
		if len(out) < group { // never: it spares the loop a check for each byte
			break
		}
		p := next[c%maxClasses]
		next[c%maxClasses] = p + group
		p = min(p, len(d.streams)-group)
		binary.LittleEndian.PutUint64(out, binary.LittleEndian.Uint64(d.streams[p:]))
		out = out[group:]
	}
}

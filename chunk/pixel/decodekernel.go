package pixel

import (
	"encoding/binary"
	"unsafe"
)

// restore is the inverse of predict: it writes the n samples at at from their tokens. When extra bytes are lacking, extraAt says so.
func (b *block) restore(at, n int) {
	switch {
	case n == 0:
		return
	case b.nsets == 1 && b.ntaps <= 6 && b.grid.step == 1:
		b.restoreOne(at, n)
		return
	case b.nsets == 1 && b.ntaps <= 6:
		b.restoreColour(at, n)
		return
	case b.grid.step == 1:
		b.restore12(at, n)
		return
	}
	for i := at; i < at+n; i += 4 {
		b.restoreGroup(i, b.residuals(binary.LittleEndian.Uint32(b.tokens[b.tokenAt+i:])))
	}
}

// restoreGroup restores four samples at i, of which e are the residuals, under any grid and weights.
func (b *block) restoreGroup(i int, e uint64) {
	w := b.wide(i)
	step := b.grid.step
	p := 2 * (b.sampleAt + i)
	even, odd := uint64(biasLanes), uint64(biasLanes)
	for t := 1; t < b.ntaps; t++ {
		if taps[t].dy == 0 {
			continue
		}
		v := load(b.samples, p+2*b.grid.offset(t))
		even += v & evenLanes * w[t]
		odd += v >> 16 & evenLanes * w[t]
	}
	for k, sum := range [4]uint32{uint32(even), uint32(odd), uint32(even >> 32), uint32(odd >> 32)} {
		q := p + 2*k
		sum += uint32(w[0])*sample(b.samples, q-2*step) + uint32(w[4])*sample(b.samples, q-4*step) +
			uint32(w[10])*sample(b.samples, q-6*step)
		binary.LittleEndian.PutUint16(b.samples[q:], uint16(sum>>weightBits)+uint16(e>>(16*k)))
	}
}

func sample(b []byte, i int) uint32 { return uint32(binary.LittleEndian.Uint16(b[i:])) }

// residuals gives the residuals of four tokens, and takes their extra bytes.
func (b *block) residuals(tokens uint32) uint64 {
	v := unpack4(tokens)
	if anyEscape(v) {
		v = b.extended(v)
	}
	return unzigzag4(v)
}

// extended gives the zig-zagged residuals of four tokens, and takes their extra bytes, the last ones again when they are used up.
// Like escaped, it takes no branch for those of one byte.
func (b *block) extended(v uint64) (out uint64) {
	extra := (*[8]byte)(b.extra[min(b.extraAt, len(b.extra)-8):])
	n := 0
	for k := range 4 {
		t := int32(v >> (16 * k) & 0xff)
		over := t - direct
		below := over >> 31 // all ones when t has no extra byte
		z := t&below | (direct+over<<8+int32(extra[n&7]))&^below
		n += int(1 + below)
		if t == escape {
			z = int32(extra[(n-1)&7]) | int32(extra[n&7])<<8
			n++
		}
		out |= uint64(z) << (16 * k)
	}
	b.extraAt += n
	return out
}

// restore6 is restore for one set of at most six taps and a step of one. The sums are taken to 16 fractional bits, so that a
// sample is the upper half of a 32-bit word: that shortens the chain from one sample to the next. See halfLanes.
func (b *block) restore6(at, n int) {
	here, tokens, above := b.pointers(at, n)
	w := &b.sets[0]
	w1, w2, w3, w5 := uint64(w[1])<<4, uint64(w[2])<<4, uint64(w[3])<<4, uint64(w[5])<<4
	w0, w4 := uint32(w[0])<<4, uint32(w[4])<<4
	x2, x3 := uint32(at8(here, -4)&0xffff), uint32(at8(here, -2)&0xffff)
	const m = evenLanes
	table := &residualOf
	for ; n > 0; n -= 4 {
		north := unsafe.Add(here, above)
		even := at8(north, above)&m*w5 + at8(north, -2)&m*w2 + at8(north, 0)&m*w1 + at8(north, 2)&m*w3
		odd := at8(north, above+2)&m*w5 + at8(north, 0)&m*w2 + at8(north, 2)&m*w1 + at8(north, 4)&m*w3
		e0, e1, e2, e3 := table[at1(tokens, 0)], table[at1(tokens, 1)], table[at1(tokens, 2)], table[at1(tokens, 3)]
		if t := at4(tokens, 0); t&(t<<1)&0x80808080 != 0 { // direct or more: the two upper bits are set
			e0, e1, e2, e3 = b.escapedResiduals(t)
		}
		x0 := (uint32(even) + e0 + x2*w4 + x3*w0) >> 16
		x1 := (uint32(odd) + e1 + x3*w4 + x0*w0) >> 16
		x2 = (uint32(even>>32) + e2 + x0*w4 + x1*w0) >> 16
		x3 = (uint32(odd>>32) + e3 + x1*w4 + x2*w0) >> 16
		put2(here, 0, x0)
		put2(here, 2, x1)
		put2(here, 4, x2)
		put2(here, 6, x3)
		here, tokens = unsafe.Add(here, 8), unsafe.Add(tokens, 4)
	}
}

// escapedResiduals gives what residualOf says of tokens without extra bytes, of four of which some have them.
func (b *block) escapedResiduals(tokens uint32) (e0, e1, e2, e3 uint32) {
	e := b.residuals(tokens)
	return uint32(e)<<16 + halfLane, uint32(e>>16)<<16 + halfLane, uint32(e>>32)<<16 + halfLane, uint32(e>>48)<<16 + halfLane
}

// restore12 is restore for a step of one.
func (b *block) restore12(at, n int) {
	here, tokens, row := b.pointers(at, n)
	x1, x2, x3 := uint32(at8(here, -6)&0xffff), uint32(at8(here, -4)&0xffff), uint32(at8(here, -2)&0xffff)
	for i := range n / 4 {
		w := b.wide(at + 4*i)
		even, odd := sumsAbove(unsafe.Add(here, row), unsafe.Add(here, 2*row), w)
		e := b.residuals(at4(tokens, 0))
		w0, w4, w10 := uint32(w[0])<<4, uint32(w[4])<<4, uint32(w[10])<<4
		x0 := (uint32(even)<<4 + uint32(e)<<16 + x1*w10 + x2*w4 + x3*w0) >> 16
		x1 = (uint32(odd)<<4 + uint32(e)&0xffff0000 + x2*w10 + x3*w4 + x0*w0) >> 16
		x2 = (uint32(even>>32)<<4 + uint32(e>>16)&0xffff0000 + x3*w10 + x0*w4 + x1*w0) >> 16
		x3 = (uint32(odd>>32)<<4 + uint32(e>>32)&0xffff0000 + x0*w10 + x1*w4 + x2*w0) >> 16
		put8(here, 0, uint64(x0)|uint64(x1)<<16|uint64(x2)<<32|uint64(x3)<<48)
		here, tokens = unsafe.Add(here, 8), unsafe.Add(tokens, 4)
	}
}

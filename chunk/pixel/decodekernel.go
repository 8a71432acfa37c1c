package pixel

import (
	"encoding/binary"
	"unsafe"
)

// restore is the inverse of predict, for the block's n samples: in their places are their residuals, which expand wrote there.
func (b *block) restore(n int) {
	switch {
	case b.grid.step == 1:
		b.restoreRows(n)
	case b.forKernel():
		b.restoreColour(n)
	default:
		for i := 0; i < n; i += 4 {
			b.restoreGroup(i)
		}
	}
}

// restoreRows restores row after row, where there is a kernel for it with the one below beside it.
func (b *block) restoreRows(n int) {
	upper := b.span(0, n)
	for upper.end < n {
		lower := b.span(upper.end, n)
		b.restoreBoth(&upper, &lower)
		b.restoreSpan(&upper, upper.len())
		upper = lower
	}
	b.restoreSpan(&upper, upper.len())
}

// restoreSpan restores the first n samples of a span, whole groups, and leaves the others.
func (b *block) restoreSpan(s *span, n int) {
	if b.forKernel() {
		b.restoreOne(s, n)
	} else {
		b.restoreFew(s, n)
	}
}

// restoreFew is restoreSpan in portable Go.
func (b *block) restoreFew(s *span, n int) {
	switch {
	case n == 0:
	case b.nsets == 1 && b.ntaps <= 6:
		b.restore6(s, n)
	default:
		b.restore12(s, n)
	}
}

// restoreGroup restores four samples at i under any grid without edges, and any weights.
func (b *block) restoreGroup(i int) {
	w := b.wide(i)
	step := b.grid.step
	p := 2 * (b.sampleAt + i)
	e := load(b.samples, p)
	even, odd := b.tapsAbove(p, w)
	even, odd = even+biasLanes, odd+biasLanes
	for k, sum := range [4]uint32{uint32(even), uint32(odd), uint32(even >> 32), uint32(odd >> 32)} {
		q := p + 2*k
		sum += uint32(w[0])*sample(b.samples, q-2*step) + uint32(w[4])*sample(b.samples, q-4*step) +
			uint32(w[10])*sample(b.samples, q-6*step)
		binary.LittleEndian.PutUint16(b.samples[q:], uint16(sum>>weightBits)+uint16(e>>(16*k)))
	}
}

// tapsAbove adds up the taps of the two rows above for the four samples at p in samples, under any grid and weights.
func (b *block) tapsAbove(p int, w *wideWeights) (even, odd uint64) {
	for t := 1; t < b.ntaps; t++ {
		if taps[t].dy == 0 {
			continue
		}
		v := load(b.samples, p+2*b.grid.offset(t))
		even += v & evenLanes * w[t]
		odd += v >> 16 & evenLanes * w[t]
	}
	return even, odd
}

func sample(b []byte, i int) uint32 { return uint32(binary.LittleEndian.Uint16(b[i:])) }

// restore6 is restoreFew for one set of at most six taps. The sums are taken to 16 fractional bits, so that a sample is the upper half of a
// 32-bit word: that shortens the chain from one sample to the next. See halfLanes.
func (b *block) restore6(s *span, n int) {
	here, _, above := b.pointers(s.at, n)
	left := b.left(s)
	x3, x2 := left[0], left[1]
	s.pass(n)
	w := &b.sets[0]
	w1, w2, w3, w5 := uint64(w[1])<<4, uint64(w[2])<<4, uint64(w[3])<<4, uint64(w[5])<<4
	w0, w4 := uint32(w[0])<<4, uint32(w[4])<<4
	const m = evenLanes
	for ; n > 0; n -= 4 {
		north, e := unsafe.Add(here, above), at8(here, 0)
		even := halfLanes + at8(north, above)&m*w5 + at8(north, -2)&m*w2 + at8(north, 0)&m*w1 + at8(north, 2)&m*w3
		odd := halfLanes + at8(north, above+2)&m*w5 + at8(north, 0)&m*w2 + at8(north, 2)&m*w1 + at8(north, 4)&m*w3
		x0 := (uint32(even) + uint32(e)<<16 + x2*w4 + x3*w0) >> 16
		x1 := (uint32(odd) + uint32(e)&^0xffff + x3*w4 + x0*w0) >> 16
		x2 = (uint32(even>>32) + uint32(e>>32)<<16 + x0*w4 + x1*w0) >> 16
		x3 = (uint32(odd>>32) + uint32(e>>32)&^0xffff + x1*w4 + x2*w0) >> 16
		put2(here, 0, x0)
		put2(here, 2, x1)
		put2(here, 4, x2)
		put2(here, 6, x3)
		here = unsafe.Add(here, 8)
	}
}

// restore12 is restoreFew for any weights.
func (b *block) restore12(s *span, n int) {
	at := s.at
	here, _, row := b.pointers(at, n)
	left := b.left(s)
	x3, x2, x1 := left[0], left[1], left[2]
	s.pass(n)
	for i := range n / 4 {
		w := b.wide(at + 4*i)
		even, odd := sumsAbove(unsafe.Add(here, row), unsafe.Add(here, 2*row), w)
		e := at8(here, 0)
		w0, w4, w10 := uint32(w[0])<<4, uint32(w[4])<<4, uint32(w[10])<<4
		x0 := (uint32(even)<<4 + uint32(e)<<16 + x1*w10 + x2*w4 + x3*w0) >> 16
		x1 = (uint32(odd)<<4 + uint32(e)&0xffff0000 + x2*w10 + x3*w4 + x0*w0) >> 16
		x2 = (uint32(even>>32)<<4 + uint32(e>>16)&0xffff0000 + x3*w10 + x0*w4 + x1*w0) >> 16
		x3 = (uint32(odd>>32)<<4 + uint32(e>>32)&0xffff0000 + x0*w10 + x1*w4 + x2*w0) >> 16
		put8(here, 0, uint64(x0)|uint64(x1)<<16|uint64(x2)<<32|uint64(x3)<<48)
		here = unsafe.Add(here, 8)
	}
}

package pixel

import (
	"encoding/binary"
	"unsafe"
)

// predict writes the tokens of the n samples at at, both whole groups, and appends their extra bytes to extra. A group of
// class c uses the weights sets[setOf[c]].
func (b *block) predict(at, n int) {
	for end := at + n; at < end; {
		s := b.span(at, end)
		at = s.end
		b.predictSpan(&s)
	}
}

// predictSpan is predict for one span, which then is empty.
func (b *block) predictSpan(s *span) {
	if b.forKernel() {
		b.predictOne(s)
	} else {
		b.predictFew(s, s.len())
	}
}

// predictFew is predictSpan for the first n samples, in portable Go.
func (b *block) predictFew(s *span, n int) {
	if s.edge && n > 0 {
		k := min(2*group, n)
		was := b.bend(s.at)
		b.predictRun(s.at, k)
		b.unbend(s.at, was)
		s.pass(k)
		n -= k
	}
	b.predictRun(s.at, n)
	s.pass(n)
}

// predictRun writes the tokens of n samples at at as if there were no edge.
func (b *block) predictRun(at, n int) {
	switch {
	case n == 0:
	case b.grid.step == 3:
		b.predictAny(at, n)
	case b.nsets == 1 && b.ntaps <= 4:
		b.predict4(at, n)
	case b.nsets == 1 && b.ntaps <= 6:
		b.predict6(at, n)
	default:
		b.predict12(at, n)
	}
}

// predictAny is predictRun for any block.
func (b *block) predictAny(at, n int) {
	for i := at; i < at+n; i += 4 {
		w := b.wide(i)
		p := 2 * (b.sampleAt + i)
		even, odd := uint64(biasLanes), uint64(biasLanes)
		for t := range b.ntaps {
			v := load(b.samples, p+2*b.grid.offset(t))
			even += v & evenLanes * w[t]
			odd += v >> 16 & evenLanes * w[t]
		}
		binary.LittleEndian.PutUint32(b.tokens[b.tokenAt+i:], b.token4(residuals4(load(b.samples, p), even, odd)))
	}
}

// token4 gives the tokens of four zig-zagged residuals and appends their extra bytes.
func (b *block) token4(v uint64) uint32 {
	if anyEscape(v) {
		return b.escaped(v)
	}
	return pack4(v)
}

// escaped appends the extra bytes of four residuals and returns their tokens. Most escapes have one byte: those take no branch,
// since in noisy images nobody could predict it.
func (b *block) escaped(v uint64) (tokens uint32) {
	n := len(b.extra)
	if cap(b.extra)-n < 8 {
		b.extra = append(b.extra, make([]byte, 8)...)
	}
	extra := b.extra[:n+8]
	for k := range 4 {
		z := int32(v >> (16 * k) & 0xffff)
		over := z - direct
		below := over >> 31 // all ones when z is its own token
		t := (direct+over>>8)&^below | z&below
		extra[n] = byte(over)
		n += int(1 + below)
		if t >= escape {
			t = escape
			extra[n-1], extra[n] = byte(z), byte(z>>8)
			n++
		}
		tokens |= uint32(t) << (8 * k)
	}
	b.extra = extra[:n]
	return tokens
}

// predict6 is predictRun for one set of at most six taps and a step of one. Of the words read, the lanes 0 and 2 are taps of even
// samples, or of odd ones when read one sample further. The sums are those of the residuals, for which a half is one unit less:
// x - floor(s + 1/2) is floor(x - s + 1/2 - 1/4096). See halfLanes.
func (b *block) predict6(at, n int) {
	here, tokens, above := b.pointers(at, n)
	w := &b.sets[0]
	w0, w1, w2 := -uint64(w[0])<<4, -uint64(w[1])<<4, -uint64(w[2])<<4
	w3, w4, w5 := -uint64(w[3])<<4, -uint64(w[4])<<4, -uint64(w[5])<<4
	const half = halfLanes - 16*lowLane2
	const m = evenLanes
	for ; n > 0; n -= 4 {
		north := unsafe.Add(here, above)
		even := at8(here, -2)&^m + half + at8(here, -4)&m*w4 + at8(here, -2)&m*w0
		odd := at8(here, 0)&^m + half + at8(here, -2)&m*w4 + at8(here, 0)&m*w0
		even += at8(north, -2)&m*w2 + at8(north, 0)&m*w1 + at8(north, 2)&m*w3 + at8(north, above)&m*w5
		odd += at8(north, 0)&m*w2 + at8(north, 2)&m*w1 + at8(north, 4)&m*w3 + at8(north, above+2)&m*w5
		v := zigzag4(even>>16&m | odd&^m)
		t := pack4(v)
		if anyEscape(v) {
			t = b.escaped(v)
		}
		put4(tokens, t)
		here, tokens = unsafe.Add(here, 8), unsafe.Add(tokens, 4)
	}
}

// predict4 is predict6 for at most four taps.
func (b *block) predict4(at, n int) {
	here, tokens, above := b.pointers(at, n)
	w := &b.sets[0]
	w0, w1, w2, w3 := -uint64(w[0])<<4, -uint64(w[1])<<4, -uint64(w[2])<<4, -uint64(w[3])<<4
	const half = halfLanes - 16*lowLane2
	const m = evenLanes
	for ; n > 0; n -= 4 {
		north := unsafe.Add(here, above)
		even := at8(here, -2)&^m + half + at8(here, -2)&m*w0
		odd := at8(here, 0)&^m + half + at8(here, 0)&m*w0
		even += at8(north, -2)&m*w2 + at8(north, 0)&m*w1 + at8(north, 2)&m*w3
		odd += at8(north, 0)&m*w2 + at8(north, 2)&m*w1 + at8(north, 4)&m*w3
		v := zigzag4(even>>16&m | odd&^m)
		t := pack4(v)
		if anyEscape(v) {
			t = b.escaped(v)
		}
		put4(tokens, t)
		here, tokens = unsafe.Add(here, 8), unsafe.Add(tokens, 4)
	}
}

// predict12 is predictRun for a step of one.
func (b *block) predict12(at, n int) {
	here, tokens, row := b.pointers(at, n)
	for i := range n / 4 {
		w := b.wide(at + 4*i)
		even, odd := sumsAbove(unsafe.Add(here, row), unsafe.Add(here, 2*row), w)
		x := at8(here, 0)
		h0, h1, h2, h3 := at8(here, -6)&evenLanes, at8(here, -4)&evenLanes, at8(here, -2)&evenLanes, x&evenLanes
		even += h2*w[0] + h1*w[4] + h0*w[10]
		odd += h3*w[0] + h2*w[4] + h1*w[10]
		put4(tokens, b.token4(residuals4(x, even, odd)))
		here, tokens = unsafe.Add(here, 8), unsafe.Add(tokens, 4)
	}
}

// sumsAbove adds up the taps of the two rows above for four samples.
func sumsAbove(above, second unsafe.Pointer, w *wideWeights) (even, odd uint64) {
	const m = evenLanes
	a0, a1, a2, a3 := at8(above, -4)&m, at8(above, -2)&m, at8(above, 0)&m, at8(above, 2)&m
	a4, a5, a6 := at8(above, 4)&m, at8(above, 6)&m, at8(above, 8)&m
	even = biasLanes + a0*w[9] + a1*w[2] + a2*w[1] + a3*w[3] + a4*w[8] + a5*w[11]
	odd = biasLanes + a1*w[9] + a2*w[2] + a3*w[1] + a4*w[3] + a5*w[8] + a6*w[11]
	s0, s1, s2, s3 := at8(second, -2)&m, at8(second, 0)&m, at8(second, 2)&m, at8(second, 4)&m
	even += s0*w[6] + s1*w[5] + s2*w[7]
	odd += s1*w[6] + s2*w[5] + s3*w[7]
	return even, odd
}

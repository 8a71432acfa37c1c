package pixel

import "encoding/binary"

// restoreColour is restore for one set of at most kernelTaps and a step of three. What a sample does not have from its left is summed up
// first, for many at once; the three chains of a pixel's samples then go side by side.
func (b *block) restoreColour(n int) {
	var sums [256]uint32
	for at := 0; at < n; {
		some := sums[:min(n-at, len(sums), b.run())]
		b.sum(some, at)
		b.chain3(some, at)
		at += len(some)
	}
}

// sumFew writes for each of as many samples at at, a multiple of four, what is known of it without the samples to its left: the taps of the
// rows above and the residual, with 16 fractional bits. See halfLanes.
func (b *block) sumFew(sums []uint32, at int) {
	p := 2 * (b.sampleAt + at)
	for ; len(sums) >= 4; p, sums = p+8, sums[4:] {
		even, odd := b.tapsAbove(p, &b.wideSets[0])
		even, odd = even<<4+halfLanes, odd<<4+halfLanes
		e := load(b.samples, p)
		sums[0], sums[1] = uint32(even)+uint32(e)<<16, uint32(odd)+uint32(e)&^0xffff
		sums[2], sums[3] = uint32(even>>32)+uint32(e>>32)<<16, uint32(odd>>32)+uint32(e>>32)&^0xffff
	}
}

// chain3 restores the samples at at from their sums and the two pixels before. The last pixel may be incomplete.
func (b *block) chain3(sums []uint32, at int) {
	w0, w4 := uint32(b.sets[0][0])<<4, uint32(b.sets[0][4])<<4
	x := b.samples[2*(b.sampleAt+at-6):][:2*(6+len(sums))]
	p0, p1, p2 := sample(x, 0), sample(x, 2), sample(x, 4)
	q0, q1, q2 := sample(x, 6), sample(x, 8), sample(x, 10)
	x = x[12:]
	for len(sums) >= 3 && len(x) >= 6 {
		p0, q0 = q0, (sums[0]+p0*w4+q0*w0)>>16
		p1, q1 = q1, (sums[1]+p1*w4+q1*w0)>>16
		p2, q2 = q2, (sums[2]+p2*w4+q2*w0)>>16
		binary.LittleEndian.PutUint32(x, q0|q1<<16)
		binary.LittleEndian.PutUint16(x[4:], uint16(q2))
		x, sums = x[6:], sums[3:]
	}
	if len(sums) > 0 {
		binary.LittleEndian.PutUint16(x, uint16((sums[0]+p0*w4+q0*w0)>>16))
	}
	if len(sums) > 1 {
		binary.LittleEndian.PutUint16(x[2:], uint16((sums[1]+p1*w4+q1*w0)>>16))
	}
}

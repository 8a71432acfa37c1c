//go:build !noasm && !purego

package pixel

import (
	"unsafe"

	"golang.org/x/sys/cpu"
)

// useAVX2 is a variable so that tests can compare both ways.
var useAVX2 = cpu.X86.HasAVX2

// predictAVX2 writes the tokens of n samples, sixteen at a time, and returns how many it did: it stops before sixteen of which
// one has extra bytes, or when less than sixteen are left. above and second are the rows above here, and the pixel beside one is as many
// bytes away. Where here is an edge, what lies left of it is taken from the row above.
//
//go:noescape
func predictAVX2(tokens, here, above, second unsafe.Pointer, pixel, n int, k *[4]uint32, edge bool) int

// expandAVX2 writes the residuals of n tokens, and returns how many it did: it stops as predictAVX2 does.
//
//go:noescape
func expandAVX2(here, tokens unsafe.Pointer, n int) int

// sumAVX2 is sum6 for n samples, a multiple of sixteen, of which the row above is above bytes away and the pixel beside one pixel bytes.
//
//go:noescape
func sumAVX2(sums, here unsafe.Pointer, above, pixel, n int, k *[5]uint32)

// restoreAVX2 restores n samples, a multiple of sixteen, of which the row above is above bytes away. left is the second sample to the left and
// the one to the left.
//
//go:noescape
func restoreAVX2(here unsafe.Pointer, above, n int, k *[5]uint32, left *[2]uint32)

// restoreBothAVX2 is restoreAVX2 for two rows side by side.
//
//go:noescape
func restoreBothAVX2(upper, lower unsafe.Pointer, above, n int, k *[5]uint32, left *[4]uint32)

// stretch is how many samples the portable code does where AVX2 stopped after done: more when it came to nothing.
func stretch(done int) int {
	if done < 64 {
		return 128
	}
	return 16
}

// pair is two weights as the factors of a multiplication of pairs.
func pair(a, b int32) uint32 { return uint32(uint16(a)) | uint32(b)<<16 }

// predictOne is predictSpan for one set of at most six taps.
func (b *block) predictOne(s *span) {
	if !useAVX2 {
		b.predictFew(s, s.end-s.at)
		return
	}
	w := &b.sets[0]
	sum := w[0] + w[1] + w[2] + w[3] + w[4] + w[5]
	k := [4]uint32{pair(w[0], w[4]), pair(w[1], w[2]), pair(w[3], w[5]), weightOne/2 + uint32(sum)<<15}
	for s.at < s.end {
		n := s.end - s.at
		here, tokens, row := b.pointers(s.at, n)
		done := predictAVX2(tokens, here, unsafe.Add(here, row), unsafe.Add(here, 2*row), 2*b.grid.step, n, &k, s.edge)
		s.pass(done)
		b.predictFew(s, min(stretch(done), n-done))
	}
}

// lanes are the factors of sumAVX2 and restoreAVX2: pairs of weights, the constant that makes up for flipped bits and rounds, and the
// weights of the samples to the left.
func (w *weights) lanes() [5]uint32 {
	return [5]uint32{pair(w[1], w[2]), pair(w[3], w[5]), (weightOne/2 + uint32(w[1]+w[2]+w[3]+w[5])<<15) << 4, uint32(w[0]) << 4, uint32(w[4]) << 4}
}

// expand writes the residuals of the n samples at at, whole groups, in their places, from their tokens. When extra bytes are lacking, extraAt
// says so.
func (b *block) expand(at, n int) {
	if !useAVX2 {
		b.expandFew(at, n)
		return
	}
	for n > 0 {
		here, tokens, _ := b.pointers(at, n)
		done := expandAVX2(here, tokens, n)
		at, n = at+done, n-done
		rest := min(stretch(done), n)
		b.expandFew(at, rest)
		at, n = at+rest, n-rest
	}
}

// kernelSamples is how many samples the kernels that restore do at once.
const kernelSamples = 16

// restoreOne is restore6, with AVX2 where there is enough for it.
func (b *block) restoreOne(s *span, n int) {
	if some := n &^ (kernelSamples - 1); useAVX2 && some > 0 {
		here, _, above := b.pointers(s.at, some)
		x := b.left(s)
		k := b.sets[0].lanes()
		restoreAVX2(here, above, some, &k, &[2]uint32{x[1], x[0]})
		s.pass(some)
		n -= some
	}
	if n > 0 {
		b.restore6(s, n)
	}
}

// restoreBoth restores what it can of a row and of the one below side by side. The upper one has to be ahead by as much as the lower one's
// neighbours reach: the sums of sixteen samples take those above them and one more.
func (b *block) restoreBoth(upper, lower *span) {
	if !useAVX2 || b.nsets > 1 || b.ntaps > 6 {
		return
	}
	ahead := lower.at - b.grid.row + kernelSamples + 1 - upper.at
	if ahead > 0 {
		b.restoreSpan(upper, min(padded(ahead), upper.end-upper.at))
	}
	n := min(upper.end-upper.at, lower.end-lower.at) &^ (kernelSamples - 1)
	if n == 0 {
		return
	}
	above, _, row := b.pointers(upper.at, n)
	below, _, _ := b.pointers(lower.at, n)
	x, y := b.left(upper), b.left(lower)
	k := b.sets[0].lanes()
	restoreBothAVX2(above, below, row, n, &k, &[4]uint32{x[1], x[0], y[1], y[0]})
	upper.pass(n)
	lower.pass(n)
}

// sum is sum6, with AVX2 where there is enough for it.
func (b *block) sum(sums []uint32, at int) {
	if some := len(sums) &^ (kernelSamples - 1); useAVX2 && some > 0 {
		here, _, above := b.pointers(at, some)
		k := b.sets[0].lanes()
		sumAVX2(unsafe.Pointer(&sums[0]), here, above, 2*b.grid.step, some, &k)
		at, sums = at+some, sums[some:]
	}
	if len(sums) > 0 {
		b.sum6(sums, at)
	}
}

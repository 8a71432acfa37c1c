//go:build !noasm && !purego

package pixel

import (
	"unsafe"

	"golang.org/x/sys/cpu"
)

// useAVX2 is a variable so that tests can compare both ways.
var useAVX2 = cpu.X86.HasAVX2

// predictAVX2 writes the zig-zagged residuals of n samples, a multiple of sixteen. above and second are the rows above here, and the pixel
// beside one is as many bytes away. Where here is an edge, what lies left of it is taken from the row above.
//
//go:noescape
func predictAVX2(residuals, here, above, second unsafe.Pointer, pixel, n int, k *kernelWeights, edge bool)

// packAVX2 writes the tokens of n zig-zagged residuals, sixteen at a time, and returns how many it did: it stops before sixteen of which one has
// extra bytes, or when less than sixteen are left.
//
//go:noescape
func packAVX2(tokens, residuals unsafe.Pointer, n int) int

// classifyAVX2 writes the classes of sixteen times n groups, whose sums are those of eight bytes each. below has as many largest sums of classes as there are
// bounds.
//
//go:noescape
func classifyAVX2(classes, above unsafe.Pointer, n int, below *int16, bounds int)

// expandAVX2 writes the residuals of n tokens, and returns how many it did: it stops as packAVX2 does.
//
//go:noescape
func expandAVX2(here, tokens unsafe.Pointer, n int) int

// sumAVX2 is sumFew for n samples, a multiple of sixteen, of which the row above is above bytes away and the pixel beside one pixel bytes.
//
//go:noescape
func sumAVX2(sums, here unsafe.Pointer, above, pixel, n int, k *kernelWeights)

// restoreAVX2 restores n samples, a multiple of sixteen, of which the row above is above bytes away. left is the second sample to the left and
// the one to the left.
//
//go:noescape
func restoreAVX2(here unsafe.Pointer, above, n int, k *kernelWeights, left *[2]uint32)

// restoreBothAVX2 is restoreAVX2 for two rows side by side.
//
//go:noescape
func restoreBothAVX2(upper, lower unsafe.Pointer, above, n int, k *kernelWeights, left *[4]uint32)

// stretch is how many tokens the portable code does where a kernel stopped.
const stretch = 16

// kernelSamples is how many samples the kernels do at once.
const kernelSamples = 16

// predictOne is predictSpan for one set of at most kernelTaps. The kernel may do a group too many, of which nothing is made: no sample here waits for
// another one.
func (b *block) predictOne(s *span) {
	n := s.len()
	if !useAVX2 || n == 0 {
		b.predictFew(s, n)
		return
	}
	all := (n + kernelSamples - 1) &^ (kernelSamples - 1)
	here, tokens, row := b.pointers(s.at, all)
	residuals := unsafe.Pointer(&b.residuals[:all][0])
	predictAVX2(residuals, here, unsafe.Add(here, row), unsafe.Add(here, 2*row), 2*b.grid.step, all, &b.forward, s.edge)
	for done := 0; done < n; {
		done += packAVX2(unsafe.Add(tokens, done), unsafe.Add(residuals, 2*done), n-done)
		for end := min(done+stretch, n); done < end; done += 4 {
			put4(unsafe.Add(tokens, done), b.token4(at8(residuals, 2*done)))
		}
	}
	s.pass(n)
}

// classify finds the classes of n tokens at at; the tokens of the row above are there.
func (b *block) classify(at, n int) {
	if !useAVX2 || n == 0 {
		b.classifyFew(at, n)
		return
	}
	times := (n/group + classSlack - 1) / classSlack
	above := b.tokens[b.tokenAt+at-b.grid.row:][:times*classSlack*group]
	classes := b.classes[at/group:][:times*classSlack]
	classifyAVX2(unsafe.Pointer(&classes[0]), unsafe.Pointer(&above[0]), times, &b.below[0], b.nclasses-1)
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
		rest := min(stretch, n)
		b.expandFew(at, rest)
		at, n = at+rest, n-rest
	}
}

// restoreOne is restoreFew, with AVX2 where there is enough for it.
func (b *block) restoreOne(s *span, n int) {
	if some := n &^ (kernelSamples - 1); useAVX2 && some > 0 {
		here, _, above := b.pointers(s.at, some)
		x := b.left(s)
		restoreAVX2(here, above, some, &b.back, &[2]uint32{x[1], x[0]})
		s.pass(some)
		n -= some
	}
	b.restoreFew(s, n)
}

// restoreBoth restores what it can of a row and of the one below side by side. The upper one has to be ahead by as much as the lower one's
// neighbours reach: the sums of sixteen samples take those above them and two more.
func (b *block) restoreBoth(upper, lower *span) {
	if !useAVX2 || !b.forKernel() {
		return
	}
	ahead := lower.at - b.grid.row + kernelSamples + 2 - upper.at
	if ahead > 0 {
		b.restoreSpan(upper, min(padded(ahead), upper.len()))
	}
	n := min(upper.len(), lower.len()) &^ (kernelSamples - 1)
	if n == 0 {
		return
	}
	above, _, row := b.pointers(upper.at, n)
	below, _, _ := b.pointers(lower.at, n)
	x, y := b.left(upper), b.left(lower)
	restoreBothAVX2(above, below, row, n, &b.back, &[4]uint32{x[1], x[0], y[1], y[0]})
	upper.pass(n)
	lower.pass(n)
}

// sum is sumFew, with AVX2 where there is enough for it.
func (b *block) sum(sums []uint32, at int) {
	if some := len(sums) &^ (kernelSamples - 1); useAVX2 && some > 0 {
		here, _, above := b.pointers(at, some)
		sumAVX2(unsafe.Pointer(&sums[0]), here, above, 2*b.grid.step, some, &b.back)
		at, sums = at+some, sums[some:]
	}
	if len(sums) > 0 {
		b.sumFew(sums, at)
	}
}

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
// bytes away.
//
//go:noescape
func predictAVX2(tokens, here, above, second unsafe.Pointer, pixel, n int, k *[4]uint32) int

// sumAVX2 is sum6 for n samples, of which the pixel beside one is as many bytes away. It stops as predictAVX2 does.
//
//go:noescape
func sumAVX2(sums, tokens, above, second unsafe.Pointer, pixel, n int, k *[5]uint32) int

// restoreAVX2 restores n samples, and returns how many it did. It stops as predictAVX2 does.
//
//go:noescape
func restoreAVX2(here, tokens, above, second unsafe.Pointer, n int, k *[5]uint32) int

// stretch is how many samples the portable code does where AVX2 stopped after done: more when it came to nothing.
func stretch(done int) int {
	if done < 64 {
		return 128
	}
	return 16
}

// pair is two weights as the factors of a multiplication of pairs.
func pair(a, b int32) uint32 { return uint32(uint16(a)) | uint32(b)<<16 }

// predictOne is predictFew where AVX2 stops.
func (b *block) predictOne(at, n int) {
	if !useAVX2 {
		b.predictFew(at, n)
		return
	}
	w := &b.sets[0]
	sum := w[0] + w[1] + w[2] + w[3] + w[4] + w[5]
	k := [4]uint32{pair(w[0], w[4]), pair(w[1], w[2]), pair(w[3], w[5]), weightOne/2 + uint32(sum)<<15}
	for n > 0 {
		here, tokens, row := b.pointers(at, n)
		done := predictAVX2(tokens, here, unsafe.Add(here, row), unsafe.Add(here, 2*row), 2*b.grid.step, n, &k)
		at += done
		n -= done
		if n > 0 {
			rest := min(stretch(done), n)
			b.predictFew(at, rest)
			at += rest
			n -= rest
		}
	}
}

// lanes are the factors of sumAVX2 and restoreAVX2: pairs of weights, the constant that makes up for flipped bits and rounds, and the
// weights of the samples to the left.
func (w *weights) lanes() [5]uint32 {
	return [5]uint32{pair(w[1], w[2]), pair(w[3], w[5]), (weightOne/2 + uint32(w[1]+w[2]+w[3]+w[5])<<15) << 4, uint32(w[0]) << 4, uint32(w[4]) << 4}
}

// restoreOne is restore for one set of at most six taps and a step of one.
func (b *block) restoreOne(at, n int) {
	if !useAVX2 {
		b.restore6(at, n)
		return
	}
	k := b.sets[0].lanes()
	for n > 0 {
		here, tokens, row := b.pointers(at, n)
		done := restoreAVX2(here, tokens, unsafe.Add(here, row), unsafe.Add(here, 2*row), n, &k)
		at, n = at+done, n-done
		if n > 0 {
			rest := min(stretch(done), n)
			b.restore6(at, rest)
			at, n = at+rest, n-rest
		}
	}
}

// sum is sum6 where AVX2 stops.
func (b *block) sum(sums []uint32, at int) {
	if !useAVX2 {
		b.sum6(sums, at)
		return
	}
	k := b.sets[0].lanes()
	for len(sums) > 0 {
		here, tokens, row := b.pointers(at, len(sums))
		done := sumAVX2(unsafe.Pointer(&sums[0]), tokens, unsafe.Add(here, row), unsafe.Add(here, 2*row), 2*b.grid.step, len(sums), &k)
		at, sums = at+done, sums[done:]
		if len(sums) > 0 {
			rest := min(stretch(done), len(sums))
			b.sum6(sums[:rest], at)
			at, sums = at+rest, sums[rest:]
		}
	}
}

//go:build !noasm && !purego

package pixel

import (
	"encoding/binary"
	"unsafe"

	"golang.org/x/sys/cpu"
)

// useAVX2 is a variable so that tests can compare both ways.
var useAVX2 = cpu.X86.HasAVX2

// predictAVX2 writes the tokens of n samples, sixteen at a time, and returns how many it did: it stops before sixteen of which
// one has extra bytes, or when less than sixteen are left. above and second are the rows above here.
//
//go:noescape
func predictAVX2(tokens, here, above, second unsafe.Pointer, n int, k *[4]uint32) int

// sumAVX2 is sum6 for n samples, of which the pixel beside one is as many bytes away. It stops as predictAVX2 does.
//
//go:noescape
func sumAVX2(sums, tokens, above, second unsafe.Pointer, pixel, n int, k *[4]uint32) int

// stretch is how many samples the portable code does where AVX2 stopped after done: more when it came to nothing.
func stretch(done int) int {
	if done < 64 {
		return 128
	}
	return 16
}

// pair is two weights as the factors of a multiplication of pairs.
func pair(a, b int32) uint32 { return uint32(uint16(a)) | uint32(b)<<16 }

// predictOne is predict for one set of at most six taps and a step of one.
func (b *block) predictOne(at, n int) {
	if !useAVX2 {
		b.predict6(at, n)
		return
	}
	w := &b.sets[0]
	sum := w[0] + w[1] + w[2] + w[3] + w[4] + w[5]
	k := [4]uint32{pair(w[0], w[4]), pair(w[1], w[2]), pair(w[3], w[5]), weightOne/2 + uint32(sum)<<15}
	for n > 0 {
		here, tokens, row := b.pointers(at, n)
		done := predictAVX2(tokens, here, unsafe.Add(here, row), unsafe.Add(here, 2*row), n, &k)
		at += done
		n -= done
		if n > 0 {
			rest := min(stretch(done), n)
			b.predict6(at, rest)
			at += rest
			n -= rest
		}
	}
}

// aboveLanes is what sumAVX2 needs of weights.
func (w *weights) aboveLanes() [4]uint32 {
	return [4]uint32{pair(w[1], w[2]), pair(w[3], w[5]), (weightOne/2 + uint32(w[1]+w[2]+w[3]+w[5])<<15) << 4}
}

// restoreOne is restore for one set of at most six taps and a step of one.
func (b *block) restoreOne(at, n int) {
	if !useAVX2 {
		b.restore6(at, n)
		return
	}
	w := &b.sets[0]
	k := w.aboveLanes()
	var sums [256]uint32
	for n > 0 {
		m := min(n, len(sums))
		here, tokens, row := b.pointers(at, m)
		done := sumAVX2(unsafe.Pointer(&sums), tokens, unsafe.Add(here, row), unsafe.Add(here, 2*row), 2, m, &k)
		chain(b.samples[2*(b.sampleAt+at)-4:][:2*done+4], sums[:done], uint32(w[0])<<4, uint32(w[4])<<4)
		at += done
		n -= done
		if done == m {
			continue
		}
		rest := min(stretch(done), n)
		b.restore6(at, rest)
		at += rest
		n -= rest
	}
}

// chain restores len(sums) samples, a multiple of four, from their sums and the two samples at the start of x.
func chain(x []byte, sums []uint32, w0, w4 uint32) {
	x2, x3 := sample(x, 0), sample(x, 2)
	x = x[4:]
	for i := 0; i+4 <= len(sums) && 2*i+8 <= len(x); i += 4 {
		s := sums[i : i+4]
		x0 := (s[0] + x2*w4 + x3*w0) >> 16
		x1 := (s[1] + x3*w4 + x0*w0) >> 16
		x2 = (s[2] + x0*w4 + x1*w0) >> 16
		x3 = (s[3] + x1*w4 + x2*w0) >> 16
		binary.LittleEndian.PutUint64(x[2*i:], uint64(x0|x1<<16)|uint64(x2|x3<<16)<<32)
	}
}

// sum is sum6 where AVX2 stops.
func (b *block) sum(sums []uint32, at int) {
	if !useAVX2 {
		b.sum6(sums, at)
		return
	}
	k := b.sets[0].aboveLanes()
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

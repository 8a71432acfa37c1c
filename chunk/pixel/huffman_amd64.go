//go:build !noasm && !purego

package pixel

import (
	"unsafe"

	"golang.org/x/sys/cpu"
)

// useAVX512 is a variable so that tests can compare both ways.
var useAVX512 = cpu.X86.HasAVX512BW && cpu.X86.HasAVX512VBMI && cpu.X86.HasAVX512VBMI2 && cpu.X86.HasBMI2

// codeRun is how many symbols are a run of codeAVX512.
const codeRun = 64

// codeAVX512 is putFew for runs of symbols: n bits of word are left of what came before. It writes whole bytes to out, and up to eight bytes
// that do not count behind them, and returns the number of those that count, and the bits that are left.
//
//go:noescape
func codeAVX512(out, data unsafe.Pointer, runs int, codes *[256]code, word uint64, n uint) (pos int, wordAfter uint64, nAfter uint)

// put is putFew for as many symbols as there are.
func (h *huffmanWriter) put(w *bitWriter, data []byte) {
	runs := len(data) / codeRun
	if !useAVX512 || runs == 0 {
		h.putFew(w, data)
		return
	}
	k := runs * codeRun
	h.putFew(w, data[k:])
	out := w.out[w.pos:][:k*maxCodeBits/8+wordBytes] // which is room enough
	pos, word, n := codeAVX512(unsafe.Pointer(&out[0]), unsafe.Pointer(&data[0]), runs, &h.code, w.word, w.n)
	w.pos, w.word, w.n = w.pos+pos, word, n
}

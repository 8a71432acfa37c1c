//go:build !noasm && !purego

package snapshot

import (
	"unsafe"

	"golang.org/x/sys/cpu"
)

// useAVX512 says whether this machine has the instructions of blocks16.
var useAVX512 = cpu.X86.HasAVX512F && cpu.X86.HasAVX512BW

// blocks16 takes n blocks of 64 bytes, one at least, of each of sixteen messages, which begin at these offsets from base, into their
// states, one behind the other in each word.
//
//go:noescape
func blocks16(state *[4][md5Lanes]uint32, base unsafe.Pointer, offsets *[md5Lanes]uint32, n int, constants *[64]uint32)

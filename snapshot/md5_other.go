//go:build !amd64 || noasm || purego

package snapshot

import "unsafe"

const useAVX512 = false

// blocks16 is never called here.
func blocks16(*[4][md5Lanes]uint32, unsafe.Pointer, *[md5Lanes]uint32, int, *[64]uint32) {}

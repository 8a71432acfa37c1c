package pixel

import (
	"encoding/binary"
	"unsafe"
)

// The kernels read and write by pointers, where one check before the loop covers all it touches.

// pointers returns pointers to sample at of the block and to its token, and the distance in bytes to the row above, a negative
// one, having checked that from two rows and a pixel above to n samples on, all is there. n is not 0.
func (b *block) pointers(at, n int) (here, tokens unsafe.Pointer, above int) {
	p, row := 2*(b.sampleAt+at), 2*b.grid.row
	back := 2*row + 2*b.grid.step
	s := b.samples[p-back : p+2*n]
	return unsafe.Pointer(&s[back]), unsafe.Pointer(&b.tokens[b.tokenAt+at:][:n][0]), -row
}

// at8 reads eight bytes i bytes after p.
func at8(p unsafe.Pointer, i int) uint64 {
	return binary.LittleEndian.Uint64((*[8]byte)(unsafe.Add(p, i))[:])
}

// at4 is at8 for four bytes.
func at4(p unsafe.Pointer, i int) uint32 {
	return binary.LittleEndian.Uint32((*[4]byte)(unsafe.Add(p, i))[:])
}

// put8 writes eight bytes i bytes after p.
func put8(p unsafe.Pointer, i int, v uint64) {
	binary.LittleEndian.PutUint64((*[8]byte)(unsafe.Add(p, i))[:], v)
}

// put4 is put8 for four bytes, at p.
func put4(p unsafe.Pointer, v uint32) { binary.LittleEndian.PutUint32((*[4]byte)(p)[:], v) }

// put2 is put8 for the lower two bytes of v.
func put2(p unsafe.Pointer, i int, v uint32) {
	binary.LittleEndian.PutUint16((*[2]byte)(unsafe.Add(p, i))[:], uint16(v))
}

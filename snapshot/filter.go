package snapshot

import "encoding/binary"

// A uuidFilter is a Bloom filter over UUIDs: it says "perhaps" of every one that was added, and "no" of 99 % of the others. UUIDs are
// random by themselves, so that their own bytes choose the bits.
type uuidFilter struct{ bits []uint64 }

const (
	filterBits   = 10 // for each UUID
	filterProbes = 7
)

// newUUIDFilter makes a filter for n UUIDs, of 1.25 bytes each, up to 320 MiB: from 268 million on it says "perhaps" of more.
func newUUIDFilter(n int64) *uuidFilter {
	return &uuidFilter{make([]uint64, min(max(0, n), 1<<28)*filterBits/64+1)}
}

func (f *uuidFilter) add(u UUID) {
	for _, bit := range f.probes(u) {
		f.bits[bit/64] |= 1 << (bit % 64)
	}
}

func (f *uuidFilter) perhaps(u UUID) bool {
	for _, bit := range f.probes(u) {
		if f.bits[bit/64]>>(bit%64)&1 == 0 {
			return false
		}
	}
	return true
}

func (f *uuidFilter) probes(u UUID) (bits [filterProbes]uint64) {
	at, step := binary.LittleEndian.Uint64(u[:]), binary.LittleEndian.Uint64(u[8:])|1
	for i := range bits {
		bits[i] = at % (uint64(len(f.bits)) * 64)
		at += step
	}
	return bits
}

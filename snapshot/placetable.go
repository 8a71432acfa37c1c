package snapshot

import (
	"encoding/binary"
	"math/bits"
)

// placeTable says where the entry of a UUID may stand, in 8 bytes a slot, of which at least a quarter are free. It knows 32 bits of the
// hash of a UUID: whoever asks compares the entry there. Slots run on from a UUID's home, each to the next, until a free one.
type placeTable struct {
	slots []uint64 // hash, then the number of the place plus one; 0: free
	used  int
}

const (
	firstSlots = 1 << 10
	maxPlace   = 1<<32 - 2
)

// placeHash spreads UUIDs evenly.
func placeHash(u UUID) uint32 {
	h := binary.BigEndian.Uint64(u[:]) ^ bits.RotateLeft64(binary.BigEndian.Uint64(u[8:]), 31)
	return uint32(h * 0x9e3779b97f4a7c15 >> 32)
}

// home is the first slot for a hash. There are some.
func (t *placeTable) home(hash uint32) int {
	return int(uint64(hash) * uint64(len(t.slots)) >> 32)
}

func (t *placeTable) next(slot int) int { return (slot + 1) % len(t.slots) }

// at returns what a slot holds. Match says that its hash is the one given.
func (t *placeTable) at(slot int, hash uint32) (place uint32, used, match bool) {
	v := t.slots[slot]
	return uint32(v) - 1, v != 0, uint32(v>>32) == hash
}

func (t *placeTable) set(slot int, hash, place uint32) {
	if t.slots[slot] == 0 {
		t.used++
	}
	t.slots[slot] = uint64(hash)<<32 | uint64(place+1)
}

// reserve makes room for one more.
func (t *placeTable) reserve() {
	if (t.used+1)*4 <= len(t.slots)*3 {
		return
	}
	old := t.slots
	t.slots, t.used = make([]uint64, max(firstSlots, 2*len(old))), 0
	for _, v := range old {
		if v == 0 {
			continue
		}
		slot := t.home(uint32(v >> 32))
		for t.slots[slot] != 0 {
			slot = t.next(slot)
		}
		t.set(slot, uint32(v>>32), uint32(v)-1)
	}
}

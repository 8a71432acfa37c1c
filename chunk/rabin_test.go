package chunk

import (
	"math/rand/v2"
	"testing"
)

// TestFindInLanes: four fingerprints in step find the first cut, wherever it lies, also right before or behind the border of two lanes.
func TestFindInLanes(t *testing.T) {
	rnd := rand.New(rand.NewPCG(7, 8))
	data := make([]byte, rollSize+9*lane+100)
	for i := range data {
		data[i] = byte(rnd.Uint32())
	}
	r := rabinOf(0x3DA3358B4DC173)
	found := map[int]bool{} // lanes with a cut
	for _, bits := range []int{4, 9, 11, 12, 13, 14} {
		mask := uint64(1)<<bits - 1
		for from := rollSize; from < len(data); from += 1 + rnd.IntN(500) {
			for _, to := range []int{len(data), from, from + 1, from + 4*lane - 1, from + 4*lane, from + 4*lane + 1} {
				if to > len(data) {
					continue
				}
				want := from
				for want < to && r.at(data, want)&mask != 0 {
					want++
				}
				if got := r.find(data, from, to, mask); got != want {
					t.Fatalf("%d bits from %d to %d: a cut at %d, want %d", bits, from, to, got, want)
				}
				if want < to && to-from >= 4*lane {
					found[(want-from)/lane] = true
				}
			}
		}
	}
	for k := range 4 {
		if !found[k] {
			t.Errorf("no cut was in lane %d", k)
		}
	}
	for place := rollSize; place < rollSize+4*lane; place++ { // a cut at each place of a stripe, and nowhere before
		h := r.at(data, place)
		got := r.find(data, rollSize, len(data), ^h)
		if r.at(data, got)&^h != 0 {
			t.Fatalf("the fingerprint at %d does not match that at %d", got, place)
		}
		if got > place {
			t.Fatalf("the cut at %d is missed for one at %d", place, got)
		}
	}
}

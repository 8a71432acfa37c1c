package repo

import (
	"math/rand/v2"
	"testing"
)

// TestArcsCoverTheCircle lays arcs end to end, as many as a share says, and looks for positions that none has: at random, and beside the
// ends of each.
func TestArcsCoverTheCircle(t *testing.T) {
	for _, c := range []struct {
		share float64
		arcs  int
	}{{0.05, 20}, {0.07, 15}, {0.1, 10}, {0.01, 100}, {1.0 / 3, 3}, {0.333, 4}, {0.5, 2}, {0.51, 2}, {0.99, 2}, {1, 1}, {2, 1}, {0.001, 1000}, {0.005, 200}} {
		from := rand.Uint64()
		var arcs []Arc
		positions := []uint64{0, 1<<64 - 1}
		for at := from; len(arcs) < c.arcs; {
			a := NewArc(at, c.share)
			arcs = append(arcs, a)
			at = a.End()
			positions = append(positions, at-1, at, at+1, rand.Uint64())
		}
		for _, p := range positions {
			n := 0
			for _, a := range arcs {
				if a.Has(p) {
					n++
				}
			}
			if n == 0 || n > 2 {
				t.Fatalf("%d arcs of %v from %x: %x is in %d of them", c.arcs, c.share, from, p, n)
			}
		}
		if c.arcs > 1 && arcs[0].Has(arcs[0].End()) {
			t.Errorf("an arc of %v has its end", c.share)
		}
	}
}

func TestEmptyArc(t *testing.T) {
	for _, a := range []Arc{{}, NewArc(7, 0), NewArc(7, -1)} {
		if !a.Empty() || a.Has(7) || a.Has(0) {
			t.Errorf("%+v is not empty", a)
		}
	}
	if a := All(); a.Empty() || !a.Has(0) || !a.Has(1<<64-1) {
		t.Error("the circle is not whole")
	}
}

// TestArcIsAShare counts random positions.
func TestArcIsAShare(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	a, n := NewArc(1<<63, 0.05), 0
	for range 100_000 {
		if a.Has(rnd.Uint64()) {
			n++
		}
	}
	if n < 4700 || n > 5300 {
		t.Errorf("%d of 100,000 positions are in an arc of 5 %%", n)
	}
}

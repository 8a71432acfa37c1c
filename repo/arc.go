package repo

import (
	"encoding/binary"
	"math"
)

// An Arc is a part of a circle of 2⁶⁴ positions, such as the names of packs begin with: a check of N % reads what lies in one, and the next
// check goes on where it ends. The zero Arc is empty.
type Arc struct {
	from, length uint64
	whole        bool
}

// NewArc returns a share of the circle, over 0 and up to 1, that begins at a position. So many of them as the share goes into 1, rounded up,
// cover all of it when each begins at the End of the one before.
func NewArc(from uint64, share float64) Arc {
	switch {
	case share >= 1:
		return Arc{from: from, whole: true}
	case !(share > 0):
		return Arc{}
	}
	n := uint64(min(math.Ceil(1/share-1e-9), 1<<32))
	return Arc{from: from, length: max(uint64(share*(1<<63))*2, math.MaxUint64/n+1)}
}

// All is the whole circle.
func All() Arc { return NewArc(0, 1) }

// Empty reports whether no position is in the arc.
func (a Arc) Empty() bool { return !a.whole && a.length == 0 }

// Has reports whether a position is in the arc.
func (a Arc) Has(position uint64) bool { return a.whole || position-a.from < a.length }

// End is where the next arc begins: behind the last position, and where this one begins when it is all.
func (a Arc) End() uint64 { return a.from + a.length }

// Position is where something lies on the circle that is named by random bytes: 8 of them at least.
func Position(name []byte) uint64 { return binary.BigEndian.Uint64(name) }

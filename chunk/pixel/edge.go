package pixel

import "math"

// Where the step is 1, a row does not wait for the end of the one above: an edge is its first sample, and for what lies left of it, that is the
// end of the row above, stands what is above that. The chain of samples that wait for the one to their left is no longer than a row then, so
// that a decoder can do two rows side by side. Edges lie between groups.

// noEdges stands for the first edge where there are none.
const noEdges = -1

// edge is the first edge of the block at or after sample at.
func (b *block) edge(at int) int {
	g := b.grid
	if g.first == noEdges {
		return math.MaxInt
	}
	rows := max(0, b.before+at-g.first+g.row-1) / g.row
	return (g.first+rows*g.row)&^(group-1) - b.before
}

// reach is how many samples left of an edge taps would read.
const reach = 3

// bend writes what is above over the samples left of the edge at at, and returns what to write back there.
func (b *block) bend(at int) (was [2 * reach]byte) {
	p := 2 * (b.sampleAt + at - reach)
	left := b.samples[p:][:2*reach]
	copy(was[:], left)
	copy(left, b.samples[p-2*b.grid.row:])
	return was
}

// unbend undoes bend.
func (b *block) unbend(at int, was [2 * reach]byte) {
	copy(b.samples[2*(b.sampleAt+at-reach):], was[:])
}

// span is samples of the block, from at up to end, of one row.
type span struct {
	at, end int
	edge    bool // at is an edge
}

// span returns the samples from at, which is below n, to the end of its row, or to n.
func (b *block) span(at, n int) span {
	if next := b.edge(at); next > at {
		return span{at, min(next, n), false}
	}
	return span{at, min(b.edge(at+group), n), true}
}

// left returns the three samples left of a span, the nearest one first.
func (b *block) left(s *span) (x [reach]uint32) {
	p := 2 * (b.sampleAt + s.at)
	if s.edge {
		p -= 2 * b.grid.row
	}
	for k := range x {
		x[k] = sample(b.samples, p-2-2*k)
	}
	return x
}

func (s *span) len() int { return s.end - s.at }

// pass takes the first n samples away.
func (s *span) pass(n int) {
	s.at += n
	s.edge = s.edge && n == 0
}

package faulty

import (
	"bytes"
	"math/rand/v2"
)

// Crash returns a file system as it may be found after a crash at this moment; the FS itself stays as it is. What was synced
// is there. Of the rest, seed 0 keeps nothing, seed 1 everything, and every other seed a random part: each change of a folder
// is kept or not; each write is kept, kept in its first part, kept as zeros, or not kept at all. A name that survives may so
// belong to an empty or torn file.
func (f *FS) Crash(seed uint64) *FS {
	f.mu.Lock()
	defer f.mu.Unlock()
	dice := dice{seed, rand.New(rand.NewPCG(seed, 0))}
	after := NewFS()
	survivors := map[*node]*node{f.root: after.root}
	for _, n := range f.nodes {
		if n != f.root {
			survivors[n] = after.newNode(n.dir, n.mode)
		}
		if !n.dir {
			s := survivors[n]
			s.data = dice.content(n)
			s.synced = len(s.data)
		}
	}
	for _, n := range f.nodes {
		if !n.dir {
			continue
		}
		s := survivors[n]
		for name, child := range dice.entries(n) {
			s.entries[name], s.kept[name] = survivors[child], survivors[child]
		}
	}
	return after
}

// dice decide what survives.
type dice struct {
	seed uint64
	rand *rand.Rand
}

func (d dice) below(n int) int {
	switch d.seed {
	case 0:
		return 0
	case 1:
		return n - 1
	}
	return d.rand.IntN(n)
}

// entries are those of a folder after the crash.
func (d dice) entries(n *node) map[string]*node {
	out := map[string]*node{}
	for name, child := range n.kept {
		out[name] = child
	}
	for _, changes := range n.pending {
		if d.below(2) == 1 {
			apply(out, changes)
		}
	}
	return out
}

// content is that of a file after the crash.
func (d dice) content(n *node) []byte {
	out := bytes.Clone(n.data[:n.synced])
	for _, s := range n.lost {
		clear(out[s.from:s.to])
	}
	from := n.synced
	for _, to := range n.writes {
		switch d.below(4) {
		case 0: // lost
		case 1: // the length was kept, the bytes were not
			out = grow(out, to)
		case 2: // torn
			end := from + d.below(to-from+1)
			out = grow(out, end)
			copy(out[from:], n.data[from:end])
		case 3:
			out = grow(out, to)
			copy(out[from:], n.data[from:to])
		}
		from = to
	}
	return out
}

// grow lengthens b to n bytes with zeros.
func grow(b []byte, n int) []byte {
	return append(b, make([]byte, max(0, n-len(b)))...)
}

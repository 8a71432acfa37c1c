package repo

import "slices"

// needed is a set of blobs, by the first eight bytes of their IDs: 8 bytes for each. IDs are keyed hashes, so that of 100 million
// blobs hardly two share these; where they do, one that nobody needs counts as needed, which loses nothing.
type needed struct {
	prefixes []uint64
	sorted   int // as many from the first on are in order, each once
}

// add may be told of a blob any number of times.
func (n *needed) add(id ID) {
	n.prefixes = append(n.prefixes, prefixOf(id))
	if len(n.prefixes)-n.sorted > 1<<20+n.sorted/2 { // what comes twice must not pile up
		n.sort()
	}
}

// sort has to be called before has, after the last add.
func (n *needed) sort() {
	slices.Sort(n.prefixes)
	n.prefixes = slices.Compact(n.prefixes)
	n.sorted = len(n.prefixes)
}

func (n *needed) has(prefix uint64) bool {
	_, found := slices.BinarySearch(n.prefixes, prefix)
	return found
}

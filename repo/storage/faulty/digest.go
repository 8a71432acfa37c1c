package faulty

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"io"
	"maps"
	"slices"
)

// Digest is the same for two file systems that hold the same names and contents, whatever of it was synced.
func (f *FS) Digest() (sum [sha256.Size]byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	h := sha256.New()
	f.root.digest(h)
	h.Sum(sum[:0])
	return sum
}

func (n *node) digest(h hash.Hash) {
	number := func(k int) { h.Write(binary.LittleEndian.AppendUint64(nil, uint64(k))) }
	number(len(n.data))
	h.Write(n.data)
	number(len(n.entries))
	for _, name := range slices.Sorted(maps.Keys(n.entries)) {
		number(len(name))
		io.WriteString(h, name)
		n.entries[name].digest(h)
	}
}

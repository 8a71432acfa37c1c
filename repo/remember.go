package repo

import (
	"encoding/binary"
	"sync"
)

// readCopies is the set of copies of blobs that Get has found whole, by pack and offset: 8 bytes for each. A nil one remembers none.
type readCopies struct {
	mu   sync.Mutex
	seen needed
}

// Remember lets Get remember from here on which copies of blobs it finds whole: ReadPacks does not decode them again. It holds 8 bytes for
// each.
func (c *Checking) Remember() { c.r.read.Store(&readCopies{}) }

// copyKey stands for one copy of a blob. The names of packs are hashes, so that hardly two copies of 100 million share one; where they do, one
// of them is not decoded though it could be, and its bytes are still compared with the name of the pack.
func copyKey(pack packID, offset uint32) (key ID) {
	binary.BigEndian.PutUint64(key[:], binary.BigEndian.Uint64(pack[:8])^uint64(offset)*0x9e3779b97f4a7c15)
	return key
}

func (c *readCopies) add(at blobCopy) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen.add(copyKey(at.in.id, at.offset))
}

// sort has to be called before has, after the last add.
func (c *readCopies) sort() {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen.sort()
}

func (c *readCopies) has(pack packID, offset uint32) bool {
	return c != nil && c.seen.has(prefixOf(copyKey(pack, offset)))
}

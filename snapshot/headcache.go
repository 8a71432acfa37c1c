package snapshot

import (
	"context"
	"fmt"
	"sync"

	"github.com/orthokeep/orthokeep/repo"
)

// headCache keeps the head chunks that were read last, so that neighbours share one read. It may be used by several
// goroutines at once; a chunk that two ask for is read once.
type headCache struct {
	from  getter
	limit int

	mu    sync.Mutex
	slots map[repo.ID]*headSlot
	order []repo.ID // oldest first
}

type headSlot struct {
	once sync.Once
	data []byte
	err  error
}

func newHeadCache(from getter, chunks int) *headCache {
	return &headCache{from: from, limit: chunks, slots: map[repo.ID]*headSlot{}}
}

// get returns the bytes of a head chunk; they must not be changed.
func (c *headCache) get(ctx context.Context, h headRef) ([]byte, error) {
	c.mu.Lock()
	slot := c.slots[h.id]
	if slot == nil {
		slot = &headSlot{}
		c.slots[h.id] = slot
		if c.order = append(c.order, h.id); len(c.order) > c.limit {
			delete(c.slots, c.order[0])
			c.order = c.order[1:]
		}
	}
	c.mu.Unlock()
	slot.once.Do(func() {
		slot.data, slot.err = c.from.Get(ctx, repo.Content, h.id, nil)
	})
	if slot.err == nil && len(slot.data) != int(h.length) {
		return nil, fmt.Errorf("head chunk %.8s has another length than its manifest says: %w", h.id, repo.ErrCorrupt)
	}
	return slot.data, slot.err
}

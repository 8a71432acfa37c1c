package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/orthokeep/orthokeep/chunk/pixel"
	"github.com/orthokeep/orthokeep/repo"
)

// maxRebuilt bounds the head chunks that are put together at a time: half a megabyte each.
const maxRebuilt = 256

// rebuiltChunk is a head chunk on its way.
type rebuiltChunk struct {
	data []byte
	have int64 // bytes
	lost bool  // an attachment of it is gone
}

// healHeads stores the head chunks of the parent that are in danger or lost anew, byte for byte, where the server still has every attachment
// whose head is in them: then earlier snapshots are whole again. What is bulk heals when the attachment is read again.
func (s *Session) healHeads(ctx context.Context, area Area) error {
	if s.carry.doubtful == nil || s.parent == nil {
		return nil
	}
	for i := range s.carry.heads {
		h := headHealer{s: s, area: area, heads: s.carry.heads[i], chunks: map[uint64]*rebuiltChunk{}}
		if !h.any() {
			continue
		}
		layer := Manifest{Layers: s.parent.Manifest.Layers[i : i+1]}
		for e, err := range layer.entries(ctx, s.repo) {
			if err == nil {
				err = h.take(ctx, e.Entry)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// headHealer puts the head chunks of a layer together.
type headHealer struct {
	s      *Session
	area   Area
	heads  []headRef
	chunks map[uint64]*rebuiltChunk // by number
	order  []uint64                 // of these, in which they were begun
}

func (h *headHealer) any() bool {
	for _, ref := range h.heads {
		if h.s.carry.doubtful(ref.id) {
			return true
		}
	}
	return false
}

// take copies the head of an attachment to the chunks that it lies in.
func (h *headHealer) take(ctx context.Context, e *Entry) error {
	var at int64 // in the head
	for part, err := range e.headParts(h.heads) {
		if err != nil {
			return err
		}
		from := at
		at += part.size
		if !h.s.carry.doubtful(h.heads[part.chunk].id) {
			continue
		}
		c := h.chunk(part.chunk)
		if c.lost {
			continue
		}
		if err := readPart(h.area, e.UUID, c.data[part.offset:part.offset+part.size], from); errors.Is(err, ErrVanished) {
			c.lost, c.data = true, nil
			continue
		} else if err != nil {
			return err
		}
		if c.have += part.size; c.have == int64(len(c.data)) {
			if _, _, err := h.s.run.Put(ctx, repo.Content, c.data, pixel.Layout{}); err != nil {
				return err
			}
			c.lost, c.data = true, nil // done with
		}
	}
	return nil
}

// chunk returns the chunk of a number. Of too many the one that was begun first is given up.
func (h *headHealer) chunk(n uint64) *rebuiltChunk {
	c := h.chunks[n]
	if c == nil {
		if len(h.order) == maxRebuilt {
			old := h.chunks[h.order[0]]
			old.lost, old.data = true, nil
			h.order = h.order[1:]
		}
		c = &rebuiltChunk{data: make([]byte, h.heads[n].length)}
		h.chunks[n], h.order = c, append(h.order, n)
	}
	return c
}

// readPart reads bytes of an attachment. One that is shorter has vanished, as far as its head is concerned.
func readPart(area Area, id UUID, into []byte, off int64) error {
	f, err := area.Open(id)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.ReadAt(into, off); errors.Is(err, io.EOF) && off+int64(len(into)) > f.Size() {
		return fmt.Errorf("attachment %s is shorter than it was: %w", id, ErrVanished)
	} else if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("attachment %s: %w", id, err)
	}
	return nil
}

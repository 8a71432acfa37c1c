package snapshot

import (
	"context"

	"github.com/orthokeep/orthokeep/chunk"
	"github.com/orthokeep/orthokeep/chunk/pixel"
	"github.com/orthokeep/orthokeep/repo"
)

// headStream joins the heads of attachments into one stream, cuts and stores it, and tells each entry where its head lies.
// Entries wait until the stream has been cut behind their head: at most six of its largest chunks, 12 MiB.
type headStream struct {
	ctx     context.Context
	to      putter
	cut     *cutter
	next    uint64 // number of the next chunk
	written int64  // bytes of the stream
	emitted int64  // of these, bytes in chunks
	waiting []waitingEntry
	ready   []Entry   // their blobs are put; not noted yet
	chunks  []headRef // put, and not noted yet
}

type waitingEntry struct {
	Entry
	start, end int64 // in the stream
	placed     bool  // the chunk that holds start is known
}

func newHeadStream(ctx context.Context, to putter, pol chunk.Pol, next uint64) *headStream {
	h := &headStream{ctx: ctx, to: to, next: next}
	h.cut = newCutter(pol, chunk.Heads, h.emit)
	return h
}

// add appends an attachment's head.
func (h *headStream) add(s stored) error {
	if s.headLength == 0 {
		h.ready = append(h.ready, s.Entry)
		return nil
	}
	h.waiting = append(h.waiting, waitingEntry{Entry: s.Entry, start: h.written, end: h.written + s.headLength})
	h.written += s.headLength
	_, err := h.cut.Write(s.head)
	return err
}

// emit stores a chunk and places the heads in it.
func (h *headStream) emit(data []byte) error {
	id, _, err := h.to.Put(h.ctx, repo.Content, data, pixel.Layout{})
	if err != nil {
		return err
	}
	h.chunks = append(h.chunks, headRef{id, uint32(len(data))})
	end, done := h.emitted+int64(len(data)), 0
	for i := range h.waiting {
		w := &h.waiting[i]
		if w.start >= end {
			break
		}
		if !w.placed {
			w.placed, w.headChunk, w.headOffset = true, h.next, w.start-h.emitted
		}
		if w.end <= end {
			h.ready = append(h.ready, w.Entry)
			done++
		}
	}
	h.waiting = append(h.waiting[:0], h.waiting[done:]...)
	h.emitted = end
	h.next++
	return nil
}

// close cuts the rest: every entry is ready then.
func (h *headStream) close() error { return h.cut.Close() }

// noted forgets what has become ready: it is in the journal.
func (h *headStream) noted() { h.chunks, h.ready = nil, nil }

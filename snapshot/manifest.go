package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/orthokeep/orthokeep/chunk"
	"github.com/orthokeep/orthokeep/repo"
)

const (
	maxLayers     = 64
	maxHeadChunks = 1 << 24 // of all layers, 40 bytes of memory each: 8 TiB of heads
	leastEntry    = 39      // bytes of an entry
	leastDeletion = 3       // bytes of the entry of a deleted key
)

// Layer is a base or a delta of a manifest.
type Layer struct {
	Entries Stream `json:"entries"`
	Blocks  Stream `json:"blocks"`
	Heads   Stream `json:"heads"`
	Count   int64  `json:"count"`   // entries that are not deletions
	Deleted int64  `json:"deleted"` // deletions
}

// Bytes is the length of the layer's entries, plain.
func (l Layer) Bytes() int64 { return l.Entries.length }

// Manifest is the list of a snapshot's attachments.
type Manifest struct {
	Attachments int64   `json:"attachments"`
	Layers      []Layer `json:"layers"`
}

// check sees that the manifest is in bounds, as far as its root says: what was counted is there to be counted.
func (m Manifest) check() error {
	bad := fmt.Errorf("manifest out of bounds: %w", repo.ErrCorrupt)
	if len(m.Layers) > maxLayers {
		return bad
	}
	var count, heads int64
	for _, l := range m.Layers {
		if l.Count < 0 || l.Deleted < 0 || l.Count > l.Entries.length/leastEntry || l.Deleted > l.Entries.length/leastDeletion {
			return bad
		}
		if l.Heads.length%headItem != 0 || l.Blocks.length%blockItem != 0 || l.Blocks.length/blockItem > l.Count+l.Deleted {
			return bad
		}
		count, heads = count+l.Count, heads+l.Heads.length/headItem
	}
	if m.Attachments < 0 || m.Attachments > min(count, maxCount) || heads > maxHeadChunks {
		return bad
	}
	return nil
}

// deltaEntries is the number of entries of all layers but the base.
func (m Manifest) deltaEntries() (n int64) {
	for _, l := range m.Layers[min(1, len(m.Layers)):] {
		n += l.Count + l.Deleted
	}
	return n
}

// placed is an entry and the layer in which its head chunks are numbered.
type placed struct {
	*Entry
	layer int
	until int // of chain.seen: snapshots of more than layer and of at most until layers see the entry; in others a later layer has the key too
}

// entries merges the layers: every attachment once, in order. The entry is valid until the next step. It holds one block
// of each layer in memory.
func (m Manifest) entries(ctx context.Context, from getter) iter.Seq2[placed, error] {
	return func(yield func(placed, error) bool) {
		for versions, err := range m.versions(ctx, from) {
			if err != nil {
				yield(placed{}, err)
				return
			}
			if newest := versions[len(versions)-1]; !newest.deleted && !yield(newest, nil) {
				return
			}
		}
	}
}

// versions yields for every key that any layer has, in order, the entries under it, deletions too, that of the oldest layer first.
// They are valid until the next step.
func (m Manifest) versions(ctx context.Context, from getter) iter.Seq2[[]placed, error] {
	return func(yield func([]placed, error) bool) {
		var cursors []*layerCursor
		for i, l := range m.Layers {
			c := &layerCursor{r: newBlockReader(newStreamReader(ctx, from, repo.Structure, l.Entries)), layer: i}
			if err := c.advance(); err != nil {
				yield(nil, err)
				return
			}
			cursors = append(cursors, c)
		}
		var at []*layerCursor // those that stand at the lowest key
		var versions []placed
		for {
			if at = lowest(cursors, at[:0]); len(at) == 0 {
				return
			}
			versions = versions[:0]
			for _, c := range at {
				versions = append(versions, placed{&c.e, c.layer, 0})
			}
			if !yield(versions, nil) {
				return
			}
			for _, c := range at {
				if err := c.advance(); err != nil {
					yield(nil, err)
					return
				}
			}
		}
	}
}

// layerCursor stands at an entry of a layer.
type layerCursor struct {
	r     *blockReader
	e     Entry
	layer int
	done  bool
}

func (c *layerCursor) advance() error {
	err := c.r.read(&c.e)
	if errors.Is(err, io.EOF) {
		c.done = true
		return nil
	}
	return err
}

// lowest appends the cursors that stand at the lowest key to at, in the order of their layers.
func lowest(cursors, at []*layerCursor) []*layerCursor {
	for _, c := range cursors {
		if c.done {
			continue
		}
		if len(at) > 0 {
			switch order := c.e.Key.Compare(at[0].e.Key); {
			case order > 0:
				continue
			case order < 0:
				at = at[:0]
			}
		}
		at = append(at, c)
	}
	return at
}

// layerWriter stores a layer.
type layerWriter struct {
	entries, blocks, heads *streamWriter
	block                  *blockWriter
	layer                  Layer
	headCount              uint64
}

func newLayerWriter(ctx context.Context, to putter, pol chunk.Pol) *layerWriter {
	stream := func() *streamWriter { return newStreamWriter(ctx, to, pol, chunk.Stream, repo.Structure) }
	w := &layerWriter{entries: stream(), blocks: stream(), heads: stream()}
	w.block = newBlockWriter(w.entries, w.blocks)
	return w
}

// head adds a head chunk and returns its number.
func (w *layerWriter) head(h headRef) (uint64, error) {
	w.headCount++
	_, err := w.heads.Write(h.append(nil))
	return w.headCount - 1, err
}

func (w *layerWriter) write(e *Entry) error {
	if e.deleted {
		w.layer.Deleted++
	} else {
		w.layer.Count++
	}
	return w.block.write(e)
}

func (w *layerWriter) finish() (Layer, error) {
	if err := w.block.flush(); err != nil {
		return Layer{}, err
	}
	var err error
	for _, s := range []struct {
		w  *streamWriter
		to *Stream
	}{{w.entries, &w.layer.Entries}, {w.blocks, &w.layer.Blocks}, {w.heads, &w.layer.Heads}} {
		if *s.to, err = s.w.finish(); err != nil {
			return Layer{}, err
		}
	}
	return w.layer, nil
}

// readHeads returns the head chunks of a layer.
func readHeads(ctx context.Context, from getter, l Layer) ([]headRef, error) {
	if l.Heads.length%headItem != 0 || l.Heads.length/headItem > maxHeadChunks {
		return nil, fmt.Errorf("list of head chunks is out of bounds: %w", repo.ErrCorrupt)
	}
	var heads []headRef
	r := newStreamReader(ctx, from, repo.Structure, l.Heads)
	for {
		var b [headItem]byte
		if _, err := io.ReadFull(r, b[:]); err == io.EOF {
			return heads, nil
		} else if err != nil {
			return nil, err
		}
		h, err := parseHeadRef(b[:])
		if err != nil {
			return nil, err
		}
		heads = append(heads, h)
	}
}

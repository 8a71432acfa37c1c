package repo

import (
	"context"
	"fmt"
)

// Stats are figures of a repository as its segments tell them.
type Stats struct {
	Packs          int64 `json:"packs"`
	Blobs          int64 `json:"blobs"`
	Segments       int64 `json:"segments"`
	Epochs         int64 `json:"epochs"`
	Stored         int64 `json:"stored"`          // bytes of all objects in the storage
	PackBytes      int64 `json:"pack_bytes"`      // bytes of packs
	StructureBytes int64 `json:"structure_bytes"` // of these, in packs of structure
	ContentPlain   int64 `json:"content_plain"`   // bytes of content before encoding, each blob once
}

// Stats lists the storage once and adds up what the segments list, one blob at a time.
func (r *Repository) Stats(ctx context.Context) (s Stats, err error) {
	var stored int64
	for o, err := range r.st.List(ctx, "") {
		if err != nil {
			return s, fmt.Errorf("list the storage: %w", err)
		}
		stored += o.Size
	}
	err = r.search(ctx, func() error {
		w := statsWalker{Stats{Stored: stored, Segments: r.blobs.segments()}, map[uint32]bool{}}
		err := r.blobs.walk(&w)
		w.Epochs = int64(len(w.epochs))
		s = w.Stats
		return err
	})
	return s, err
}

type statsWalker struct {
	Stats
	epochs map[uint32]bool
}

func (s *statsWalker) pack(p packCell) error {
	s.Packs++
	s.PackBytes += p.size
	if p.class == Structure {
		s.StructureBytes += p.size
	}
	return nil
}

func (s *statsWalker) blob(e entry) error {
	s.Blobs++
	if e.class() == Content {
		s.ContentPlain += int64(e.plain)
		s.epochs[e.epoch] = true
	}
	return nil
}

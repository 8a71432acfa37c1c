package snapshot

import (
	"context"

	"github.com/orthokeep/orthokeep/chunk"
	"github.com/orthokeep/orthokeep/chunk/pixel"
	"github.com/orthokeep/orthokeep/repo"
)

// Sizer finds out what attachments would take up, by reading and encoding them without storing anything. It is for one goroutine.
type Sizer struct {
	heads  []byte // of the attachments so far, encoded together as they would be
	sizes  *sizes
	reader *batchReader
}

// sizes counts what would be put.
type sizes struct {
	repo   *repo.Repository
	stored int64
}

func (s *sizes) Put(_ context.Context, _ repo.Class, plain []byte, layout pixel.Layout) (repo.ID, bool, error) {
	s.stored += int64(s.repo.EncodedSize(plain, layout))
	return repo.ID{}, true, nil
}

// NewSizer returns a Sizer for a repository.
func NewSizer(r *repo.Repository) *Sizer {
	put, pol := &sizes{repo: r}, r.Polynomial()
	return &Sizer{sizes: put, reader: newBatchReader(put, func(m [16]byte) [16]byte { return m }, pol)}
}

// Add reads an attachment and returns its length in bytes; 0 when it has vanished.
func (s *Sizer) Add(ctx context.Context, area Area, uuid UUID) (int64, error) {
	batch, err := s.reader.store(ctx, area, []UUID{uuid})
	if err != nil || batch[0].vanished {
		return 0, err
	}
	a := batch[0]
	s.heads = append(s.heads, a.head...)
	if len(s.heads) >= int(chunk.Heads.Max) {
		s.flush()
	}
	return a.Size, nil
}

func (s *Sizer) flush() {
	if len(s.heads) > 0 {
		s.sizes.stored += int64(s.sizes.repo.EncodedSize(s.heads, pixel.Layout{}))
		s.heads = s.heads[:0]
	}
}

// Stored returns the bytes that the attachments so far would take up.
func (s *Sizer) Stored() int64 {
	s.flush()
	return s.sizes.stored
}

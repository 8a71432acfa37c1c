package snapshot

import (
	"context"
	"crypto/md5"
	"errors"
	"iter"
	"runtime"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/orthokeep/orthokeep/chunk"
)

// batchReader reads attachments, a batch of them in one goroutine: small files together, since their MD5 is quicker so, and large ones in
// goroutines of their own. Batches may be read at once. For each it holds batchSize bytes, and a few chunks for each core.
type batchReader struct {
	create func() *attachmentReader
	large  chan struct{} // a place for each large file that may be read at once

	mu   sync.Mutex
	idle []*attachmentReader // kept for as long as this is: memory that has been touched is quicker than new memory
}

func newBatchReader(to putter, keyedMD5 func([16]byte) [16]byte, pol chunk.Pol) *batchReader {
	b := &batchReader{large: make(chan struct{}, runtime.GOMAXPROCS(0))}
	b.create = func() *attachmentReader {
		return &attachmentReader{to: to, md5: keyedMD5, bulk: chunk.NewSplitter(pol, chunk.Bulk), hash: md5.New()}
	}
	return b
}

func (b *batchReader) get() *attachmentReader {
	b.mu.Lock()
	defer b.mu.Unlock()
	last := len(b.idle) - 1
	if last < 0 {
		return b.create()
	}
	r := b.idle[last]
	b.idle = b.idle[:last]
	return r
}

func (b *batchReader) put(r *attachmentReader) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.idle = append(b.idle, r)
}

// store reads attachments, each once, puts their bulk and returns their entries and heads, in the same order.
func (b *batchReader) store(ctx context.Context, area Area, batch []UUID) ([]stored, error) {
	out := make([]stored, len(batch))
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		r := b.get()
		for i, uuid := range batch {
			out[i].UUID = uuid
			if err := b.one(ctx, g, r, area, &out[i]); err != nil {
				return err // r goes too: it holds the beginning of this batch
			}
		}
		if err := r.flush(ctx); err != nil {
			return err
		}
		b.put(r)
		return nil
	})
	return out, g.Wait()
}

// one reads an attachment into memory, or starts to read a large one.
func (b *batchReader) one(ctx context.Context, g *errgroup.Group, r *attachmentReader, area Area, s *stored) error {
	f, err := area.Open(s.UUID)
	if errors.Is(err, ErrVanished) {
		s.vanished = true
		return nil
	}
	if err != nil {
		return err
	}
	if f.Size() <= wholeFile {
		defer f.Close()
		return r.read(ctx, f, s)
	}
	g.Go(func() error {
		defer f.Close()
		b.large <- struct{}{}
		defer func() { <-b.large }()
		r := b.get()
		defer b.put(r)
		return r.large(ctx, f, s)
	})
	return nil
}

// batches groups a list. An error ends it, behind what came before.
func batches[T any](list iter.Seq2[T, error], size int) iter.Seq2[[]T, error] {
	return func(yield func([]T, error) bool) {
		var batch []T
		for item, err := range list {
			if err != nil {
				if len(batch) == 0 || yield(batch, nil) {
					yield(nil, err)
				}
				return
			}
			if batch = append(batch, item); len(batch) == size {
				if !yield(batch, nil) {
					return
				}
				batch = nil
			}
		}
		if len(batch) > 0 {
			yield(batch, nil)
		}
	}
}

package snapshot

import (
	"context"
	"io"
	"iter"
	"slices"
	"sync"
)

// copyBatches groups small attachments, whose MD5 is quicker together. A large one is a batch by itself.
func copyBatches(list iter.Seq2[placed, error]) iter.Seq2[[]placed, error] {
	return func(yield func([]placed, error) bool) {
		var batch []placed
		var bytes int64
		flush := func() bool {
			full := batch
			batch, bytes = nil, 0
			return len(full) == 0 || yield(full, nil)
		}
		for p, err := range list {
			if err != nil {
				if flush() {
					yield(nil, err)
				}
				return
			}
			if len(batch) == md5Lanes || bytes+p.Size > batchSize || p.Size > wholeFile {
				if !flush() {
					return
				}
			}
			batch, bytes = append(batch, p), bytes+p.Size
			if p.Size > wholeFile && !flush() {
				return
			}
		}
		flush()
	}
}

// copyBatch is the memory of a batch of small attachments that are put together.
type copyBatch struct {
	buf   []byte
	spans []span // of buf, by attachment
	sums  [][16]byte
	errs  []error // by attachment: it could not be read, or is not what was backed up
}

// copyBatchMemory keeps them from batch to batch.
var copyBatchMemory = sync.Pool{New: func() any { return new(copyBatch) }}

// read puts the attachments of a batch together, and verifies them.
func (b *copyBatch) read(ctx context.Context, c *copier, batch []placed) {
	b.buf, b.spans, b.errs = slices.Grow(b.buf[:0], room(batch)), b.spans[:0], b.errs[:0]
	for i, p := range batch {
		from := nextPlace(len(b.buf), i)
		b.buf = slices.Grow(b.buf, from-len(b.buf))[:from]
		data, err := c.fetch(ctx, b.buf, p)
		if err == nil {
			b.buf = data
		}
		b.spans, b.errs = append(b.spans, span{from, len(b.buf)}), append(b.errs, err)
	}
	b.sums = md5Sums(b.sums[:0], b.buf, b.spans)
	for i, p := range batch {
		if b.errs[i] == nil {
			b.errs[i] = c.verify(p, b.sums[i])
		}
	}
}

// room is the bytes that a batch takes, by its sizes: the buffer need not grow, and be copied, from one attachment to the next.
func room(batch []placed) (n int) {
	for i, p := range batch {
		n = nextPlace(n, i) + int(p.Size)
	}
	return n
}

// bytes returns those of an attachment of the batch, valid until the next read.
func (b *copyBatch) bytes(i int) []byte { return b.buf[b.spans[i].from:b.spans[i].to] }

// isLarge says whether an attachment is a batch by itself, which is copied a blob at a time.
func isLarge(batch []placed) bool { return len(batch) == 1 && batch[0].Size > wholeFile }

// copyAll puts the attachments of a batch together, and returns what is wrong with each.
func copyAll(ctx context.Context, c *copier, batch []placed) []error {
	if isLarge(batch) {
		return []error{c.copy(ctx, io.Discard, batch[0])}
	}
	b := copyBatchMemory.Get().(*copyBatch)
	defer copyBatchMemory.Put(b)
	b.read(ctx, c, batch)
	return slices.Clone(b.errs)
}

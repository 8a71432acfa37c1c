package snapshot

import (
	"context"
	"iter"
	"os"
	"slices"
)

// restoreBatches groups small attachments, whose MD5 is quicker together. A large one is a batch by itself.
func restoreBatches(list iter.Seq2[placed, error]) iter.Seq2[[]placed, error] {
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

// restoreBatch is the memory of a batch of small attachments on their way to their files.
type restoreBatch struct {
	buf   []byte
	spans []span // of buf, by attachment; empty for one that is damaged
	sums  [][16]byte
}

// writeAll restores a batch. Damage is in the results, any other failure is the error.
func (w *attachmentWriter) writeAll(ctx context.Context, batch []placed) ([]written, error) {
	if len(batch) == 1 && batch[0].Size > wholeFile {
		one, err := w.write(ctx, batch[0])
		return []written{one}, err
	}
	b := w.batches.Get().(*restoreBatch)
	defer w.batches.Put(b)
	out := make([]written, len(batch))
	if err := b.read(ctx, w, batch, out); err != nil {
		return nil, err
	}
	b.sums = md5Sums(b.sums[:0], b.buf, b.spans)
	for i, p := range batch {
		if out[i].err == nil {
			out[i].err = w.verify(p, b.sums[i])
		}
		if out[i].err != nil {
			if err := w.makeWay(w.to.Place(p.UUID)); err != nil { // nothing else stays in its place
				return nil, err
			}
			continue
		}
		data := b.buf[b.spans[i].from:b.spans[i].to]
		err := w.create(p, func(f *os.File) error {
			_, err := f.Write(data)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// read reads the attachments of a batch into memory.
func (b *restoreBatch) read(ctx context.Context, w *attachmentWriter, batch []placed, out []written) error {
	b.buf, b.spans = b.buf[:0], b.spans[:0]
	for i, p := range batch {
		out[i] = written{uuid: p.UUID, size: p.Size}
		from := nextPlace(len(b.buf), i)
		b.buf = slices.Grow(b.buf, from-len(b.buf)+int(p.Size))[:from]
		data, err := w.fetch(ctx, b.buf, p)
		switch {
		case err == nil:
			b.buf = data
		case isDamage(err):
			out[i].err = err
		default:
			return err
		}
		b.spans = append(b.spans, span{from, len(b.buf)})
	}
	return nil
}

// fetch appends the bytes of an attachment to dst.
func (w *attachmentWriter) fetch(ctx context.Context, dst []byte, p placed) ([]byte, error) {
	err := w.head(ctx, p, func(part []byte) error {
		dst = append(dst, part...)
		return nil
	})
	for _, b := range p.bulk {
		if err != nil {
			break
		}
		dst, err = w.blob(ctx, b, dst)
	}
	return dst, err
}

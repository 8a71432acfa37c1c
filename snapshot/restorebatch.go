package snapshot

import (
	"context"
	"os"
)

// writeAll restores a batch. Damage is in the results, any other failure is the error.
func (w *attachmentWriter) writeAll(ctx context.Context, batch []placed) ([]written, error) {
	if isLarge(batch) {
		one, err := w.write(ctx, batch[0])
		return []written{one}, err
	}
	b := copyBatchMemory.Get().(*copyBatch)
	defer copyBatchMemory.Put(b)
	b.read(ctx, w.copier, batch)
	out := make([]written, len(batch))
	for i, p := range batch {
		out[i] = written{uuid: p.UUID, size: p.Size}
		var err error
		switch {
		case b.errs[i] == nil:
			err = w.create(p, func(f *os.File) error {
				_, err := f.Write(b.bytes(i))
				return err
			})
		case isDamage(b.errs[i]):
			out[i].err = b.errs[i]
			err = w.makeWay(w.to.Place(p.UUID)) // nothing else stays in its place
		default:
			err = b.errs[i]
		}
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

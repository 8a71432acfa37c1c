package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"sync"

	"github.com/orthokeep/orthokeep/repo"
)

// Destination is where attachments are restored to: where the files of attachments go, and whose they are.
type Destination struct {
	Dir       string            // exists; no link in it leads out of it
	Place     func(UUID) string // path of an attachment below Dir
	Mode      fs.FileMode       // of files
	DirMode   fs.FileMode       // of folders made below Dir
	Chown     bool              // give files and folders to UID and GID
	UID, GID  int
	Overwrite bool // replace files in the way, which is an error otherwise
}

// Restored says what a restore has written.
type Restored struct {
	Attachments int64
	Bytes       int64
	Damaged     []UUID // not written, because a blob is damaged or the MD5 differs; at most 1000 are named
	DamagedAll  int64  // their number
}

const damagedNamed = 1000

// RestoreAttachments writes every attachment of a snapshot to a destination, each one verified against the size and the MD5 of
// its backup before it counts. A damaged one is not written, is named in the result, and does not stop the others; the error then
// matches repo.ErrCorrupt. Memory is bounded by batchSize and a few chunks for each worker.
func RestoreAttachments(ctx context.Context, r *repo.Repository, root *Root, to Destination, p Progress) (Restored, error) {
	below, err := os.OpenRoot(to.Dir)
	if err != nil {
		return Restored{}, err
	}
	defer below.Close()
	out := newAttachmentWriter(r, to)
	out.below = below
	if err := out.open(ctx, root.Manifest); err != nil {
		return Restored{}, err
	}
	var res Restored
	done := func(batch []written) error {
		for _, w := range batch {
			if w.err != nil {
				if res.DamagedAll++; res.DamagedAll <= damagedNamed {
					res.Damaged = append(res.Damaged, w.uuid)
				}
				continue
			}
			res.Attachments++
			res.Bytes += w.size
			p.Add(1, w.size)
		}
		return nil
	}
	entries := within(root.Manifest.entries(ctx, r), root.Manifest.Attachments, root.Counts.Bytes)
	list := copyBatches(byPlace(entries, placeBatch))
	if err := ordered(ctx, restoreWorkers(), 4*restoreWorkers(), list, out.writeAll, done); err != nil {
		return res, err
	}
	if res.DamagedAll > 0 {
		return res, fmt.Errorf("%d attachments are damaged and were not restored, the first is %s: %w", res.DamagedAll, res.Damaged[0], repo.ErrCorrupt)
	}
	if res.Attachments != root.Manifest.Attachments {
		return res, fmt.Errorf("manifest lists %d attachments instead of %d: %w", res.Attachments, root.Manifest.Attachments, repo.ErrCorrupt)
	}
	return res, nil
}

// restoreWorkers is how many batches are written at once: some wait for the disk while others decode.
func restoreWorkers() int { return 2 + runtime.GOMAXPROCS(0) }

type attachmentWriter struct {
	*copier
	to      Destination
	below   *os.Root // to.Dir
	folders sync.Map // made already
}

type written struct {
	uuid UUID
	size int64
	err  error // the attachment is damaged
}

func newAttachmentWriter(r *repo.Repository, to Destination) *attachmentWriter {
	return &attachmentWriter{copier: newCopier(r, restoreWorkers()), to: to}
}

func (w *attachmentWriter) open(ctx context.Context, m Manifest) error {
	for _, l := range m.Layers {
		heads, err := readHeads(ctx, w.repo, l)
		if err != nil {
			return err
		}
		w.heads = append(w.heads, heads)
	}
	return nil
}

// write restores one large attachment, blob by blob. Damage is in the result, any other failure is the error.
func (w *attachmentWriter) write(ctx context.Context, p placed) (written, error) {
	res := written{uuid: p.UUID, size: p.Size}
	err := w.create(p, func(f *os.File) error { return w.copy(ctx, f, p) })
	if isDamage(err) {
		res.err = err
		return res, nil
	}
	return res, err
}

// isDamage says whether an error is damage of the repository, which does not stop the others.
func isDamage(err error) bool {
	return errors.Is(err, repo.ErrCorrupt) || errors.Is(err, repo.ErrNotFound)
}

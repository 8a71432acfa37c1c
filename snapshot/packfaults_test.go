package snapshot

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/orthokeep/orthokeep/repo"
	"github.com/orthokeep/orthokeep/repo/storage"
	"github.com/orthokeep/orthokeep/repo/storage/faulty"
)

// TestLargeAttachmentThatFails: an attachment that is too long to be read whole before it is cut, and cannot be read to the end, or stored.
func TestLargeAttachmentThatFails(t *testing.T) {
	w := newMemoryWorld(t, testKeys(t))
	data := make([]byte, wholeFile+3_000_000)
	for i := range data {
		data[i] = byte(w.rnd.Uint32())
	}
	w.addFile(data)
	one := func(yield func(UUID, error) bool) { yield(w.list[0].UUID, nil) }
	for _, good := range []int64{0, 100_000, wholeFile, wholeFile + 2_000_000} {
		s, j := w.session(w.st)
		if _, err := s.Store(t.Context(), brokenArea{w, w.list[0].UUID, good}, one); !errors.Is(err, errDisk) {
			t.Errorf("after %d bytes: %v", good, err)
		}
		if err := errors.Join(s.End(t.Context(), false, now), j.Close()); err != nil {
			t.Fatal(err)
		}
	}
	for k := range 4 {
		st := faulty.Wrap(w.st)
		s, j := w.session(st)
		st.FailChange(st.Changes()+k, faulty.Full)
		if _, err := s.Store(t.Context(), w, one); !errors.Is(err, storage.ErrNoSpace) {
			t.Errorf("change %d: %v", k, err)
		}
		if err := errors.Join(s.End(t.Context(), false, now), j.Close()); err != nil {
			t.Fatal(err)
		}
	}
	w.verify(w.state(w.mustBackup()))
}

// TestJournalThatFailsLater: what was read is in the repository, and not in the journal: the next backup reads it again.
func TestJournalThatFailsLater(t *testing.T) {
	for k := 0; ; k++ {
		w := newMemoryWorld(t, testKeys(t))
		w.add(3, 900)
		s, j := w.session(w.st)
		fault := j.failAt(k)
		if _, err := s.Store(t.Context(), w, s.Missing(t.Context(), w.attachments(), new(Difference))); errors.Is(err, errHost) != fault.failed() {
			t.Errorf("operation %d: Store says %v", k, err)
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		w.verify(w.state(w.mustBackup()))
		if !fault.failed() {
			return
		}
	}
}

// TestBackupWithUnreadableParent: the storage fails once the backup has begun, for every read; each step that needs its parent says so.
func TestBackupWithUnreadableParent(t *testing.T) {
	for name, step := range map[string]func(context.Context, *world, *Session) error{
		"missing": func(ctx context.Context, w *world, s *Session) (err error) {
			for _, e := range s.Missing(ctx, w.attachments(), new(Difference)) {
				err = e
			}
			return err
		},
		"missing, of a server that is empty": func(ctx context.Context, w *world, s *Session) (err error) {
			for _, e := range s.Missing(ctx, func(func(Attachment, error) bool) {}, new(Difference)) {
				err = e
			}
			return err
		},
		"not stored": func(ctx context.Context, w *world, s *Session) (err error) {
			for _, e := range s.NotStored(ctx, func(yield func(UUID, error) bool) { yield(UUID{1}, nil) }) {
				err = e
			}
			return err
		},
		"manifest": func(ctx context.Context, w *world, s *Session) error {
			return second(s.StoreManifest(ctx, w.attachments(), Difference{New: 1}))
		},
		"orphans": func(ctx context.Context, w *world, s *Session) error { return second(w.storeOrphan(ctx, s)) },
		"index": func(ctx context.Context, w *world, s *Session) error {
			path := filepath.Join(w.cache, "index")
			if err := os.WriteFile(path, w.index, 0o600); err != nil {
				return err
			}
			return third(s.StoreIndex(ctx, path))
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newMemoryWorld(t, testKeys(t))
			w.add(20, 900)
			w.more = func(ctx context.Context, s *Session, root *Root) (err error) {
				root.Orphans, err = w.storeOrphan(ctx, s)
				return err
			}
			before := w.state(w.mustBackup())
			w.add(2, 900)
			st := faulty.Wrap(w.st)
			s, _ := w.session(st)
			for k := range 200 {
				st.FailRead(st.Reads()+k, faulty.NotStored)
			}
			if err := step(t.Context(), w, s); !errors.Is(err, faulty.ErrFailed) {
				t.Errorf("it says %v", err)
			}
			w.verify(before)
		})
	}
}

// storeOrphan stores the first attachment as an orphan too.
func (w *world) storeOrphan(ctx context.Context, s *Session) (*Orphans, error) {
	return s.StoreOrphans(ctx, w, func(yield func(Orphan, error) bool) {
		yield(Orphan{UUID: w.list[0].UUID, Size: w.list[0].Size}, nil)
	})
}

// TestNeedsThatEnd: whoever is told of what snapshots need may end that at each blob.
func TestNeedsThatEnd(t *testing.T) {
	w := newMemoryWorld(t, testKeys(t))
	w.add(5, 900)
	w.add(2, 700_000)
	roots := []*Root{w.mustBackup()}
	for k := 0; ; k++ {
		left := k
		_, err := findNeeds(t.Context(), w.writer(), roots, func(repo.ID, int) error {
			if left--; left < 0 {
				return errDisk
			}
			return nil
		})
		if left >= 0 {
			if err != nil || k < 8 {
				t.Errorf("%d blobs, %v", k, err)
			}
			return
		}
		if !errors.Is(err, errDisk) {
			t.Errorf("blob %d: %v", k, err)
		}
	}
}

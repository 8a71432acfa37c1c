package snapshot

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"testing"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/orthokeep/orthokeep/repo"
	"github.com/orthokeep/orthokeep/repo/storage"
)

// session begins a backup of a world, as backup does, and leaves it open.
func (w *world) session(st storage.Storage) (*Session, *Journal) {
	w.t.Helper()
	ctx := w.t.Context()
	j, err := OpenJournal(filepath.Join(w.cache, "s.bolt"))
	if err != nil {
		w.t.Fatal(err)
	}
	r, err := repo.Open(ctx, st, repo.Credentials{Writer: w.keys.Writer}, w.cache)
	if err != nil {
		w.t.Fatal(err)
	}
	w.nights++
	s, err := Begin(ctx, r, j, w.server, "h", now.AddDate(0, 0, w.nights), NoProgress{})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { j.Close(); r.Close() })
	return s, j
}

// TestBackupWithoutJournal: a journal that cannot be written any more ends a backup, at whichever step; what was published before restores.
func TestBackupWithoutJournal(t *testing.T) {
	for name, step := range map[string]func(w *world, s *Session, j *Journal) error{
		"read": func(w *world, s *Session, j *Journal) error {
			_, err := s.Store(t.Context(), w, s.Missing(t.Context(), w.attachments(), new(Difference)))
			return err
		},
		"list": func(w *world, s *Session, j *Journal) error {
			_, err := s.StoreManifest(t.Context(), w.attachments(), Difference{New: 1})
			return err
		},
		"end": func(w *world, s *Session, j *Journal) error { return s.End(t.Context(), false, now) },
		"forget": func(w *world, s *Session, j *Journal) error {
			return j.clear()
		},
		"publish": func(w *world, s *Session, j *Journal) error {
			return s.Publish(t.Context(), &Root{Time: now})
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newMemoryWorld(t, testKeys(t))
			w.add(5, 900)
			before := w.state(w.mustBackup())
			w.add(2, 900)
			s, j := w.session(w.st)
			if err := j.Close(); err != nil {
				t.Fatal(err)
			}
			if err := step(w, s, j); !errors.Is(err, bolterrors.ErrDatabaseNotOpen) {
				t.Errorf("it says %v", err)
			}
			w.verify(before)
			if name != "publish" { // there the snapshot exists, and is of nothing
				w.verify(w.state(w.mustBackup()))
			}
		})
	}
}

// A journal whose beginning cannot be written ends Begin.
func TestBeginWithoutJournal(t *testing.T) {
	w := newMemoryWorld(t, testKeys(t))
	j, err := OpenJournal(filepath.Join(w.cache, "s.bolt"))
	if err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Begin(t.Context(), w.writer(), j, w.server, "h", now, NoProgress{}); !errors.Is(err, bolterrors.ErrDatabaseNotOpen) {
		t.Errorf("Begin says %v", err)
	}
}

// TestOpenJournal: what stands in a journal's way is an error, what is in it and is no journal is not.
func TestOpenJournal(t *testing.T) {
	dir := memoryDir(t)
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("no folder"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenJournal(filepath.Join(file, "s.bolt")); err == nil {
		t.Error("a journal below a file")
	}
	folder := filepath.Join(dir, "folder")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenJournal(folder); err == nil {
		t.Error("a journal in the place of a folder")
	}
	junk := filepath.Join(dir, "junk")
	if err := os.WriteFile(junk, bytes.Repeat([]byte("junk"), 10_000), 0o600); err != nil {
		t.Fatal(err)
	}
	j, err := OpenJournal(junk)
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	if err := j.setRun("r"); err != nil || j.run() != "r" {
		t.Errorf("a journal in the place of junk: %q, %v", j.run(), err)
	}
}

// TestJournalOfNonsense: a journal that opens and holds nonsense is forgotten by the next backup.
func TestJournalOfNonsense(t *testing.T) {
	for name, write := range map[string]func(*bolt.Tx) error{
		"a short head": func(tx *bolt.Tx) error { return tx.Bucket(bucketHeads).Put([]byte{1}, []byte{2}) },
		"a head out of bounds": func(tx *bolt.Tx) error {
			return tx.Bucket(bucketHeads).Put(binary.BigEndian.AppendUint64(nil, 0), make([]byte, headItem))
		},
		"a head that nobody stored": func(tx *bolt.Tx) error {
			return tx.Bucket(bucketHeads).Put(binary.BigEndian.AppendUint64(nil, 0), headRef{repo.ID{1}, 5}.append(nil))
		},
		"a log of another length": func(tx *bolt.Tx) error { return putEntries(tx, 7, 1<<40) },
		"a last root":             func(tx *bolt.Tx) error { return tx.Bucket(bucketState).Put(keyLast, []byte("{")) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newMemoryWorld(t, testKeys(t))
			w.add(5, 900)
			w.mustBackup()
			j, err := OpenJournal(filepath.Join(w.cache, "s.bolt"))
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(j.db.Update(write), j.Close()); err != nil {
				t.Fatal(err)
			}
			w.add(2, 900)
			w.verify(w.state(w.mustBackup()))
		})
	}
}

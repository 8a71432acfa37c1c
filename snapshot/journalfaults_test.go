package snapshot

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/orthokeep/orthokeep/repo"
	"github.com/orthokeep/orthokeep/repo/storage"
)

// session begins a backup of a world, as backup does, and leaves it open.
func (w *world) session(st storage.Storage) (*Session, *Journal) {
	w.t.Helper()
	ctx := w.t.Context()
	j, err := OpenJournal(filepath.Join(w.cache, "s.state"))
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

// interrupted begins a backup that ends when it has read all that is new, and returns its journal, which is open.
func (w *world) interrupted() *Journal {
	w.t.Helper()
	s, j := w.session(w.st)
	_, err := s.Store(w.t.Context(), w, s.Missing(w.t.Context(), w.attachments(), new(Difference)))
	if err := errors.Join(err, s.End(w.t.Context(), false, now)); err != nil {
		w.t.Fatal(err)
	}
	return j
}

// TestBackupWithoutJournal: a journal that cannot be written ends a backup, at whichever step; what was published before restores.
func TestBackupWithoutJournal(t *testing.T) {
	for name, step := range map[string]func(w *world, s *Session) error{
		"read": func(w *world, s *Session) error {
			return second(s.Store(t.Context(), w, s.Missing(t.Context(), w.attachments(), new(Difference))))
		},
		"end":     func(w *world, s *Session) error { return s.End(t.Context(), false, now) },
		"forget":  func(w *world, s *Session) error { return s.journal.clear() },
		"publish": func(w *world, s *Session) error { return s.Publish(t.Context(), &Root{Time: now}) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newMemoryWorld(t, testKeys(t))
			w.add(5, 900)
			before := w.state(w.mustBackup())
			w.add(2, 900)
			s, j := w.session(w.st)
			fault := j.failAt(0)
			if err := step(w, s); !errors.Is(err, errHost) || !fault.failed() {
				t.Errorf("it says %v", err)
			}
			if err := j.Close(); err != nil {
				t.Fatal(err)
			}
			w.verify(before)
			if name != "publish" { // there the snapshot exists, and is of nothing
				w.verify(w.state(w.mustBackup()))
			}
		})
	}
}

// TestBeginWithoutJournal: a journal whose beginning cannot be written ends Begin, and no run is announced; nor may one go on from a journal that
// cannot be made to forget what the repository has lost.
func TestBeginWithoutJournal(t *testing.T) {
	for k := range 14 {
		w := newMemoryWorld(t, testKeys(t))
		w.add(3, 900)
		j := w.interrupted()
		if err := j.commit([]headRef{{repo.ID{1}, 5}}, nil); err != nil { // that nobody stored
			t.Fatal(err)
		}
		fault := j.failAt(k)
		r := w.writer()
		s, err := Begin(t.Context(), r, j, w.server, "h", now, NoProgress{})
		if fault.failed() != errors.Is(err, errHost) || fault.failed() != (s == nil) {
			t.Errorf("operation %d: Begin says %v", k, err)
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		w.verify(w.state(w.mustBackup()))
		if k == 13 && fault.failed() {
			t.Error("there are more operations than were tried")
		}
	}
}

// TestOpenJournal: what stands in a journal's way is an error, what is in it and is no journal is not.
func TestOpenJournal(t *testing.T) {
	dir := memoryDir(t)
	put := func(name string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, bytes.Repeat([]byte("junk"), 10_000), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	folder := func(name string) string {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(path, 0o700); err != nil {
			t.Fatal(err)
		}
		return path
	}
	folder("c.log")
	folder("d.lock")
	for name, path := range map[string]string{
		"below a file":                  filepath.Join(put("a"), "s.state"),
		"in the place of a folder":      folder("b.state"),
		"with a folder for its log":     filepath.Join(dir, "c.state"),
		"with a folder for its lock":    filepath.Join(dir, "d.state"),
		"again, that lets its lock go ": filepath.Join(dir, "c.state"),
	} {
		if _, err := OpenJournal(path); err == nil || errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), filepath.Dir(path)) {
			t.Errorf("a journal %s: %v", name, err)
		}
	}
	junk := put("junk.state")
	left := put("junk.state.0123456789abcdef.tmp")
	j, err := OpenJournal(junk)
	if err != nil {
		t.Fatal(err)
	}
	if err := j.setRun("r"); err != nil || j.run() != "r" {
		t.Errorf("a journal in the place of junk: %q, %v", j.run(), err)
	}
	if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what a crash left is there: %v", err)
	}
	if _, err := OpenJournal(junk); !errors.Is(err, ErrLocked) {
		t.Errorf("a second one: %v", err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if j, err = OpenJournal(junk); err != nil || j.run() != "r" {
		t.Fatalf("opened again: %v", err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestJournalOfNonsense: a journal that says what is not so is forgotten by the next backup, as is one that is damaged anywhere.
func TestJournalOfNonsense(t *testing.T) {
	for name, change := range map[string]func(*journalState){
		"a head that is missing":    func(s *journalState) { s.Heads = nil },
		"a head that is too short":  func(s *journalState) { s.Heads[0].length = 3 },
		"a head of no length":       func(s *journalState) { s.Heads[0].length = 0 },
		"a head that nobody stored": func(s *journalState) { s.Heads[0].id[0] ^= 1 },
		"one more head":             func(s *journalState) { s.Heads = append(s.Heads, headRef{repo.ID{1}, 5}) },
		"a log of another length":   func(s *journalState) { s.End = 1 << 40 },
		"a log of a length below 0": func(s *journalState) { s.End = -16 },
		"a log of another seed":     func(s *journalState) { s.Seed++ },
		"a run that nobody began":   func(s *journalState) { s.Run = repo.StampedName(now) },
		"no last root":              func(s *journalState) { s.Last = nil },
	} {
		t.Run(name, func(t *testing.T) {
			w := newMemoryWorld(t, testKeys(t))
			w.add(5, 900)
			before := w.state(w.mustBackup())
			w.add(3, 900)
			j := w.interrupted()
			state := j.state
			state.Heads = slices.Clone(state.Heads)
			change(&state)
			if err := errors.Join(j.write(state), j.Close()); err != nil {
				t.Fatal(err)
			}
			w.add(2, 900)
			w.verify(w.state(w.mustBackup()))
			w.verify(before)
		})
	}
}

// TestDamagedJournal: whichever byte of a journal is changed, and wherever it is cut, it is made anew.
func TestDamagedJournal(t *testing.T) {
	w := newMemoryWorld(t, testKeys(t))
	w.add(20, 900)
	w.mustBackup()
	w.add(20, 900)
	j := w.interrupted()
	path := j.path
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if s, err := parseJournal(whole); err != nil || s.Last == nil || s.End == 0 || len(s.Heads) == 0 {
		t.Fatalf("%+v, %v", s, err)
	}
	for at := range whole {
		changed := bytes.Clone(whole)
		changed[at] ^= 1 << (at % 8)
		for _, bad := range [][]byte{whole[:at], changed} {
			if err := os.WriteFile(path, bad, 0o600); err != nil {
				t.Fatal(err)
			}
			j, err := OpenJournal(path)
			if err != nil {
				t.Fatalf("byte %d: %v", at, err)
			}
			if j.run() != "" || j.last() != nil || len(j.heads()) > 0 || j.log.table.used > 0 {
				t.Errorf("byte %d: it is taken for right", at)
			}
			if err := j.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	w.verify(w.state(w.mustBackup()))
}

package repo

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// nobodyID is who has no rights but those that everybody has.
const nobodyID = 65534

// unprivileged runs f as somebody whom the modes of files bind: root is not bound, nor are its files another's.
func unprivileged(t *testing.T, f func()) {
	t.Helper()
	if os.Geteuid() == 0 {
		runtime.LockOSThread() // the system knows this of a thread
		defer runtime.UnlockOSThread()
		_ = unix.Setfsuid(nobodyID)
		defer func() { _ = unix.Setfsuid(0) }()
	}
	f()
}

// setModes sets the modes of a folder's files, and then its own.
func setModes(t *testing.T, dir string, files, folder fs.FileMode) {
	t.Helper()
	err := os.Chmod(dir, 0o700)
	entries, readErr := os.ReadDir(dir)
	for _, e := range entries {
		if !e.IsDir() {
			err = errors.Join(err, os.Chmod(filepath.Join(dir, e.Name()), files))
		}
	}
	if err := errors.Join(err, readErr, os.Chmod(dir, folder)); err != nil {
		t.Fatal(err)
	}
}

// TestReadOnlyCache: a catalogue that may be read but not written, or not be read either, is left as it is. All answers are right.
func TestReadOnlyCache(t *testing.T) {
	w := newWorld(t, 71)
	nights(w, 3)
	before := w.files()
	w.segment(w.packs(4, 50))
	for name, modes := range map[string]struct{ files, folder fs.FileMode }{
		"may be read":                    {0o444, 0o555},
		"files that may not be read":     {0, 0o555},
		"a folder that may not be read":  {0o444, 0},
		"files of a folder that may not": {0, 0o777},
	} {
		setModes(t, w.cache, modes.files, modes.folder)
		unprivileged(t, func() {
			r, err := Open(t.Context(), w.st, Credentials{Writer: w.keys.Writer}, w.cache)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				return
			}
			defer r.Close()
			w.verify(r)
		})
		setModes(t, w.cache, 0o600, 0o700)
		for path, want := range before {
			if got := w.read(path); string(got) != string(want) {
				t.Errorf("%s: %s was changed", name, filepath.Base(path))
			}
		}
	}
	r := w.open(w.cache)
	w.verify(r)
	if r.blobs.c.isChanged() {
		t.Error("the next one does not commit")
	}
}

// TestStaleReadingsInAReadOnlyFolder: a reading that a crash has ended is ended, though its file cannot be deleted; who comes next and may delete it
// does.
func TestStaleReadingsInAReadOnlyFolder(t *testing.T) {
	w := newWorld(t, 72)
	w.segment(w.packs(2, 5))
	x, err := w.open(w.cache).BeginReading(t.Context(), RunInfo{Kind: "restore", Started: at})
	if err == nil {
		err = x.lock.Unlock() // as the end of its process does
	}
	if err != nil {
		t.Fatal(err)
	}
	runs := filepath.Join(w.cache, "runs")
	r := w.open(w.cache)
	setModes(t, w.cache, 0o666, 0o755)
	setModes(t, runs, 0o666, 0o555)
	unprivileged(t, func() {
		if _, err := r.BeginReading(t.Context(), RunInfo{Kind: "restore", Started: at}); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("a reading begins: %v", err)
		}
	})
	if runs, err := r.Runs(t.Context()); err != nil || len(underWay(runs)) > 0 {
		t.Errorf("runs %v are under way, %v", underWay(runs), err)
	}
	setModes(t, runs, 0o600, 0o700)
	if x, err = r.BeginReading(t.Context(), RunInfo{Kind: "restore", Started: at}); err == nil {
		err = x.End(t.Context(), at)
	}
	if left, readErr := os.ReadDir(runs); err != nil || readErr != nil || len(left) > 0 {
		t.Errorf("%v is left: %v", left, errors.Join(err, readErr))
	}
}

package faulty_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/orthokeep/orthokeep/repo/storage"
	"github.com/orthokeep/orthokeep/repo/storage/faulty"
)

const seeds = 64

var (
	oldContent = bytes.Repeat([]byte("old "), 100)
	newContent = bytes.Repeat([]byte("new, and longer "), 100)
)

// A writer replaces a whole file; when it returns nil the file must be durable.
type writer func(fsys storage.FS, path string, data []byte) error

// crashes runs write, of the old content and then of the new, and crashes at every change. It returns how many points there
// were, and what was wrong first: a state in which the file is neither what was acknowledged last nor what was being written.
func crashes(write writer) (points int, wrong error) {
	for k := 0; ; k++ {
		fsys := faulty.NewFS()
		fsys.CrashAt(k)
		acknowledged, tried := [][]byte{nil}, oldContent
		if write(fsys, "/f", oldContent) == nil {
			acknowledged, tried = [][]byte{oldContent}, newContent
			if write(fsys, "/f", newContent) == nil {
				acknowledged = [][]byte{newContent}
			}
		}
		allowed := append(acknowledged, tried)
		for seed := range uint64(seeds) {
			if wrong := holds(fsys.Crash(seed), allowed); wrong != nil {
				return k, fmt.Errorf("crash at change %d, seed %d: %w", k, seed, wrong)
			}
		}
		if !fsys.Crashed() {
			return k, nil
		}
	}
}

// holds says whether /f has one of the contents; nil means that there is no such file.
func holds(fsys *faulty.FS, contents [][]byte) error {
	got, err := content(fsys, "/f")
	if errors.Is(err, fs.ErrNotExist) {
		got = nil
	} else if err != nil {
		return err
	}
	for _, want := range contents {
		if bytes.Equal(got, want) && (got == nil) == (want == nil) {
			return nil
		}
	}
	return fmt.Errorf("the file holds %d other bytes", len(got))
}

func content(fsys storage.FS, path string) ([]byte, error) {
	f, err := fsys.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.NewSectionReader(f, 0, info.Size()))
	return append([]byte{}, data...), err
}

func TestWriteFileSurvives(t *testing.T) {
	points, wrong := crashes(func(fsys storage.FS, path string, data []byte) error {
		return storage.WriteFileOn(fsys, path, data, 0o600)
	})
	if wrong != nil {
		t.Fatal(wrong)
	}
	if points < 12 {
		t.Fatalf("only %d crash points were tried", points)
	}
}

// steps is WriteFile taken apart, so that each step can be left out.
type steps struct{ noSync, noSyncDir, inPlace, syncAgain bool }

func (s steps) write(fsys storage.FS, path string, data []byte) error {
	tmp := path + ".tmp"
	if s.inPlace {
		tmp = path
		if err := fsys.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	f, err := fsys.Create(tmp, 0o600)
	if err != nil {
		return err
	}
	if _, err := f.Write(data); err != nil {
		return err
	}
	if !s.noSync {
		if err := f.Sync(); err != nil && s.syncAgain {
			err = f.Sync()
			if err != nil {
				return err
			}
		} else if err != nil {
			return err
		}
	}
	if err := f.Close(); err != nil {
		return err
	}
	if !s.inPlace {
		if err := fsys.Rename(tmp, path); err != nil {
			return err
		}
	}
	if s.noSyncDir {
		return nil
	}
	return fsys.SyncDir("/")
}

// The harness finds what it is made to find.
func TestWrongWritersAreRejected(t *testing.T) {
	if _, wrong := crashes(steps{}.write); wrong != nil {
		t.Fatalf("the right writer is rejected: %v", wrong)
	}
	for name, s := range map[string]steps{
		"no file sync": {noSync: true}, "no directory sync": {noSyncDir: true}, "write in place": {inPlace: true},
	} {
		if _, wrong := crashes(s.write); wrong == nil {
			t.Errorf("a writer with %s is not rejected", name)
		}
	}
}

// A sync that failed is not made good by another one.
func TestFailedSyncLoses(t *testing.T) {
	eio := errors.New("input/output error")
	for name, tt := range map[string]struct {
		write writer
		safe  bool
	}{
		"again": {steps{syncAgain: true}.write, false},
		"WriteFile": {func(fsys storage.FS, path string, data []byte) error {
			return storage.WriteFileOn(fsys, path, data, 0o600)
		}, true},
	} {
		fsys := faulty.NewFS()
		fsys.FailAt(2, eio) // create, write, sync
		err := tt.write(fsys, "/f", newContent)
		acknowledged := [][]byte{nil}
		if err == nil {
			acknowledged = [][]byte{newContent}
		}
		for seed := range uint64(seeds) {
			if wrong := holds(fsys.Crash(seed), acknowledged); (wrong == nil) != tt.safe {
				t.Fatalf("%s, seed %d: %v", name, seed, wrong)
			}
		}
	}
}

// A seed means the same state every time.
func TestSeedsAreStable(t *testing.T) {
	fsys := faulty.NewFS()
	for i := range 20 {
		if err := storage.WriteFileOn(fsys, fmt.Sprintf("/f%d", i), newContent, 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := fsys.Create(fmt.Sprintf("/unsynced%d", i), 0o600)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write(oldContent); err != nil {
			t.Fatal(err)
		}
	}
	different := map[string]bool{}
	for seed := range uint64(8) {
		a, b := describe(t, fsys.Crash(seed)), describe(t, fsys.Crash(seed))
		if a != b {
			t.Fatalf("seed %d gives two states", seed)
		}
		different[a] = true
	}
	if len(different) != 8 {
		t.Fatalf("8 seeds give %d states", len(different))
	}
}

func describe(t *testing.T, fsys *faulty.FS) string {
	t.Helper()
	entries, err := fsys.ReadDir("/")
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for _, e := range entries {
		data, err := content(fsys, "/"+e.Name())
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&out, "%s %q\n", e.Name(), data)
	}
	return out.String()
}

// script is a workload on a Local: objects in old and new folders, again, only once, deleted.
var script = []struct {
	do, name, data string
}{
	{"put", "config", "{}"},
	{"put", "packs/ab/one", strings.Repeat("1", 5000)},
	{"put", "packs/ab/two", strings.Repeat("2", 5000)},
	{"put", "packs/ab/one", strings.Repeat("1", 5000)},
	{"new", "prune", "me"},
	{"put", "packs/cd/three", ""},
	{"delete", "packs/ab/two", ""},
	{"delete", "prune", ""},
	{"new", "prune", "you"},
}

// Every crash of Local leaves what was acknowledged, nothing by halves, and a storage on which the same work succeeds.
func TestLocalSurvives(t *testing.T) {
	for k := 0; ; k++ {
		fsys := faulty.NewFS()
		fsys.CrashAt(k)
		objects := map[string]string{} // acknowledged
		doing := ""                    // the object that may be as before or as wanted
		wanted := ""
		if l, err := storage.CreateOn(fsys, "/data/repo"); err == nil {
			for _, s := range script {
				doing, wanted = s.name, s.data
				if run(t, l, s.do, s.name, s.data) != nil {
					break
				}
				if s.do == "delete" {
					delete(objects, s.name)
				} else {
					objects[s.name] = s.data
				}
				doing = ""
			}
		}
		for seed := range uint64(seeds) {
			after := fsys.Crash(seed)
			l, err := storage.CreateOn(after, "/data/repo")
			if err != nil {
				t.Fatal(err)
			}
			verify(t, fmt.Sprintf("crash at change %d, seed %d", k, seed), l, objects, doing, wanted)
			if _, err := l.Sweep(t.Context(), time.Now()); err != nil {
				t.Fatal(err)
			}
			if left := temporary(t, after, "/data/repo"); left != "" {
				t.Fatalf("crash at change %d, seed %d: Sweep leaves %s", k, seed, left)
			}
			if err := l.Delete(t.Context(), "prune"); err != nil {
				t.Fatal(err)
			}
			for _, s := range script {
				if err := run(t, l, s.do, s.name, s.data); err != nil {
					t.Fatalf("crash at change %d, seed %d: afterwards: %v", k, seed, err)
				}
			}
		}
		if !fsys.Crashed() {
			if k < 40 {
				t.Fatalf("only %d crash points were tried", k)
			}
			return
		}
	}
}

func run(t *testing.T, st storage.Storage, do, name, data string) error {
	t.Helper()
	switch do {
	case "put":
		return st.Put(t.Context(), name, []byte(data))
	case "new":
		return st.PutNew(t.Context(), name, []byte(data))
	}
	return st.Delete(t.Context(), name)
}

// verify compares a storage with the acknowledged objects; the one named doing may also be as wanted, or absent.
func verify(t *testing.T, where string, l *storage.Local, objects map[string]string, doing, wanted string) {
	t.Helper()
	seen := map[string]bool{}
	for o, err := range l.List(t.Context(), "") {
		if err != nil {
			t.Fatalf("%s: %v", where, err)
		}
		seen[o.Name] = true
		got, err := l.Get(t.Context(), o.Name, 1<<20)
		if err != nil {
			t.Fatalf("%s: %v", where, err)
		}
		want, acknowledged := objects[o.Name]
		if !(acknowledged && string(got) == want) && !(o.Name == doing && string(got) == wanted) {
			t.Fatalf("%s: %s holds %d bytes that nobody put there", where, o.Name, len(got))
		}
	}
	for name := range objects {
		if !seen[name] && name != doing {
			t.Fatalf("%s: %s is lost", where, name)
		}
	}
}

// temporary returns the path of a temporary file below dir.
func temporary(t *testing.T, fsys *faulty.FS, dir string) string {
	t.Helper()
	entries, err := fsys.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		path := dir + "/" + e.Name()
		if strings.HasSuffix(path, ".tmp") {
			return path
		}
		if e.IsDir() {
			if left := temporary(t, fsys, path); left != "" {
				return left
			}
		}
	}
	return ""
}

// A folder and a name that another process made and did not sync, because it was killed, are made durable by a Put that
// finds them there.
func TestLocalSyncsWhatItFinds(t *testing.T) {
	fsys := faulty.NewFS()
	l := onFS(t, fsys)
	if err := fsys.Mkdir("/repo/packs", 0o700); err != nil {
		t.Fatal(err)
	}
	f, err := fsys.Create("/repo/packs/x", 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(newContent); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	if err := l.Put(t.Context(), "packs/x", newContent); err != nil {
		t.Fatal(err)
	}
	for seed := range uint64(seeds) {
		if got, err := content(fsys.Crash(seed), "/repo/packs/x"); err != nil || !bytes.Equal(got, newContent) {
			t.Fatalf("seed %d: %d bytes, %v", seed, len(got), err)
		}
	}
}

// Every change that fails is reported, leaves no part of an object and no temporary file, and hides no object.
func TestLocalReportsFailures(t *testing.T) {
	for k := 0; ; k++ {
		fsys := faulty.NewFS()
		l := onFS(t, fsys)
		first := fsys.Ops()
		fsys.FailAt(first+k, storage.ErrNoSpace)
		err := l.Put(t.Context(), "packs/ab/x", newContent)
		ended := fsys.Ops() - first
		if err == nil {
			if k != ended {
				t.Fatalf("change %d failed and Put says nothing", k)
			}
			return
		}
		if !errors.Is(err, storage.ErrNoSpace) || strings.Contains(err.Error(), "\n") {
			t.Fatalf("change %d: error %q, want one line that says the disk is full", k, err)
		}
		if left := temporary(t, fsys, "/repo"); left != "" {
			t.Fatalf("change %d: left behind: %s", k, left)
		}
		if data, err := l.Get(t.Context(), "packs/ab/x", 1<<20); err == nil && !bytes.Equal(data, newContent) {
			t.Fatalf("change %d: %d bytes are visible", k, len(data))
		}
		again := l.Put(t.Context(), "packs/ab/x", newContent)
		for seed := range uint64(seeds) {
			_, err := content(fsys.Crash(seed), "/repo/packs/ab/x")
			if again == nil && err != nil {
				t.Fatalf("change %d, seed %d: the second Put lies: %v", k, seed, err)
			}
		}
	}
}

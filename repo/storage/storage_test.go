package storage_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/orthokeep/orthokeep/repo/storage"
	"github.com/orthokeep/orthokeep/repo/storage/storagetest"
)

func openLocal(t *testing.T, dir string) *storage.Local {
	t.Helper()
	l, err := storage.Create(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func TestLocal(t *testing.T) {
	storagetest.Run(t, func(t *testing.T) storage.Storage { return openLocal(t, t.TempDir()) })
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, path string
		open       func(string) (*storage.Local, error)
		want       error
	}{
		{"open nothing", filepath.Join(dir, "nothing"), storage.Open, storage.ErrNotFound},
		{"open a file", file, storage.Open, storage.ErrNotFolder},
		{"open below a file", filepath.Join(file, "x"), storage.Open, storage.ErrNotFolder},
		{"create over a file", file, storage.Create, storage.ErrNotFolder},
		{"create below a file", filepath.Join(file, "x", "y"), storage.Create, storage.ErrNotFolder},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := tt.open(tt.path)
			if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.path) {
				t.Fatalf("error %v, want %v that names the path", err, tt.want)
			}
		})
	}
}

func TestModes(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no modes on Windows")
	}
	dir := filepath.Join(t.TempDir(), "a", "b")
	l := openLocal(t, dir)
	if err := l.Put(t.Context(), "packs/ab/x", []byte("x")); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]fs.FileMode{dir: 0o700, filepath.Join(dir, "packs"): 0o700, filepath.Join(dir, "packs/ab"): 0o700,
		filepath.Join(dir, "packs/ab/x"): 0o600} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %v, want %v", path, info.Mode().Perm(), want)
		}
	}
}

// Temporary files and what else is no object are hidden; only old temporary files are swept.
func TestSweep(t *testing.T) {
	dir := t.TempDir()
	l := openLocal(t, dir)
	if err := l.Put(t.Context(), "packs/x", []byte("x")); err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for name, age := range map[string]time.Duration{
		"packs/old.0123456789abcdef.tmp": 25 * time.Hour,
		"new.0123456789abcdef.tmp":       23 * time.Hour,
		"packs/x":                        99 * time.Hour,
		".stray":                         99 * time.Hour,
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, now.Add(-age), now.Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "lost+found"), 0); err != nil {
		t.Fatal(err)
	}
	if removed, err := l.Sweep(t.Context(), now); err != nil || removed != 1 {
		t.Fatalf("Sweep removes %d, %v; want 1", removed, err)
	}
	for o, err := range l.List(t.Context(), "") {
		if err != nil || o.Name != "packs/x" {
			t.Fatalf("listed %q, %v", o.Name, err)
		}
	}
	for name, want := range map[string]bool{"packs/old.0123456789abcdef.tmp": false, "new.0123456789abcdef.tmp": true, ".stray": true, "packs/x": true} {
		if _, err := os.Stat(filepath.Join(dir, name)); (err == nil) != want {
			t.Errorf("%s is there: %v, want %v", name, err == nil, want)
		}
	}
}

func TestFilesKeptOpenAreBounded(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("counts descriptors in /proc")
	}
	count := func() int {
		fds, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(fds)
	}
	l := openLocal(t, t.TempDir())
	before := count()
	for i := range 100 {
		name := "o" + strings.Repeat("x", i+1)
		if err := l.Put(t.Context(), name, []byte("1")); err != nil {
			t.Fatal(err)
		}
		if err := l.ReadAt(t.Context(), name, make([]byte, 1), 0); err != nil {
			t.Fatal(err)
		}
	}
	if kept := count() - before; kept < 16 || kept > 32 {
		t.Errorf("%d files are kept open, want at most 32", kept)
	}
	l.Close()
	if kept := count() - before; kept != 0 {
		t.Errorf("%d files are open after Close", kept)
	}
}

func TestWriteFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	for _, content := range []string{"first", "second, longer", ""} {
		if err := storage.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if err != nil || !bytes.Equal(got, []byte(content)) {
			t.Fatalf("read %q, %v", got, err)
		}
	}
	if err := storage.WriteNewFile(path, []byte("x"), 0o600); !errors.Is(err, fs.ErrExist) {
		t.Fatalf("WriteNewFile over a file: %v", err)
	}
	if err := storage.WriteFile(filepath.Join(dir, "no", "f"), nil, 0o600); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("WriteFile into no folder: %v", err)
	}
	if err := storage.WriteFile(dir, nil, 0o600); err == nil {
		t.Fatal("WriteFile over a folder succeeds")
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	names := slices.Collect(func(yield func(string) bool) {
		for _, e := range entries {
			yield(e.Name())
		}
	})
	if !slices.Equal(names, []string{"f"}) {
		t.Fatalf("left behind: %q", names)
	}
	left, err := filepath.Glob(filepath.Join(filepath.Dir(dir), "*.tmp"))
	if err != nil || left != nil {
		t.Fatalf("left behind: %q, %v", left, err)
	}
}

package storage

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// vanishing is a file system in which somebody else deletes a file: when its folder has been read, and when it is about to be deleted here.
type vanishing struct {
	FS
	listed, removed string // paths
}

func (v vanishing) ReadDir(path string) ([]fs.DirEntry, error) {
	entries, err := v.FS.ReadDir(path)
	if path == filepath.Dir(v.listed) {
		err = errors.Join(err, os.Remove(v.listed))
	}
	return entries, err
}

func (v vanishing) Remove(path string) error {
	if path == v.removed {
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	return v.FS.Remove(path)
}

// TestFilesThatVanish: an object that is deleted while it is listed is not listed, a temporary file that another one has removed is not
// counted, and neither is an error.
func TestFilesThatVanish(t *testing.T) {
	root := t.TempDir()
	path := func(name string) string { return filepath.Join(root, name) }
	for _, name := range []string{"a", "b", "c", "x" + tmpSuffix, "y" + tmpSuffix} {
		if err := os.WriteFile(path(name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	l, err := OpenOn(vanishing{FS: OS, listed: path("b"), removed: path("x" + tmpSuffix)}, root)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var names []string
	for o, err := range l.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, o.Name)
	}
	if !slices.Equal(names, []string{"a", "c"}) {
		t.Errorf("%q are listed", names)
	}
	if l, err = OpenOn(vanishing{FS: OS, removed: path("x" + tmpSuffix)}, root); err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if n, err := l.Sweep(t.Context(), time.Now().Add(2*staleAfter)); n != 1 || err != nil {
		t.Errorf("%d temporary files are removed, %v", n, err)
	}
	left, err := os.ReadDir(root)
	if err != nil || len(left) != 2 {
		t.Errorf("%v is left, %v", left, err)
	}
}

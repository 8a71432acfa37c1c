//go:build unix

package storage

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestPipeIsNoObject: a pipe or a device in the place of an object is none, and nobody waits for it.
func TestPipeIsNoObject(t *testing.T) {
	dir := t.TempDir()
	l, err := Create(filepath.Join(dir, "repo"))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(unix.Mkfifo(filepath.Join(dir, "repo", "pipe"), 0o600), os.Symlink("/dev/zero", filepath.Join(dir, "repo", "device"))); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, name := range []string{"pipe", "device"} {
			if _, err := l.Get(ctx, name, 100); !errors.Is(err, ErrNotFound) {
				t.Errorf("get %s: %v", name, err)
			}
			if err := l.ReadAt(ctx, name, make([]byte, 1), 0); !errors.Is(err, ErrNotFound) {
				t.Errorf("read %s: %v", name, err)
			}
		}
		for o, err := range l.List(ctx, "") {
			t.Errorf("%s is listed, %v", o.Name, err)
		}
	}()
	select {
	case <-done:
	case <-ctx.Done():
		t.Fatal("somebody waits for a pipe")
	}
}

// TestSyncOfAFolderThatHasNone: a file system that knows no sync of folders is none that fails.
func TestSyncOfAFolderThatHasNone(t *testing.T) {
	d, err := os.Open("/proc")
	if err != nil {
		t.Skip("no such file system here:", err)
	}
	defer d.Close()
	if err := d.Sync(); !errors.Is(err, unix.EINVAL) {
		t.Skip("it syncs folders:", err)
	}
	if err := OS.SyncDir("/proc"); err != nil {
		t.Error(err)
	}
	if err := OS.SyncDir(filepath.Join(t.TempDir(), "not", "there")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a folder that is not there: %v", err)
	}
}

// linkNew stands in where renameat2 is not known: it moves, and replaces nothing.
func TestLinkNew(t *testing.T) {
	old, new := filepath.Join(t.TempDir(), "old"), filepath.Join(t.TempDir(), "new")
	for i, want := range []error{nil, fs.ErrExist} {
		if err := os.WriteFile(old, []byte{byte(i)}, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := linkNew(old, new); !errors.Is(err, want) {
			t.Fatalf("linkNew gives %v, want %v", err, want)
		}
		if _, err := os.Stat(old); errors.Is(err, fs.ErrNotExist) != (want == nil) {
			t.Fatalf("the old name: %v", err)
		}
		if data, err := os.ReadFile(new); err != nil || data[0] != 0 {
			t.Fatalf("the new name holds %v, %v", data, err)
		}
	}
}

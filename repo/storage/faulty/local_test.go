package faulty_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"syscall"
	"testing"
	"time"

	"github.com/orthokeep/orthokeep/repo/storage"
	"github.com/orthokeep/orthokeep/repo/storage/faulty"
)

// steps of a Local, each by itself, on a folder that holds /repo/a/x, /repo/b/y and a temporary file.
var localSteps = map[string]func(context.Context, *storage.Local) (string, error){
	"put": func(ctx context.Context, l *storage.Local) (string, error) {
		return "", l.Put(ctx, "c/d/z", newContent)
	},
	"put again": func(ctx context.Context, l *storage.Local) (string, error) { return "", l.Put(ctx, "a/x", oldContent) },
	"put other": func(ctx context.Context, l *storage.Local) (string, error) {
		if err := l.Put(ctx, "a/x", newContent[:len(oldContent)]); !errors.Is(err, storage.ErrExists) {
			return "", err
		}
		return "refused", nil
	},
	"create": func(ctx context.Context, l *storage.Local) (string, error) {
		return "", l.PutNew(ctx, "new", oldContent)
	},
	"delete": func(ctx context.Context, l *storage.Local) (string, error) { return "", l.Delete(ctx, "b/y") },
	"get": func(ctx context.Context, l *storage.Local) (string, error) {
		b, err := l.Get(ctx, "a/x", 1<<20)
		return string(b), err
	},
	"read": func(ctx context.Context, l *storage.Local) (string, error) {
		p := make([]byte, 7)
		err := l.ReadAt(ctx, "b/y", p, 3)
		return string(p), err
	},
	"size": func(ctx context.Context, l *storage.Local) (string, error) {
		n, err := l.Size(ctx, "a/x")
		return fmt.Sprint(n), err
	},
	"list": func(ctx context.Context, l *storage.Local) (names string, err error) {
		for o, err := range l.List(ctx, "") {
			if err != nil {
				return "", err
			}
			names += o.Name + " "
		}
		return names, nil
	},
	"sweep": func(ctx context.Context, l *storage.Local) (string, error) {
		n, err := l.Sweep(ctx, time.Now())
		return fmt.Sprint(n), err
	},
}

func localDisk(t *testing.T) *faulty.FS {
	t.Helper()
	fsys := faulty.NewFS()
	l := onFS(t, fsys)
	for _, name := range []string{"a/x", "b/y"} {
		if err := l.Put(t.Context(), name, oldContent); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := fsys.Create("/repo/a/left.tmp", 0o600); err != nil {
		t.Fatal(err)
	}
	return fsys
}

// TestLocalFaults fails every read and every change of every step, one at a time; what comes back is the error, or what is right, and what was
// there is there, but for what the step was to delete.
func TestLocalFaults(t *testing.T) {
	for name, step := range localSteps {
		right, err := step(t.Context(), onFS(t, localDisk(t)))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for kind, c := range map[string]struct {
			failAt func(*faulty.FS, int, error)
			count  func(*faulty.FS) int
		}{"read": {(*faulty.FS).FailReadAt, (*faulty.FS).Reads}, "change": {(*faulty.FS).FailAt, (*faulty.FS).Ops}, "done": {(*faulty.FS).FailDoneAt, (*faulty.FS).Ops}} {
			for k := 0; ; k++ {
				fsys := localDisk(t)
				l := onFS(t, fsys)
				first := c.count(fsys)
				c.failAt(fsys, first+k, errEIO)
				got, err := step(t.Context(), l)
				if c.count(fsys) <= first+k {
					break
				}
				if err == nil && got != right || err != nil && !errors.Is(err, errEIO) {
					t.Errorf("%s, %s %d fails: %q, %v", name, kind, k, got, err)
				}
				fresh := onFS(t, fsys)
				for _, kept := range []string{"a/x", "b/y"} {
					b, err := fresh.Get(t.Context(), kept, 1<<20)
					if deleted := name == "delete" && kept == "b/y" && errors.Is(err, storage.ErrNotFound); !deleted && (err != nil || !bytes.Equal(b, oldContent)) {
						t.Errorf("%s, %s %d fails: %s: %v", name, kind, k, kept, err)
					}
				}
			}
		}
	}
}

// TestOpenFaults: a folder that cannot be looked at, or made.
func TestOpenFaults(t *testing.T) {
	for k := 0; ; k++ {
		fsys := faulty.NewFS()
		fsys.FailReadAt(k, errEIO)
		_, err := storage.CreateOn(fsys, "/a/repo")
		if fsys.Reads() <= k {
			break
		}
		if !errors.Is(err, errEIO) {
			t.Errorf("read %d: %v", k, err)
		}
	}
	for k := 0; ; k++ {
		fsys := faulty.NewFS()
		fsys.FailAt(k, errEIO)
		_, err := storage.CreateOn(fsys, "/a/repo")
		if fsys.Ops() <= k {
			break
		}
		if !errors.Is(err, errEIO) {
			t.Errorf("change %d: %v", k, err)
		}
	}
	fsys := localDisk(t)
	if _, err := storage.OpenOn(fsys, "/repo/a/x"); !errors.Is(err, storage.ErrNotFolder) {
		t.Errorf("a file: %v", err)
	}
	if _, err := storage.CreateOn(fsys, "/repo/a/x"); !errors.Is(err, storage.ErrNotFolder) {
		t.Errorf("a file: %v", err)
	}
	if _, err := storage.OpenOn(fsys, "/none"); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("nothing: %v", err)
	}
}

// TestLocalGoneBetween: what a step has just seen is gone when it looks again, since somebody else deleted it.
func TestLocalGoneBetween(t *testing.T) {
	for name, step := range localSteps {
		for k := 0; ; k++ {
			fsys := localDisk(t)
			l := onFS(t, fsys)
			first := fsys.Reads()
			fsys.FailReadAt(first+k, fs.ErrNotExist)
			_, err := step(t.Context(), l)
			if fsys.Reads() <= first+k {
				break
			}
			if err != nil && !errors.Is(err, storage.ErrNotFound) && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, storage.ErrExists) {
				t.Errorf("%s, read %d finds nothing: %v", name, k, err)
			}
		}
	}
}

// TestDiskErrors: the system's own error of a full disk or quota matches ErrNoSpace, wherever it comes from; a name that appears and vanishes while
// an object is put is an error.
func TestDiskErrors(t *testing.T) {
	for _, full := range []error{syscall.ENOSPC, syscall.EDQUOT} {
		for k := range 8 {
			fsys := localDisk(t)
			l := onFS(t, fsys)
			first := fsys.Ops()
			fsys.FailAt(first+k, full)
			if err := l.Put(t.Context(), "c/d/z", newContent); !errors.Is(err, storage.ErrNoSpace) {
				t.Errorf("change %d: %v", k, err)
			}
		}
	}
	for k := range 12 {
		fsys := localDisk(t)
		l := onFS(t, fsys)
		fsys.FailAt(fsys.Ops()+k, fs.ErrExist)
		err := l.Put(t.Context(), "c/d/z", newContent)
		if _, sizeErr := l.Size(t.Context(), "c/d/z"); err == nil && sizeErr != nil {
			t.Errorf("change %d says that the name is there: Put says nothing, and stores nothing", k)
		}
	}
}

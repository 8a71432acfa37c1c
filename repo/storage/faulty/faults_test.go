package faulty_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/orthokeep/orthokeep/repo/storage"
	"github.com/orthokeep/orthokeep/repo/storage/faulty"
)

var errEIO = errors.New("input/output error")

// Every kind of change that is reported as failed was made all the same.
func TestFailDone(t *testing.T) {
	write := func(t *testing.T, fsys *faulty.FS, path string) storage.File {
		t.Helper()
		f, err := fsys.Create(path, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write(oldContent); err != nil {
			t.Fatal(err)
		}
		return f
	}
	exists := func(fsys *faulty.FS, path string) bool {
		_, err := fsys.Stat(path)
		return err == nil
	}
	for name, c := range map[string]struct {
		change func(fsys *faulty.FS, f storage.File) error
		made   func(fsys *faulty.FS) bool
	}{
		"create":  {func(fsys *faulty.FS, _ storage.File) error { _, err := fsys.Create("/new", 0o600); return err }, func(fsys *faulty.FS) bool { return exists(fsys, "/new") }},
		"mkdir":   {func(fsys *faulty.FS, _ storage.File) error { return fsys.Mkdir("/new", 0o700) }, func(fsys *faulty.FS) bool { return exists(fsys, "/new") }},
		"rename":  {func(fsys *faulty.FS, _ storage.File) error { return fsys.Rename("/f", "/new") }, func(fsys *faulty.FS) bool { return exists(fsys, "/new") }},
		"remove":  {func(fsys *faulty.FS, _ storage.File) error { return fsys.Remove("/f") }, func(fsys *faulty.FS) bool { return !exists(fsys, "/f") }},
		"syncdir": {func(fsys *faulty.FS, _ storage.File) error { return fsys.SyncDir("/") }, func(fsys *faulty.FS) bool { return exists(fsys.Crash(0), "/f") }},
		"write": {func(_ *faulty.FS, f storage.File) error { _, err := f.Write(newContent); return err }, func(fsys *faulty.FS) bool {
			info, err := fsys.Stat("/f")
			return err == nil && info.Size() == int64(len(oldContent)+len(newContent))
		}},
		"sync": {func(fsys *faulty.FS, f storage.File) error { return f.Sync() }, func(fsys *faulty.FS) bool {
			if err := fsys.SyncDir("/"); err != nil {
				return false
			}
			got, err := content(fsys.Crash(0), "/f")
			return err == nil && bytes.Equal(got, oldContent)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			fsys := faulty.NewFS()
			f := write(t, fsys, "/f")
			fsys.FailDoneAt(fsys.Ops(), errEIO)
			if err := c.change(fsys, f); !errors.Is(err, errEIO) {
				t.Errorf("it returns %v", err)
			}
			if !c.made(fsys) {
				t.Error("it was not made")
			}
			if err := f.Close(); err != nil {
				t.Errorf("the change after it fails too: %v", err)
			}
		})
	}
}

// Reads of the file system fail where they are told to, and only there.
func TestFailReadAt(t *testing.T) {
	fsys := faulty.NewFS()
	if err := storage.WriteFileOn(fsys, "/f", oldContent, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := fsys.Open("/f")
	if err != nil {
		t.Fatal(err)
	}
	for name, read := range map[string]func() error{
		"open":    func() error { _, err := fsys.Open("/f"); return err },
		"stat":    func() error { _, err := fsys.Stat("/f"); return err },
		"readdir": func() error { _, err := fsys.ReadDir("/"); return err },
		"readat":  func() error { _, err := f.ReadAt(make([]byte, 1), 0); return err },
		"fstat":   func() error { _, err := f.Stat(); return err },
	} {
		fsys.FailReadAt(fsys.Reads(), errEIO)
		if err := read(); !errors.Is(err, errEIO) {
			t.Errorf("%s returns %v", name, err)
		}
		if err := read(); err != nil {
			t.Errorf("%s returns %v the second time", name, err)
		}
	}
}

// A full file system takes what fits, and again as much as was removed.
func TestLimit(t *testing.T) {
	fsys := faulty.NewFS()
	fsys.Limit(100)
	f, err := fsys.Create("/f", 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := f.Write(make([]byte, 60)); n != 60 || err != nil {
		t.Fatalf("wrote %d bytes, %v", n, err)
	}
	if n, err := f.Write(make([]byte, 60)); n != 40 || !errors.Is(err, storage.ErrNoSpace) {
		t.Fatalf("wrote %d bytes, %v", n, err)
	}
	if n, err := f.Write([]byte{1}); n != 0 || !errors.Is(err, storage.ErrNoSpace) || fsys.Used() != 100 {
		t.Fatalf("wrote %d bytes, %v, with %d used", n, err, fsys.Used())
	}
	if err := fsys.Remove("/f"); err != nil {
		t.Fatal(err)
	}
	if err := storage.WriteFileOn(fsys, "/g", make([]byte, 100), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Local on a full disk: the error says so, nothing is left over, and what was there is intact.
func TestLocalOnFullDisk(t *testing.T) {
	for limit := range 40 {
		fsys := faulty.NewFS()
		l := onFS(t, fsys)
		if err := l.Put(t.Context(), "old", oldContent); err != nil {
			t.Fatal(err)
		}
		fsys.Limit(len(oldContent) + limit*len(newContent)/32)
		err := l.Put(t.Context(), "new", newContent)
		if fits := limit >= 32; fits != (err == nil) || !fits && !errors.Is(err, storage.ErrNoSpace) {
			t.Fatalf("limit %d: %v", limit, err)
		}
		if left := temporary(t, fsys, "/repo"); left != "" {
			t.Fatalf("limit %d: left behind: %s", limit, left)
		}
		if got, err := l.Get(t.Context(), "old", 1<<20); err != nil || !bytes.Equal(got, oldContent) {
			t.Fatalf("limit %d: the old object: %v", limit, err)
		}
		if _, getErr := l.Get(t.Context(), "new", 1<<20); (getErr == nil) != (err == nil) {
			t.Fatalf("limit %d: the new object: %v after %v", limit, getErr, err)
		}
	}
}

func TestDigest(t *testing.T) {
	holding := func(path, data string) *faulty.FS {
		fsys := faulty.NewFS()
		if err := fsys.Mkdir("/d", 0o700); err != nil {
			t.Fatal(err)
		}
		if err := storage.WriteFileOn(fsys, path, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
		return fsys
	}
	one := holding("/d/f", "x")
	if one.Digest() != holding("/d/f", "x").Digest() || one.Digest() != one.Crash(1).Digest() {
		t.Error("the same is not the same")
	}
	for name, other := range map[string]*faulty.FS{"name": holding("/d/g", "x"), "content": holding("/d/f", "y"), "folder": holding("/f", "x"), "nothing": one.Crash(0)} {
		if one.Digest() == other.Digest() {
			t.Errorf("another %s is the same", name)
		}
	}
}

// What a read returns when it does not fail but is wrong.
func TestSpoiledReads(t *testing.T) {
	const whole = "0123456789"
	get := func(ctx context.Context, st storage.Storage) (string, error) {
		b, err := st.Get(ctx, "o", 10)
		return string(b), err
	}
	readAt := func(ctx context.Context, st storage.Storage) (string, error) {
		p := []byte("xxxxxxxxxx")
		err := st.ReadAt(ctx, "o", p, 0)
		return string(p), err
	}
	size := func(ctx context.Context, st storage.Storage) (string, error) {
		n, err := st.Size(ctx, "o")
		return whole[:n], err
	}
	list := func(ctx context.Context, st storage.Storage) (names string, err error) {
		for o, err := range st.List(ctx, "") {
			if err != nil {
				return "", err
			}
			names += o.Name
		}
		return names, nil
	}
	for _, c := range []struct {
		name string
		how  faulty.Fault
		read func(context.Context, storage.Storage) (string, error)
		want string
		err  error
	}{
		{"get fails", faulty.NotStored, get, "", faulty.ErrFailed},
		{"get finds nothing", faulty.Missing, get, "", storage.ErrNotFound},
		{"get is short", faulty.Short, get, "01234", nil},
		{"get is torn", faulty.Torn, get, "01234\x00\x00\x00\x00\x00", nil},
		{"read is short", faulty.Short, readAt, "", storage.ErrShort},
		{"read is torn", faulty.Torn, readAt, "01234\x00\x00\x00\x00\x00", nil},
		{"size fails", faulty.NotStored, size, "", faulty.ErrFailed},
		{"size finds nothing", faulty.Missing, size, "", storage.ErrNotFound},
		{"list fails", faulty.NotStored, list, "", faulty.ErrFailed},
	} {
		st := faulty.Wrap(onFS(t, faulty.NewFS()))
		for name, data := range map[string]string{"o": whole, "p": ""} {
			if err := st.Put(t.Context(), name, []byte(data)); err != nil {
				t.Fatal(err)
			}
		}
		right, err := c.read(t.Context(), st)
		if err != nil {
			t.Fatal(err)
		}
		st.FailRead(st.Reads(), c.how)
		if got, err := c.read(t.Context(), st); !errors.Is(err, c.err) || c.err == nil && (got != c.want || err != nil) {
			t.Errorf("%s: %q, %v", c.name, got, err)
		}
		if got, err := c.read(t.Context(), st); err != nil || got != right {
			t.Errorf("%s: the second read gives %q, %v", c.name, got, err)
		}
		if got := st.Spoilt(); len(got) != 1 || got[0] != "o" && got[0] != "*" {
			t.Errorf("%s: spoilt %v", c.name, got)
		}
	}
}

// Flipped turns one bit round, another one at another read.
func TestFlippedReads(t *testing.T) {
	st := faulty.Wrap(onFS(t, faulty.NewFS()))
	if err := st.Put(t.Context(), "o", newContent); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for k := range 8 {
		st.FailRead(k, faulty.Flipped)
		got, err := st.Get(t.Context(), "o", 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		bits := 0
		for i := range got {
			for b := got[i] ^ newContent[i]; b != 0; b &= b - 1 {
				bits++
			}
		}
		if bits != 1 {
			t.Fatalf("read %d: %d bits differ", k, bits)
		}
		seen[string(got)] = true
	}
	if len(seen) != 8 {
		t.Errorf("8 reads give %d different contents", len(seen))
	}
}

// What hangs ends with its context, and does nothing.
func TestHang(t *testing.T) {
	inner := onFS(t, faulty.NewFS())
	st := faulty.Wrap(inner)
	st.FailChange(0, faulty.Hang)
	st.FailRead(0, faulty.Hang)
	for name, do := range map[string]func(context.Context) error{
		"put": func(ctx context.Context) error { return st.Put(ctx, "o", nil) },
		"get": func(ctx context.Context) error { _, err := st.Get(ctx, "o", 1); return err },
	} {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- do(ctx) }()
		<-st.Hung()
		select {
		case err := <-done:
			t.Fatalf("%s ends with %v before its context", name, err)
		case <-time.After(20 * time.Millisecond):
		}
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("%s ends with %v", name, err)
		}
	}
	st.FailRead(st.Reads(), faulty.Hang)
	st.GiveUp()
	if _, err := st.Get(t.Context(), "o", 1); !errors.Is(err, faulty.ErrFailed) {
		t.Errorf("a storage that has given up returns %v", err)
	}
	if _, err := inner.Size(t.Context(), "o"); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("the object was stored: %v", err)
	}
}

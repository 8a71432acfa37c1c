package snapshot

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/orthokeep/orthokeep/repo"
	"github.com/orthokeep/orthokeep/repo/storage/faulty"
)

// TestExtraFilesThatCannotBeStored: what no snapshot can say is refused; the same session stores what it can.
func TestExtraFilesThatCannotBeStored(t *testing.T) {
	w := newMemoryWorld(t, testKeys(t))
	s, _ := w.session(w.st)
	many := Files{Files: make([]ExtraFile, maxExtraFiles+1)}
	if _, err := s.StoreFiles(t.Context(), many); !errors.Is(err, ErrInconsistent) {
		t.Errorf("too many files: %v", err)
	}
	far := Files{Files: []ExtraFile{{Path: "/a", Modified: time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC)}}}
	if _, err := s.StoreFiles(t.Context(), far); err == nil {
		t.Error("a time that is not RFC 3339")
	}
	set, err := s.StoreFiles(t.Context(), Files{Files: []ExtraFile{{Path: "/a", Modified: now}}})
	if err := errors.Join(err, s.run.Checkpoint(t.Context())); err != nil {
		t.Fatal(err)
	}
	files, err := ReadFiles(t.Context(), w.reader(), &Root{Files: set})
	if err != nil || len(files.Files) != 1 || !files.Files[0].Modified.Equal(now) {
		t.Errorf("%+v, %v", files, err)
	}
	set.List.length = maxFilesDocument + 1
	if _, err := ReadFiles(t.Context(), w.reader(), &Root{Files: set}); !errors.Is(err, repo.ErrCorrupt) {
		t.Errorf("a list that is too long: %v", err)
	}
}

// TestContentsThatCannotBeRead: of several extra files, each is what was stored, or an error, whichever read fails on the way to it.
func TestContentsThatCannotBeRead(t *testing.T) {
	w := newMemoryWorld(t, testKeys(t))
	s, _ := w.session(w.st)
	var contents [][]byte
	var files []ExtraFile
	for n := range 6 {
		data := make([]byte, 150_000+n)
		for i := range data {
			data[i] = byte(w.rnd.Uint32())
		}
		offset, size, err := s.StoreContent(t.Context(), bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		contents, files = append(contents, data), append(files, ExtraFile{Path: "/" + string('a'+rune(n)), Offset: offset, Size: size})
	}
	set, err := s.StoreFiles(t.Context(), Files{Files: files})
	if err := errors.Join(err, s.run.Checkpoint(t.Context())); err != nil {
		t.Fatal(err)
	}
	inner := w.st
	for n, f := range files {
		failed := 0
		for k := 0; ; k++ {
			st := faulty.Wrap(inner)
			w.st = st
			r := w.reader()
			before := st.Reads()
			st.FailRead(before+k, faulty.NotStored)
			got, err := io.ReadAll(OpenContent(t.Context(), r, &Root{Files: set}, f))
			reached := st.Reads() > before+k
			r.Close()
			if err != nil {
				failed++
			}
			if err != nil && (!reached || !errors.Is(err, faulty.ErrFailed)) || err == nil && !bytes.Equal(got, contents[n]) {
				t.Errorf("file %d, read %d: %d bytes, %v", n, k, len(got), err)
			}
			if !reached {
				break
			}
		}
		if failed == 0 {
			t.Errorf("file %d never fails", n)
		}
	}
}

// TestOneAttachmentOfMany: it is found by its place in the lists, which may fail to be read.
func TestOneAttachmentOfMany(t *testing.T) {
	w := newMemoryWorld(t, testKeys(t))
	w.add(3*blockEntries, 20)
	root := w.mustBackup()
	st := faulty.Wrap(w.st)
	w.st = st
	last := w.list[len(w.list)-1]
	failed := 0
	for k := 0; ; k++ {
		r := w.reader()
		before := st.Reads()
		st.FailRead(before+k, faulty.NotStored)
		var got bytes.Buffer
		err := CopyAttachment(t.Context(), r, root, last.Key(), &got)
		reached := st.Reads() > before+k
		r.Close()
		if err != nil {
			failed++
		}
		if err != nil && !errors.Is(err, faulty.ErrFailed) || err == nil && !bytes.Equal(got.Bytes(), w.files[last.UUID]) {
			t.Errorf("read %d: %d bytes, %v", k, got.Len(), err)
		}
		if !reached {
			break
		}
	}
	if failed < 4 {
		t.Errorf("it failed %d times", failed)
	}
}

// TestRestoreWhereItCannot: a folder three levels up that is a file; a folder that is full in the place of an attachment that is damaged; a file that
// cannot be given away. It is an error, and what is there stays.
func TestRestoreWhereItCannot(t *testing.T) {
	w := newMemoryWorld(t, testKeys(t))
	w.add(4, 900)
	lie := w.list[0]
	w.list[0].HasMD5 = false
	root := w.hostileBackup(lie.UUID)
	r := w.reader()
	to := func(dir string) Destination {
		return Destination{Dir: dir, Place: func(u UUID) string { return filepath.Join("a", "b", "c", u.String()) }, Mode: 0o600, DirMode: 0o700, Overwrite: true}
	}
	above := memoryDir(t)
	if err := os.WriteFile(filepath.Join(above, "a"), []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := RestoreAttachments(t.Context(), r, root, to(above), NoProgress{}); err == nil || isDamage(err) {
		t.Errorf("below a file: %v", err)
	}
	if b, err := os.ReadFile(filepath.Join(above, "a")); err != nil || string(b) != "mine" {
		t.Errorf("the file holds %q, %v", b, err)
	}

	full := memoryDir(t)
	inTheWay := filepath.Join(full, to(full).Place(lie.UUID), "mine")
	if err := os.MkdirAll(inTheWay, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := RestoreAttachments(t.Context(), r, root, to(full), NoProgress{}); err == nil || isDamage(err) {
		t.Errorf("in the place of a full folder: %v", err)
	}
	if _, err := os.Stat(inTheWay); err != nil {
		t.Errorf("what was in the way: %v", err)
	}

	dir := memoryDir(t)
	below, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer below.Close()
	out := newAttachmentWriter(r, to(dir))
	out.below, out.to.Chown, out.to.UID, out.to.GID = below, true, os.Getuid(), os.Getgid()
	if err := out.create(placed{Entry: &Entry{UUID: lie.UUID}}, func(f *os.File) error { return f.Close() }); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("a file that is closed: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, to(dir).Place(lie.UUID))); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it is left: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "a", "b", "c")); err != nil {
		t.Errorf("its folder: %v", err)
	}
}

// TestStoreIndexThatIsInterrupted: a long index is not read to its end for nothing.
func TestStoreIndexThatIsInterrupted(t *testing.T) {
	w := newMemoryWorld(t, testKeys(t))
	w.longIndex(3 << 20)
	path := filepath.Join(w.cache, "index")
	if err := os.WriteFile(path, w.index, 0o600); err != nil {
		t.Fatal(err)
	}
	s, _ := w.session(w.st)
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	f := &failingFile{file, &hostFault{failAt: -1}}
	if _, _, err := s.storeIndex(ctx, f); !errors.Is(err, ctx.Err()) || f.ops > 4 {
		t.Errorf("%v after %d operations of the file", err, f.ops)
	}
	if n := s.run.BytesPut(); n > 0 {
		t.Errorf("%d bytes were stored", n)
	}
}

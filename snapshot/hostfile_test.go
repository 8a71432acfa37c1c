package snapshot

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/orthokeep/orthokeep/repo"
)

var errHost = errors.New("a disk of this host fails")

// A hostFault makes one operation on files of this host fail.
type hostFault struct {
	failAt int // counted from 0 on; negative: none does

	mu  sync.Mutex
	ops int
}

// failed says whether the operation came to pass that is to fail.
func (h *hostFault) failed() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.failAt >= 0 && h.ops > h.failAt
}

func (h *hostFault) next(op, path string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ops++
	if h.ops-1 == h.failAt {
		return &fs.PathError{Op: op, Path: path, Err: errHost}
	}
	return nil
}

// failingFile is a file with a fault. A write is half done then, and other changes are done.
type failingFile struct {
	hostFile
	*hostFault
}

func (f *failingFile) ReadAt(p []byte, off int64) (int, error) {
	if err := f.next("read", f.Name()); err != nil {
		return 0, err
	}
	return f.hostFile.ReadAt(p, off)
}

func (f *failingFile) WriteAt(p []byte, off int64) (int, error) {
	if err := f.next("write", f.Name()); err != nil {
		n, writeErr := f.hostFile.WriteAt(p[:len(p)/2], off)
		return n, errors.Join(err, writeErr)
	}
	return f.hostFile.WriteAt(p, off)
}

func (f *failingFile) Truncate(size int64) error {
	return errors.Join(f.next("truncate", f.Name()), f.hostFile.Truncate(size))
}

func (f *failingFile) Sync() error { return errors.Join(f.next("sync", f.Name()), f.hostFile.Sync()) }

func (f *failingFile) Stat() (fs.FileInfo, error) {
	if err := f.next("stat", f.Name()); err != nil {
		return nil, err
	}
	return f.hostFile.Stat()
}

// sweepFile runs an operation on a new file again and again, each time with another operation of the file that fails, until none does. What is
// reported has to be that failure, and nothing else.
func sweepFile(t *testing.T, content []byte, do func(hostFile) error) {
	t.Helper()
	path := filepath.Join(memoryDir(t), "file")
	for k := 0; ; k++ {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		file, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		f := &failingFile{file, &hostFault{failAt: k}}
		err = do(f)
		if closeErr := f.Close(); closeErr != nil {
			t.Fatal(closeErr)
		}
		if !f.failed() {
			if err != nil || k < 4 {
				t.Fatalf("after %d operations that failed: %v", k, err)
			}
			return
		}
		if !errors.Is(err, errHost) || isDamage(err) || errors.Is(err, ErrInconsistent) {
			t.Errorf("operation %d of the file fails: %v", k, err)
		}
	}
}

// longPage is the size of the pages of a long index.
const longPage = maxPageSize

// longIndex gives the server an index of so many bytes more, and larger pages.
func (w *world) longIndex(bytes int) {
	w.index = append(w.index, make([]byte, bytes)...)
	binary.BigEndian.PutUint16(w.index[16:], 1)
	for i := range w.index[4096:] {
		w.index[4096+i] = byte(w.rnd.Uint32())
	}
}

// changePages changes every n-th page of the index.
func (w *world) changePages(n int) {
	for at := longPage; at < len(w.index); at += n * longPage {
		w.index[at] ^= 0x55
	}
}

// TestStoreIndexFromAFailingFile: the copy of the index fails at each operation, when it is stored whole and when what changed is. It is that which
// is reported, and not that the index is none. The same session stores it once the file can be read.
func TestStoreIndexFromAFailingFile(t *testing.T) {
	for name, every := range map[string]int{"base": 1, "delta": 3} {
		t.Run(name, func(t *testing.T) {
			w := newMemoryWorld(t, testKeys(t))
			w.longIndex(1 << 20)
			before := w.state(w.mustBackup())
			w.changePages(every)
			s, j := w.session(w.st)
			layers := 0
			sweepFile(t, w.index, func(f hostFile) error {
				x, _, err := s.storeIndex(t.Context(), f)
				layers = len(x.Layers)
				return err
			})
			if want := map[string]int{"base": 1, "delta": 2}[name]; layers != want {
				t.Errorf("%d layers instead of %d", layers, want)
			}
			if err := errors.Join(s.End(t.Context(), false, now), j.Close()); err != nil {
				t.Fatal(err)
			}
			w.verify(w.state(w.mustBackup()))
			w.verify(before)
			w.sound(2)
		})
	}
}

// TestRestoreIndexToAFailingFile: a restored index that cannot be written, or read again to be verified, is not restored.
func TestRestoreIndexToAFailingFile(t *testing.T) {
	w := newMemoryWorld(t, testKeys(t))
	w.longIndex(1 << 20)
	w.mustBackup()
	w.changePages(3)
	root := w.mustBackup()
	if len(root.Index.Layers) != 2 {
		t.Fatalf("%d layers", len(root.Index.Layers))
	}
	r := w.reader()
	sweepFile(t, nil, func(f hostFile) error {
		if err := restoreIndex(t.Context(), r, root.Index, f); err != nil {
			return err
		}
		if got, err := os.ReadFile(f.Name()); err != nil || !bytes.Equal(got, w.index) {
			t.Errorf("the index differs, and no error: %v", err)
		}
		return nil
	})
}

// TestEachIndexInAFailingFile: a file in which indexes are put together says nothing of the repository when it fails.
func TestEachIndexInAFailingFile(t *testing.T) {
	w := newMemoryWorld(t, testKeys(t))
	var roots []*Root
	want := map[*Root][]byte{}
	w.longIndex(1 << 20)
	for _, every := range []int{5, 1, 4, 7} {
		w.changePages(every)
		root := w.mustBackup()
		roots, want[root] = append(roots, root), bytes.Clone(w.index)
	}
	if n := len(indexChains(roots)); n != 2 {
		t.Fatalf("%d bases", n)
	}
	r := w.reader()
	sweepFile(t, nil, func(f hostFile) error {
		return eachIndex(t.Context(), r, roots, f, func(of []*Root, damage error) error {
			got, err := os.ReadFile(f.Name())
			if damage != nil || err != nil || !bytes.Equal(got, want[of[0]]) {
				t.Errorf("index of snapshot %s: %v, %v", of[0].Short(), damage, err)
			}
			return nil
		})
	})
}

// TestEachIndexEnds: where whoever looks at an index has had enough, and where a file is in the way. Nothing is left behind, or written over.
func TestEachIndexEnds(t *testing.T) {
	w := newMemoryWorld(t, testKeys(t))
	roots := []*Root{w.mustBackup()}
	w.touch(5)
	roots = append(roots, w.mustBackup())
	path := filepath.Join(memoryDir(t), "index")
	for at := range roots {
		seen := 0
		err := EachIndex(t.Context(), w.reader(), roots, path, func([]*Root, error) error {
			if seen++; seen > at {
				return errDisk
			}
			return nil
		})
		if !errors.Is(err, errDisk) || seen != at+1 {
			t.Errorf("index %d: %v after %d", at, err, seen)
		}
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("index %d: the file is left: %v", at, err)
		}
	}
	if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := EachIndex(t.Context(), w.reader(), roots, path, nil); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a file in the way: %v", err)
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "mine" {
		t.Errorf("the file in the way holds %q, %v", b, err)
	}
}

// TestIndexesOutOfBounds: what a root may not say of an index is refused also where no root says it.
func TestIndexesOutOfBounds(t *testing.T) {
	w := newMemoryWorld(t, testKeys(t))
	good := w.mustBackup().Index
	r := w.reader()
	bad := map[string]func(*Index){
		"no layers":        func(x *Index) { x.Layers = nil },
		"no index":         func(x *Index) { *x = Index{} },
		"pages of 4095":    func(x *Index) { x.PageSize = 4095 },
		"another size":     func(x *Index) { x.Size += 4096 },
		"hashes of nobody": func(x *Index) { x.Layers[0].Hashes = Stream{} },
	}
	for name, change := range bad {
		x := good
		x.Layers = []IndexLayer{good.Layers[0]}
		change(&x)
		path := filepath.Join(memoryDir(t), "index")
		if err := RestoreIndex(t.Context(), r, &Root{Index: x}, path); !errors.Is(err, repo.ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: a file is left: %v", name, err)
		}
		if hashes, err := pageHashes(t.Context(), r, x, 1); name != "no index" && !errors.Is(err, repo.ErrCorrupt) || len(hashes) > 0 {
			t.Errorf("%s: page hashes %x, %v", name, hashes, err)
		}
	}
}

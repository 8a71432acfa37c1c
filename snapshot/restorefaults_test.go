package snapshot

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/orthokeep/orthokeep/chunk"
	"github.com/orthokeep/orthokeep/repo"
)

// TestRestoreTargets: what stands in the way of a restore is an error, and stays as it is.
func TestRestoreTargets(t *testing.T) {
	w := newMemoryWorld(t, testKeys(t))
	w.add(6, 900)
	w.add(1, 900_000)
	root := w.mustBackup()
	r := w.reader()
	defer r.Close()
	deep := func(u UUID) string { return filepath.Join(u.String()[:1], u.String()[:2], u.String()) }
	mine := []byte("mine")
	for name, c := range map[string]struct {
		in   string // the way
		is   func(path string) error
		to   Destination
		fits bool
	}{
		"no folder":                   {"", os.Remove, Destination{}, false},
		"a file":                      {deep(w.list[0].UUID), func(path string) error { return os.WriteFile(path, mine, 0o600) }, Destination{}, false},
		"a file, to overwrite":        {deep(w.list[0].UUID), func(path string) error { return os.WriteFile(path, mine, 0o600) }, Destination{Overwrite: true}, true},
		"a full folder, to overwrite": {deep(w.list[0].UUID), func(path string) error { return os.MkdirAll(filepath.Join(path, "x"), 0o700) }, Destination{Overwrite: true}, false},
		"a file for a folder":         {w.list[0].UUID.String()[:1], func(path string) error { return os.WriteFile(path, mine, 0o600) }, Destination{}, false},
		"a link out of it":            {w.list[0].UUID.String()[:1], func(path string) error { return os.Symlink("/", path) }, Destination{}, false},
	} {
		dir := memoryDir(t)
		path := filepath.Join(dir, c.in)
		if c.in != "" {
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.is(path); err != nil {
			t.Fatal(err)
		}
		c.to.Dir, c.to.Place, c.to.Mode, c.to.DirMode = dir, deep, 0o600, 0o700
		_, err := RestoreAttachments(t.Context(), r, root, c.to, NoProgress{})
		if (err == nil) != c.fits {
			t.Errorf("%s: %v", name, err)
		}
		if b, readErr := os.ReadFile(path); readErr == nil && !c.fits && !bytes.Equal(b, mine) {
			t.Errorf("%s: it was written over", name)
		}
	}
	if _, err := RestoreOrphans(t.Context(), r, root, Destination{Dir: memoryDir(t)}, NoProgress{}); err == nil {
		t.Error("orphans of a snapshot that has none")
	}
	index := filepath.Join(memoryDir(t), "index")
	if err := os.WriteFile(index, mine, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := RestoreIndex(t.Context(), r, root, index); !errors.Is(err, os.ErrExist) {
		t.Errorf("an index in the way: %v", err)
	}
	if b, err := os.ReadFile(index); err != nil || !bytes.Equal(b, mine) {
		t.Errorf("the index in the way was written over: %v", err)
	}
}

// fullWriter takes some bytes, and then none.
type fullWriter struct{ left int }

func (w *fullWriter) Write(p []byte) (int, error) {
	if w.left -= len(p); w.left < 0 {
		return 0, errDisk
	}
	return len(p), nil
}

// TestCopyToAFullDisk: wherever in a file it is full.
func TestCopyToAFullDisk(t *testing.T) {
	w := newMemoryWorld(t, testKeys(t))
	w.add(1, 900)
	w.addFile(bytes.Repeat([]byte("0123456789abcdef"), 200_000))
	root := w.mustBackup()
	for _, a := range w.list {
		for _, room := range []int64{0, a.Size / 2, a.Size - 1} {
			if err := CopyAttachment(t.Context(), w.reader(), root, a.Key(), &fullWriter{int(room)}); !errors.Is(err, errDisk) {
				t.Errorf("%d of %d bytes: %v", room, a.Size, err)
			}
		}
		if err := CopyAttachment(t.Context(), w.reader(), root, a.Key(), &fullWriter{int(a.Size)}); err != nil {
			t.Error(err)
		}
	}
}

// TestLayersThatCannotBeWritten: entries out of order, too long for a block, or to a stream that fails.
func TestLayersThatCannotBeWritten(t *testing.T) {
	entry := func(id int64, bulk int) *Entry {
		return &Entry{Key: Key{id, 1}, Size: int64(bulk), bulk: make([]bulkRef, bulk)}
	}
	b := newBlockWriter(io.Discard, io.Discard)
	if err := b.write(entry(5, 0)); err != nil {
		t.Fatal(err)
	}
	if err := b.write(entry(5, 0)); err == nil {
		t.Error("two entries of one key")
	}
	if err := b.write(entry(6, 100_000)); err == nil {
		t.Error("an entry that is longer than a block")
	}
	for name, b := range map[string]*blockWriter{
		"entries": newBlockWriter(&fullWriter{}, io.Discard), "blocks": newBlockWriter(io.Discard, &fullWriter{}),
	} {
		var err error
		for id := int64(1); err == nil && id <= blockEntries; id++ {
			err = b.write(entry(id, 1))
		}
		if !errors.Is(err, errDisk) {
			t.Errorf("%s that cannot be written: %v", name, err)
		}
	}
	b = newBlockWriter(&fullWriter{}, io.Discard) // full before its number of entries is
	var err error
	for id := int64(1); err == nil && id < 100; id++ {
		err = b.write(entry(id, 3000))
	}
	if !errors.Is(err, errDisk) {
		t.Errorf("long entries that cannot be written: %v", err)
	}
}

// TestSealedNonsenseOfSnapshots: roots, pending ones and labels that are sealed and make no sense are named, and end a prune.
func TestSealedNonsenseOfSnapshots(t *testing.T) {
	name := repo.StampedName(now)
	for object, kind := range map[string]repo.Kind{rootsPrefix + name: repo.KindRoot, pendingPrefix + name: repo.KindRoot, "": repo.KindLabel} {
		for _, nonsense := range []string{"", "{", "7", `{"version": 1, "id": 7}`, `{"version": 1, "id": "x"}`, `{"tags": 7}`} {
			w := newMemoryWorld(t, testKeys(t))
			w.add(3, 900)
			root := w.mustBackup()
			good := w.state(root)
			w.mustBackup()
			at := object
			if kind == repo.KindLabel {
				at = labelName(root.Name(), 1)
			}
			if err := w.writer().PutObject(t.Context(), kind, at, []byte(nonsense)); err != nil {
				t.Fatal(err)
			}
			harmless := kind == repo.KindLabel && strings.Contains(nonsense, "version")
			if _, err := w.prune(1); !harmless && !errors.Is(err, repo.ErrCorrupt) && !errors.Is(err, repo.ErrUnsupported) {
				t.Errorf("%s holds %q: prune says %v", at, nonsense, err)
			}
			if !harmless {
				w.verify(good)
			}
			if kind == repo.KindLabel && !harmless {
				if err := SetLabel(t.Context(), w.writer(), root, func(*Label) {}); !errors.Is(err, repo.ErrCorrupt) {
					t.Errorf("a label after %q: %v", nonsense, err)
				}
			}
		}
	}
}

// TestNames: what is no UUID, and no span, is none.
func TestNames(t *testing.T) {
	const right = "01234567-89ab-cdef-0123-456789abcdef"
	if u, err := ParseUUID(right); err != nil || u.String() != right {
		t.Fatal(err)
	}
	for _, wrong := range []string{"", right[1:], right + "0", strings.ToUpper(right), strings.Replace(right, "-", "_", 1), "x" + right[1:]} {
		if _, err := ParseUUID(wrong); err == nil {
			t.Errorf("%q is a UUID", wrong)
		}
	}
	if _, err := ParseSpan("99999999999999999999d"); err == nil {
		t.Error("a span that no number holds")
	}
}

// TestDeepStreams: a stream with lists above its blobs is read, skipped and walked; a list that is gone or wrong is an error wherever that is done.
func TestDeepStreams(t *testing.T) {
	w := newMemoryWorld(t, testKeys(t))
	data := make([]byte, 4_000_000)
	for i := range data {
		data[i] = byte(w.rnd.Uint32())
	}
	m := memoryBlobs{}
	s, err := storeStream(t.Context(), m, w.keys.Writer.Polynomial, chunk.Stream, repo.Structure, bytes.NewReader(data))
	if err != nil || s.depth == 0 {
		t.Fatalf("depth %d, %v", s.depth, err)
	}
	read := map[string]func() error{
		"read": func() error { return second(io.ReadAll(newStreamReader(t.Context(), m, repo.Structure, s))) },
		"skip": func() error {
			r := newStreamReader(t.Context(), m, repo.Structure, s)
			return errors.Join(r.skip(3_000_000), second(io.ReadAll(r)))
		},
		"skip all":     func() error { return newStreamReader(t.Context(), m, repo.Structure, s).skip(s.length) },
		"skip further": func() error { return newStreamReader(t.Context(), m, repo.Structure, s).skip(s.length + 1) },
		"walk": func() error {
			return s.walk(t.Context(), m, repo.Structure, func(repo.Class, item, bool) error { return nil })
		},
	}
	for name, do := range read {
		if err := do(); (err != nil) != (name == "skip further") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, at := range []bool{true, false} {
		err := s.walk(t.Context(), m, repo.Structure, func(_ repo.Class, _ item, list bool) error {
			if list == at {
				return errDisk
			}
			return nil
		})
		if !errors.Is(err, errDisk) {
			t.Errorf("a visit of a list (%v) that fails: %v", at, err)
		}
	}
	list := m[s.items[0].id]
	for name, bad := range map[string][]byte{"cut": list[:len(list)-1], "empty": {}, "shorter": list[:len(list)-listItem], "zero": make([]byte, len(list))} {
		m[s.items[0].id] = bad
		for how, do := range read {
			if err := do(); err == nil && how != "skip all" {
				t.Errorf("%s of a list that is %s succeeds", how, name)
			}
		}
	}
	delete(m, s.items[0].id)
	for how, do := range read {
		if err := do(); err == nil && how != "skip all" {
			t.Errorf("%s of a list that is gone succeeds", how)
		}
	}
	m[s.items[0].id] = list
	for id := range m {
		if id != s.items[0].id {
			m[id] = m[id][:len(m[id])-1]
		}
	}
	if err := read["read"](); !errors.Is(err, repo.ErrCorrupt) {
		t.Errorf("blobs of another length: %v", err)
	}
}

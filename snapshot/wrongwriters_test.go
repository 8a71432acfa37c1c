package snapshot

import (
	"bytes"
	"context"
	"encoding/json"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/orthokeep/orthokeep/repo"
	"github.com/orthokeep/orthokeep/repo/storage"
	"github.com/orthokeep/orthokeep/repo/storage/faulty"
)

// wrongWriters are mistakes in how a repository is written, each with an operation in the midst of which a crash shows it.
var wrongWriters = []struct {
	mistake string
	in      string // name of the operation
	writer  writer
}{
	{"files are not synced", "first backup", files(mistakes{noSync: true})},
	{"folders are not synced", "first backup", files(mistakes{noSyncDir: true})},
	{"files get their name before they are synced", "first backup", files(mistakes{syncLate: true})},
	{"files are written in their place", "first backup", files(mistakes{inPlace: true})},
	{"folders are synced before the name is given", "first backup", files(mistakes{syncDirEarly: true})},
	{"the configuration before the keys", "init", late("put config", "put keys/")},
	{"a segment before its packs", "first backup", late("put segments/", "put packs/")},
	{"a root before its packs", "first backup", late("put snapshots/", "put packs/")},
	{"a root before its segment", "incremental backup", late("put snapshots/", "put segments/")},
	{"an epoch's key after its packs", "first backup", late("put segments/", "put epochs/")},
	{"a root that is acknowledged before it is written", "incremental backup", late("put runs/", "put snapshots/")},
	{"packs are deleted before they are marked", "prune", objects(func(st storage.Storage, tr *trial) storage.Storage { return &hastyPrune{st, tr} })},
	{"a segment is deleted before the one that takes its place", "prune", late("delete segments/", "put segments/")},
	{"a mark is deleted before the segments that list its packs", "prune", late("delete marks/", "put segments/", "delete segments/")},
	{"packs that were moved are written after their segment", "prune", late("put segments/", "put packs/")},
}

// TestWrongWritersAreCaught: the campaign finds what it is made to find.
func TestWrongWritersAreCaught(t *testing.T) {
	if raceEnabled {
		t.Skip("ten times as long under the race detector: make test runs it without")
	}
	keys := testKeys(t)
	for _, wrong := range wrongWriters {
		t.Run(wrong.mistake, func(t *testing.T) {
			t.Parallel()
			for _, op := range operations {
				if op.name != wrong.in {
					continue
				}
				// What is done in the wrong order shows when all of it survives, or nothing, over at least the changes that make one object.
				c := campaign{seeds: []int{0, 1}, stride: 3, writer: wrong.writer}
				if wrong.writer.files != nil {
					c.seeds = []int{1, 2, 3, 4, 5, 6}
				}
				err := c.run(t, op, keys)
				if err == nil {
					t.Fatalf("not caught in %d states of %s", c.trials, op.name)
				}
				t.Log(err)
				return
			}
			t.Fatalf("no operation %s", wrong.in)
		})
	}
}

// TestRightWriterIsNotCaught: what wraps the wrong writers is not what is caught.
func TestRightWriterIsNotCaught(t *testing.T) {
	keys := testKeys(t)
	right := files(mistakes{})
	right.objects = late("").objects
	for _, op := range operations {
		c := campaign{stride: 9, writer: right}
		if err := c.run(t, op, keys); err != nil {
			t.Error(err)
		}
	}
}

func files(m mistakes) writer {
	return writer{files: func(fsys storage.FS) storage.FS {
		return &wrongFiles{FS: fsys, mistakes: m, open: map[string]storage.File{}, synced: map[string]bool{}}
	}}
}

func objects(wrap func(storage.Storage, *trial) storage.Storage) writer { return writer{objects: wrap} }

type mistakes struct{ noSync, noSyncDir, syncLate, inPlace, syncDirEarly bool }

// wrongFiles is a file system that leaves something out, or does it too late.
type wrongFiles struct {
	storage.FS
	mistakes

	mu     sync.Mutex
	open   map[string]storage.File // by path, those that are to be synced late
	synced map[string]bool         // folders, of syncDirEarly, whose next sync is left out
}

type wrongFile struct {
	storage.File
	of *wrongFiles
}

func (f *wrongFile) Sync() error {
	if f.of.noSync || f.of.syncLate {
		return nil
	}
	return f.File.Sync()
}

func (f *wrongFile) Close() error {
	if f.of.syncLate {
		return nil // when it is synced
	}
	return f.File.Close()
}

// final is the path that a temporary file is for.
func final(path string) string {
	if i := strings.LastIndexByte(strings.TrimSuffix(path, ".tmp"), '.'); i > 0 && strings.HasSuffix(path, ".tmp") {
		return path[:i]
	}
	return path
}

func (w *wrongFiles) Create(path string, mode fs.FileMode) (storage.File, error) {
	at := path
	if w.inPlace {
		at = final(path)
	}
	f, err := w.FS.Create(at, mode)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.open[path] = f
	return &wrongFile{f, w}, nil
}

func (w *wrongFiles) RenameNew(old, new string) error {
	if w.inPlace {
		return nil
	}
	if w.syncDirEarly {
		if err := w.FS.SyncDir(filepath.Dir(new)); err != nil {
			return err
		}
		w.mu.Lock()
		w.synced[filepath.Dir(new)] = true
		w.mu.Unlock()
	}
	if err := w.FS.RenameNew(old, new); err != nil || !w.syncLate {
		return err
	}
	w.mu.Lock()
	f := w.open[old]
	w.mu.Unlock()
	if err := w.FS.SyncDir(filepath.Dir(new)); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return f.Close()
}

func (w *wrongFiles) SyncDir(path string) error {
	w.mu.Lock()
	early := w.synced[path]
	delete(w.synced, path)
	w.mu.Unlock()
	if w.noSyncDir || early {
		return nil
	}
	return w.FS.SyncDir(path)
}

// late does operations, such as "put packs/", only after another one, such as "put snapshots/", of which it says that they are done.
func late(until string, held ...string) writer {
	return objects(func(st storage.Storage, _ *trial) storage.Storage {
		return &lateStorage{Storage: st, held: held, until: until, data: map[string][]byte{}}
	})
}

// lateStorage acknowledges what it has not done yet.
type lateStorage struct {
	storage.Storage
	held  []string // operations with prefixes of names
	until string

	mu      sync.Mutex
	waiting []func() error
	data    map[string][]byte // of what is to be put
}

// Put implements storage.Storage.
func (l *lateStorage) Put(ctx context.Context, name string, data []byte) error {
	copied := bytes.Clone(data)
	return l.do("put "+name, func() error { return l.Storage.Put(ctx, name, copied) }, func() { l.data[name] = copied })
}

// Delete implements storage.Storage.
func (l *lateStorage) Delete(ctx context.Context, name string) error {
	return l.do("delete "+name, func() error { return l.Storage.Delete(ctx, name) }, func() {})
}

func (l *lateStorage) do(operation string, do func() error, held func()) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if slices.ContainsFunc(l.held, func(prefix string) bool { return strings.HasPrefix(operation, prefix) }) {
		held()
		l.waiting = append(l.waiting, do)
		return nil
	}
	if err := do(); err != nil || l.until == "" || !strings.HasPrefix(operation, l.until) {
		return err
	}
	for _, do := range l.waiting {
		if err := do(); err != nil {
			return err
		}
	}
	l.waiting = nil
	clear(l.data)
	return nil
}

// Get knows what was not written yet: a run reads back its packs.
func (l *lateStorage) Get(ctx context.Context, name string, limit int64) ([]byte, error) {
	l.mu.Lock()
	data, ok := l.data[name]
	l.mu.Unlock()
	if ok {
		return bytes.Clone(data), nil
	}
	return l.Storage.Get(ctx, name, limit)
}

// hastyPrune deletes the packs of a mark before it publishes the mark.
type hastyPrune struct {
	storage.Storage
	tr *trial
}

// Put implements storage.Storage.
func (h *hastyPrune) Put(ctx context.Context, name string, data []byte) error {
	if strings.HasPrefix(name, "marks/") && !strings.HasSuffix(name, ".note") {
		packs, err := h.marked(ctx, name, data)
		if err != nil {
			return err
		}
		for _, id := range packs {
			if err := h.Delete(ctx, "packs/"+id[:2]+"/"+id); err != nil {
				return err
			}
		}
	}
	return h.Storage.Put(ctx, name, data)
}

// marked opens a mark, in a copy of the repository that has nothing else.
func (h *hastyPrune) marked(ctx context.Context, name string, data []byte) ([]string, error) {
	st, err := storage.CreateOn(faulty.NewFS(), "/repo")
	if err != nil {
		return nil, err
	}
	if err := repo.Init(ctx, st, h.tr.keys, repo.InitOptions{Created: now}); err != nil {
		return nil, err
	}
	if err := st.Put(ctx, name, data); err != nil {
		return nil, err
	}
	r, err := repo.Open(ctx, st, repo.Credentials{Writer: h.tr.keys.Writer}, "")
	if err != nil {
		return nil, err
	}
	defer r.Close()
	body, err := r.GetObject(ctx, repo.KindMark, name)
	if err != nil {
		return nil, err
	}
	var mark struct{ Packs []string }
	err = json.Unmarshal(body, &mark)
	return mark.Packs, err
}

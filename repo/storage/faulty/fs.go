package faulty

import (
	"io/fs"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/orthokeep/orthokeep/repo/storage"
)

// An FS is a storage.FS in memory that knows what was synced. It begins with an empty root folder. Reads (Open, Stat, ReadDir,
// ReadAt) and changes (everything else) are counted apart, from 0 on. Its methods may be called at once.
type FS struct {
	mu       sync.Mutex
	root     *node
	nodes    []*node // all there ever were, in the order of their creation, so that a seed means the same every time
	ops      int
	reads    int
	crashAt  int // before this change; negative: never
	crashed  bool
	fail     map[int]error // changes that are not made
	failDone map[int]error // changes that are made, and reported as failed
	late     error         // what the change under way is to be reported with
	failRead map[int]error
	space    int // bytes that all files may have; negative: any number
}

// A node is a file or a folder. Names belong to folders.
type node struct {
	dir  bool
	mode fs.FileMode

	entries map[string]*node // of a folder, as it is seen
	kept    map[string]*node // of a folder, as it is after a crash
	pending [][]entry        // changes of a folder since its last sync, each of them atomic

	data   []byte // of a file, as it is seen; bytes are only ever added
	synced int    // so many bytes are kept after a crash
	writes []int  // where each write since the last sync ended
	lost   []span // bytes whose sync failed: gone after a crash, whatever later syncs say
}

// An entry gives a name to a node, or takes it away when node is nil.
type entry struct {
	name string
	node *node
}

type span struct{ from, to int }

var _ storage.FS = (*FS)(nil)

// NewFS returns an empty file system that neither fails nor crashes.
func NewFS() *FS {
	f := &FS{crashAt: -1, fail: map[int]error{}, failDone: map[int]error{}, failRead: map[int]error{}, space: -1}
	f.root = f.newNode(true, 0o700)
	return f
}

func (f *FS) newNode(dir bool, mode fs.FileMode) *node {
	n := &node{dir: dir, mode: mode}
	if dir {
		n.entries, n.kept = map[string]*node{}, map[string]*node{}
	}
	f.nodes = append(f.nodes, n)
	return n
}

// split cuts a path into its names; a volume's letter is a name like any other.
func split(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r == '/' || r == '\\' })
}

// find returns what a path leads to. f.mu is held.
func (f *FS) find(op, path string) (*node, error) {
	if f.crashed {
		return nil, ErrCrashed
	}
	n := f.root
	for _, name := range split(path) {
		if n = n.entries[name]; n == nil {
			return nil, &fs.PathError{Op: op, Path: path, Err: fs.ErrNotExist}
		}
	}
	return n, nil
}

// parent returns the folder that a path's last name stands in, and that name. f.mu is held.
func (f *FS) parent(op, path string) (*node, string, error) {
	names := split(path)
	last := len(names) - 1
	if last < 0 {
		return nil, "", &fs.PathError{Op: op, Path: path, Err: fs.ErrInvalid}
	}
	dir, err := f.find(op, strings.Join(names[:last], "/"))
	if err == nil && !dir.dir {
		err = &fs.PathError{Op: op, Path: path, Err: fs.ErrNotExist}
	}
	return dir, names[last], err
}

// set applies changes to a folder, which a crash may undo until the folder is synced.
func (n *node) set(changes ...entry) {
	apply(n.entries, changes)
	n.pending = append(n.pending, changes)
}

func apply(entries map[string]*node, changes []entry) {
	for _, c := range changes {
		if c.node == nil {
			delete(entries, c.name)
		} else {
			entries[c.name] = c.node
		}
	}
}

// add makes a new file or folder.
func (f *FS) add(op, path string, isDir bool, mode fs.FileMode) (n *node, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	defer f.report(&err)
	if err := f.change(); err != nil {
		return nil, err
	}
	dir, name, err := f.parent(op, path)
	if err != nil {
		return nil, err
	}
	if dir.entries[name] != nil {
		return nil, &fs.PathError{Op: op, Path: path, Err: fs.ErrExist}
	}
	n = f.newNode(isDir, mode)
	dir.set(entry{name, n})
	return n, nil
}

// Create implements storage.FS.
func (f *FS) Create(path string, mode fs.FileMode) (storage.File, error) {
	n, err := f.add("create", path, false, mode)
	if err != nil {
		return nil, err
	}
	return &file{f, n}, nil
}

// Mkdir implements storage.FS.
func (f *FS) Mkdir(path string, mode fs.FileMode) error {
	_, err := f.add("mkdir", path, true, mode)
	return err
}

// Open implements storage.FS.
func (f *FS) Open(path string) (storage.File, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.read(); err != nil {
		return nil, err
	}
	n, err := f.find("open", path)
	if err != nil {
		return nil, err
	}
	return &file{f, n}, nil
}

// Rename implements storage.FS, within one folder.
func (f *FS) Rename(old, new string) error { return f.rename(old, new, true) }

// RenameNew implements storage.FS, within one folder.
func (f *FS) RenameNew(old, new string) error { return f.rename(old, new, false) }

func (f *FS) rename(old, new string, replace bool) (err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	defer f.report(&err)
	if err := f.change(); err != nil {
		return err
	}
	dir, from, err := f.parent("rename", old)
	if err != nil {
		return err
	}
	to, name, err := f.parent("rename", new)
	switch {
	case err != nil:
		return err
	case to != dir:
		return &fs.PathError{Op: "rename", Path: new, Err: fs.ErrInvalid}
	case dir.entries[from] == nil:
		return &fs.PathError{Op: "rename", Path: old, Err: fs.ErrNotExist}
	case dir.entries[name] != nil && !replace:
		return &fs.PathError{Op: "rename", Path: new, Err: fs.ErrExist}
	}
	dir.set(entry{name, dir.entries[from]}, entry{from, nil})
	return nil
}

// Remove implements storage.FS.
func (f *FS) Remove(path string) (err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	defer f.report(&err)
	if err := f.change(); err != nil {
		return err
	}
	dir, name, err := f.parent("remove", path)
	if err != nil {
		return err
	}
	if dir.entries[name] == nil {
		return &fs.PathError{Op: "remove", Path: path, Err: fs.ErrNotExist}
	}
	dir.set(entry{name, nil})
	return nil
}

// SyncDir implements storage.FS.
func (f *FS) SyncDir(path string) (err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	defer f.report(&err)
	err = f.change()
	if f.crashed {
		return err
	}
	n, findErr := f.find("sync", path)
	if findErr != nil {
		return findErr
	}
	if err == nil {
		for _, changes := range n.pending {
			apply(n.kept, changes)
		}
	}
	n.pending = nil
	return err
}

// Stat implements storage.FS.
func (f *FS) Stat(path string) (fs.FileInfo, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.read(); err != nil {
		return nil, err
	}
	n, err := f.find("stat", path)
	if err != nil {
		return nil, err
	}
	names := split(path)
	return info{name: strings.Join(names[max(0, len(names)-1):], ""), size: len(n.data), mode: n.fullMode()}, nil
}

// ReadDir implements storage.FS.
func (f *FS) ReadDir(path string) ([]fs.DirEntry, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.read(); err != nil {
		return nil, err
	}
	n, err := f.find("readdir", path)
	if err != nil {
		return nil, err
	}
	var out []fs.DirEntry
	for name, child := range n.entries {
		out = append(out, fs.FileInfoToDirEntry(info{name, len(child.data), child.fullMode()}))
	}
	slices.SortFunc(out, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return out, nil
}

func (n *node) fullMode() fs.FileMode {
	if n.dir {
		return n.mode | fs.ModeDir
	}
	return n.mode
}

// info describes a node. Its time is the beginning of time, so every temporary file is stale.
type info struct {
	name string
	size int
	mode fs.FileMode
}

func (i info) Name() string       { return i.name }
func (i info) Size() int64        { return int64(i.size) }
func (i info) Mode() fs.FileMode  { return i.mode }
func (i info) ModTime() time.Time { return time.Time{} }
func (i info) IsDir() bool        { return i.mode.IsDir() }
func (i info) Sys() any           { return nil }

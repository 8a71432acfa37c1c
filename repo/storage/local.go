package storage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"
)

// Local keeps objects as files in a folder: the object a/b is the file a/b, mode 0600 in folders of mode 0700. An object is
// written to a temporary file, synced, renamed without replacing, and its folder is synced. Where a file system knows
// neither such a rename nor hard links, Put says so. Its methods may be called at once, and several processes, on several
// machines, may have the same folder open.
type Local struct {
	fs      FS
	root    string
	folders folders
	files   openFiles
}

var _ Storage = (*Local)(nil)

// Open opens the folder dir. The error matches ErrNotFound when there is nothing, and ErrNotFolder when it is a file.
func Open(dir string) (*Local, error) { return OpenOn(OS, dir) }

// Create makes the folder dir, its parents too, durably, and opens it. A folder that is there already is opened as it is.
func Create(dir string) (*Local, error) { return CreateOn(OS, dir) }

// OpenOn is Open on another file system.
func OpenOn(fsys FS, dir string) (*Local, error) {
	root, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	info, err := fsys.Stat(root)
	switch {
	case isFileInPath(err):
		return nil, fmt.Errorf("%s: %w", dir, ErrNotFolder)
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("folder %s: %w", dir, ErrNotFound)
	case err != nil:
		return nil, fmt.Errorf("open folder: %w", err)
	case !info.IsDir():
		return nil, fmt.Errorf("%s: %w", dir, ErrNotFolder)
	}
	l := &Local{fs: fsys, root: root}
	l.folders = folders{fs: fsys, root: root, durable: map[string]bool{}, failed: map[string]error{}}
	l.files = openFiles{fs: fsys, open: map[string]*openFile{}}
	return l, nil
}

// CreateOn is Create on another file system.
func CreateOn(fsys FS, dir string) (*Local, error) {
	root, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if err := mkdirAll(fsys, root); err != nil {
		return nil, fmt.Errorf("create folder %s: %w", dir, diskError(err))
	}
	return OpenOn(fsys, dir)
}

// mkdirAll makes dir and its parents where they are missing, and syncs the parent of each that it makes.
func mkdirAll(fsys FS, dir string) error {
	info, err := fsys.Stat(dir)
	switch {
	case err == nil && info.IsDir():
		return nil
	case err == nil, isFileInPath(err):
		return ErrNotFolder
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	parent := filepath.Dir(dir)
	if err := mkdirAll(fsys, parent); err != nil {
		return err
	}
	if err := fsys.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return fsys.SyncDir(parent)
}

// Close closes the files that ReadAt keeps open. The Local must not be used afterwards.
func (l *Local) Close() error {
	l.files.closeAll()
	return nil
}

// String is the folder's absolute path.
func (l *Local) String() string { return l.root }

// path is where an object lies.
func (l *Local) path(ctx context.Context, name string) (string, error) {
	if err := CheckName(name); err != nil {
		return "", err
	}
	if err := ctx.Err(); err != nil {
		return "", fmt.Errorf("object %s: %w", name, err)
	}
	return filepath.Join(l.root, filepath.FromSlash(name)), nil
}

// Put implements Storage.
func (l *Local) Put(ctx context.Context, name string, data []byte) error {
	path, err := l.path(ctx, name)
	if err != nil {
		return err
	}
	return writeError("write", name, l.put(path, data))
}

func (l *Local) put(path string, data []byte) error {
	if info, err := l.fs.Stat(path); err == nil {
		return l.putAgain(path, info, data)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	err := l.create(path, data)
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	info, err := l.fs.Stat(path) // somebody else was quicker
	if err != nil {
		return err
	}
	return l.putAgain(path, info, data)
}

// putAgain is Put for a name that exists. Its data is durable, since a file gets its name after its sync, but the name
// itself may not be yet.
func (l *Local) putAgain(path string, info fs.FileInfo, data []byte) error {
	if info.Size() != int64(len(data)) {
		return fmt.Errorf("%w with another length", ErrExists)
	}
	f, err := l.fs.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	const step = 1 << 20
	buf := make([]byte, min(step, len(data)))
	for off := 0; off < len(data); off += step {
		want := data[off:min(off+step, len(data))]
		if err := readFull(f, buf[:len(want)], int64(off)); err != nil {
			return err
		}
		if !bytes.Equal(buf[:len(want)], want) {
			return fmt.Errorf("%w with another content", ErrExists)
		}
	}
	dir := filepath.Dir(path)
	if err := l.folders.ensure(dir); err != nil {
		return err
	}
	return l.folders.sync(dir)
}

// PutNew implements Storage.
func (l *Local) PutNew(ctx context.Context, name string, data []byte) error {
	path, err := l.path(ctx, name)
	if err != nil {
		return err
	}
	return writeError("create", name, l.create(path, data))
}

// Replace implements Storage.
func (l *Local) Replace(ctx context.Context, name string, data []byte) error {
	path, err := l.path(ctx, name)
	if err != nil {
		return err
	}
	err = l.write(path, data, l.fs.Rename)
	l.files.forget(path)
	if refused(err) {
		err = fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return writeError("replace", name, err)
}

// create writes a new file; the error matches fs.ErrExist when there is one.
func (l *Local) create(path string, data []byte) error { return l.write(path, data, l.fs.RenameNew) }

func (l *Local) write(path string, data []byte, rename func(old, new string) error) error {
	dir := filepath.Dir(path)
	if err := l.folders.ensure(dir); err != nil {
		return err
	}
	tmp, err := writeTmp(l.fs, path, data, 0o600)
	if err != nil {
		return err
	}
	if err := rename(tmp, path); err != nil {
		_ = l.fs.Remove(tmp) // what cannot be removed is hidden, and Sweep takes it
		return err
	}
	return l.folders.sync(dir) // when it returns, the object counts
}

// Delete implements Storage.
func (l *Local) Delete(ctx context.Context, name string) error {
	path, err := l.path(ctx, name)
	if err != nil {
		return err
	}
	l.files.forget(path)
	err = l.fs.Remove(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		if refused(err) {
			err = fmt.Errorf("%w: %w", ErrRefused, err)
		}
		return writeError("delete", name, err)
	}
	err = l.folders.sync(filepath.Dir(path))
	if errors.Is(err, fs.ErrNotExist) { // no folder, no object
		err = nil
	}
	return writeError("delete", name, err)
}

// staleAfter is how old a temporary file must be before it cannot belong to a writer on another machine, whose clock
// may differ.
const staleAfter = 24 * time.Hour

// Sweep removes the temporary files of writers that were killed, those that are a day old at the time now, and returns how many.
func (l *Local) Sweep(ctx context.Context, now time.Time) (removed int, err error) {
	err = l.walk(ctx, "", "", func(name string, info fs.FileInfo) error {
		if !isTmp(name) || now.Sub(info.ModTime()) < staleAfter {
			return nil
		}
		err := l.fs.Remove(filepath.Join(l.root, filepath.FromSlash(name)))
		if err == nil {
			removed++
		} else if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		return err
	})
	if err != nil {
		err = fmt.Errorf("sweep %s: %w", l.root, err)
	}
	return removed, err
}

// writeError says which object could not be written or deleted, and translates the operating system's errors.
func writeError(verb, name string, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, fs.ErrExist) {
		err = ErrExists
	}
	return fmt.Errorf("%s object %s: %w", verb, name, diskError(err))
}

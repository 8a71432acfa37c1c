package storage

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"path/filepath"
	"slices"
	"strings"
)

// Get implements Storage.
func (l *Local) Get(ctx context.Context, name string, limit int64) ([]byte, error) {
	path, err := l.path(ctx, name)
	if err != nil {
		return nil, err
	}
	data, err := l.get(path, limit)
	return data, readError("read", name, err)
}

func (l *Local) get(path string, limit int64) ([]byte, error) {
	f, err := l.fs.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size, err := fileSize(f.Stat())
	if err != nil {
		return nil, err
	}
	if size > limit {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrTooLong, size, limit)
	}
	data := make([]byte, size)
	if err := readFull(f, data, 0); err != nil {
		return nil, err
	}
	return data, nil
}

// ReadAt implements Storage. It keeps up to 32 files open, since a restore reads many ranges of the same pack.
func (l *Local) ReadAt(ctx context.Context, name string, p []byte, off int64) error {
	path, err := l.path(ctx, name)
	if err != nil {
		return err
	}
	f, err := l.files.acquire(path)
	if err != nil {
		return readError("read", name, err)
	}
	defer l.files.release(f)
	return readError("read", name, readFull(f.file, p, off))
}

// readFull fills p or fails.
func readFull(f io.ReaderAt, p []byte, off int64) error {
	n, err := f.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: bytes %d to %d, it ends at %d", ErrShort, off, off+int64(len(p)), off+int64(n))
	}
	return err
}

// Size implements Storage.
func (l *Local) Size(ctx context.Context, name string) (int64, error) {
	path, err := l.path(ctx, name)
	if err != nil {
		return 0, err
	}
	size, err := fileSize(l.fs.Stat(path))
	return size, readError("look for", name, err)
}

// readError says which object could not be read.
func readError(verb, name string, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, fs.ErrNotExist) || isFileInPath(err) {
		err = ErrNotFound
	}
	if unreadable(err) {
		err = fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	return fmt.Errorf("%s object %s: %w", verb, name, err)
}

// fileSize is a file's length; a folder in its place is no object.
func fileSize(info fs.FileInfo, err error) (int64, error) {
	if err != nil {
		return 0, err
	}
	if !info.Mode().IsRegular() {
		return 0, fs.ErrNotExist
	}
	return info.Size(), nil
}

// errStop ends a walk whose caller has seen enough.
var errStop = errors.New("stop")

// List implements Storage. Its memory is bounded by the longest folder. Files with other names than CheckName permits, and
// temporary ones, are not listed.
func (l *Local) List(ctx context.Context, prefix string) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		err := l.walk(ctx, "", prefix, func(name string, info fs.FileInfo) error {
			if isTmp(name) || CheckName(name) != nil {
				return nil
			}
			if !yield(Object{Name: name, Size: info.Size()}, nil) {
				return errStop
			}
			return nil
		})
		if err != nil && err != errStop {
			yield(Object{}, fmt.Errorf("list objects %s*: %w", prefix, err))
		}
	}
}

// walk visits the regular files below dir (a name that ends in a slash, or "") whose names begin with prefix, in the order
// of their names. What vanishes meanwhile is passed over.
func (l *Local) walk(ctx context.Context, dir, prefix string, visit func(name string, info fs.FileInfo) error) error {
	entries, err := l.fs.ReadDir(filepath.Join(l.root, filepath.FromSlash(dir)))
	if errors.Is(err, fs.ErrNotExist) && dir != "" {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range inOrder(entries) {
		if err := ctx.Err(); err != nil {
			return err
		}
		name := dir + e.key
		if !strings.HasPrefix(name, prefix) && !(e.entry.IsDir() && strings.HasPrefix(prefix, name)) {
			continue
		}
		if e.entry.IsDir() {
			err = l.walk(ctx, name, prefix, visit)
		} else {
			err = visitFile(e.entry, name, visit)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func visitFile(e fs.DirEntry, name string, visit func(string, fs.FileInfo) error) error {
	info, err := e.Info()
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil || !info.Mode().IsRegular() {
		return err
	}
	return visit(name, info)
}

type keyedEntry struct {
	key   string // the name; a folder's ends in a slash, as it stands in the names of its objects
	entry fs.DirEntry
}

// inOrder sorts a folder so that the names of the objects below come in the order of their bytes: "a-b" before "a/c". Folders
// that cannot hold objects (lost+found, .snapshot) are left out: they may not be readable.
func inOrder(entries []fs.DirEntry) []keyedEntry {
	var out []keyedEntry
	for _, e := range entries {
		switch {
		case !e.IsDir():
			out = append(out, keyedEntry{e.Name(), e})
		case validPart(e.Name()):
			out = append(out, keyedEntry{e.Name() + "/", e})
		}
	}
	slices.SortFunc(out, func(a, b keyedEntry) int { return cmp.Compare(a.key, b.key) })
	return out
}

func isTmp(name string) bool { return strings.HasSuffix(name, tmpSuffix) }

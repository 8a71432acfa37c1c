package orthanc

import (
	"context"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// StorageArea is Orthanc's folder of attachments. It is only read. Its methods may be called at once by several goroutines.
type StorageArea struct {
	Root string
}

// Path returns where Orthanc keeps an attachment.
func (s StorageArea) Path(u UUID) string {
	name := u.String()
	return filepath.Join(s.Root, name[:2], name[2:4], name)
}

// Open opens an attachment for reading, without following a link in its last place and, where permitted, without
// changing its access time. The error matches fs.ErrNotExist when it has vanished, ErrAttachment when something else
// lies at its place. The caller closes the file.
func (s StorageArea) Open(u UUID) (*os.File, error) {
	f, err := openQuietly(s.Path(u))
	if err != nil {
		return nil, fmt.Errorf("open attachment %s: %w", u, err)
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = ErrAttachment
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("open attachment %s: %w", u, err)
	}
	return f, nil
}

// Listing counts what List meets.
type Listing struct {
	Attachments int64 // names of attachments at their places
	Foreign     int64 // other names, Orthanc's own index and lists of pending deletions aside
}

// List lists the attachments that lie in the storage area, in the order of their UUIDs, by their names alone: no file
// is looked at, so that a name may lead to a half-written file or to none. Folders and files that come and go meanwhile
// are no error. It holds the names of one folder of the lowest level at a time. What it counts it adds to count, unless
// that is nil. The error, a folder that cannot be read or a context that has ended, ends the list.
func (s StorageArea) List(ctx context.Context, count *Listing) iter.Seq2[UUID, error] {
	if count == nil {
		count = new(Listing)
	}
	return func(yield func(UUID, error) bool) {
		folders, err := openFolderReader(s.Root)
		if err != nil {
			yield(UUID{}, fmt.Errorf("list storage area: %w", err))
			return
		}
		defer folders.close()
		top, err := folders.list(ctx, ".", nil)
		if err != nil {
			yield(UUID{}, err)
			return
		}
		slices.Sort(top)
		l := areaLister{ctx: ctx, folders: folders, count: count}
		for _, first := range top {
			if !hexPair(first) {
				if !ownFile(first) {
					count.Foreign++
				}
				continue
			}
			if !l.below(first, yield) {
				return
			}
		}
	}
}

// areaLister lists a storage area. It keeps its memory from one folder to the next.
type areaLister struct {
	ctx     context.Context
	folders *folderReader
	count   *Listing
	seconds []string // the names in one of the 256 folders
	names   []string // the names in one of those below it
	found   []UUID   // the attachments among these
}

// below lists one of the 256 folders. It returns false when the list has ended.
func (l *areaLister) below(first string, yield func(UUID, error) bool) bool {
	var err error
	if l.seconds, err = l.folders.list(l.ctx, first, l.seconds[:0]); err != nil {
		yield(UUID{}, err)
		return false
	}
	slices.Sort(l.seconds)
	for _, second := range l.seconds {
		if !hexPair(second) {
			l.count.Foreign++
			continue
		}
		if err := l.attachments(first, second); err != nil {
			yield(UUID{}, err)
			return false
		}
		for _, u := range l.found {
			l.count.Attachments++
			if !yield(u, nil) {
				return false
			}
		}
	}
	return true
}

// attachments puts what lies at its place in a folder of the lowest level into found, in order.
func (l *areaLister) attachments(first, second string) (err error) {
	if l.names, err = l.folders.list(l.ctx, first+"/"+second, l.names[:0]); err != nil {
		return err
	}
	l.found = l.found[:0]
	for _, name := range l.names {
		u, err := ParseUUID(name)
		if err != nil || name[:2] != first || name[2:4] != second {
			l.count.Foreign++
			continue
		}
		l.found = append(l.found, u)
	}
	slices.SortFunc(l.found, compareUUID)
	return nil
}

// hexPair says whether a name is one of the folders 00 to ff.
func hexPair(name string) bool {
	return len(name) == 2 && strings.Trim(name, "0123456789abcdef") == ""
}

// ownFile says whether a name at the top is one of Orthanc's own that hold no attachment: the index with its companions,
// and the lists of plug-in DelayedDeletion.
func ownFile(name string) bool {
	if rest, ok := strings.CutPrefix(name, "index"); ok {
		return rest == "" || rest == "-wal" || rest == "-shm" || rest == "-journal"
	}
	return strings.HasPrefix(name, "pending-deletions") && strings.Contains(name, ".db")
}

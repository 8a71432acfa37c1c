package repo

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/orthokeep/orthokeep/repo/storage"
)

// catalogue is index.bolt and the folder of its volumes (FORMAT.md section 14). It is derived; every error of it means
// "read the segments instead", and damage, errDerived, means "delete it".
//
// BUG(catalogue): bbolt has no checksums of pages and follows what they say. A disk that returns a wrong page number in a branch
// page of index.bolt, such as one further up, makes it go round for ever. Nothing is lost by that, and deleting the file helps.
type catalogue struct {
	dir        string
	repository string
}

const (
	catalogueName = "index.bolt"
	catalogueWait = 500 * time.Millisecond // for the file lock, which is held while it is read or committed
	orphanAge     = 24 * time.Hour         // before, what nobody names may be a volume that another process is about to commit
)

var (
	errDerived  = errors.New("catalogue is damaged")
	errConflict = errors.New("another process has changed the catalogue")
)

func (c *catalogue) path() string { return filepath.Join(c.dir, catalogueName) }

// guarded runs f, and makes an error of what a damaged file does to it through a mapping, bbolt's or ours.
func guarded(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", errDerived, p)
		}
	}()
	return f()
}

// load returns what the catalogue says, nil when it is of the generation that is known already, 0 meaning none. Volumes are
// opened before the lock is let go: whoever commits after that cannot delete them.
func (c *catalogue) load(known uint64) (out *collection, err error) {
	if _, err := os.Stat(c.path()); err != nil {
		return nil, err
	}
	err = guarded(func() error {
		db, err := bolt.Open(c.path(), 0o600, &bolt.Options{Timeout: catalogueWait, ReadOnly: true})
		if err != nil {
			return err
		}
		defer db.Close()
		return db.View(func(tx *bolt.Tx) error {
			s, err := c.readState(tx)
			if err != nil || s.generation == known {
				return err
			}
			out = newCollection(c.dir)
			out.generation, out.next, out.most = s.generation, s.next, promptMerge
			return c.loadEntries(tx, out, s.sum)
		})
	})
	if err != nil && out != nil {
		out.close()
		out = nil
	}
	return out, err
}

// commit makes index.bolt say what the collection holds, of which all is in volumes. It gives up without harm when another
// process holds the file, or has changed it.
func (c *catalogue) commit(from *collection) error {
	if err := c.syncVolumes(from.volumes); err != nil {
		return err
	}
	var random [8]byte
	fillRandom(random[:])
	generation := max(1, binary.LittleEndian.Uint64(random[:]))
	return guarded(func() error {
		db, err := bolt.Open(c.path(), 0o600, &bolt.Options{Timeout: catalogueWait})
		if err != nil {
			return err
		}
		defer db.Close()
		var merged map[string]bool
		err = db.Update(func(tx *bolt.Tx) error {
			old, err := c.readState(tx)
			if err != nil {
				return err
			}
			if old.generation != from.generation {
				return errConflict
			}
			merged, err = c.put(tx, from, old.sum, generation)
			return err
		})
		if err != nil {
			return err
		}
		// From here on it counts.
		from.committed(generation)
		for _, v := range from.volumes {
			v.listed.Store(true)
		}
		c.sweep(from.volumes, merged)
		return nil
	})
}

// syncVolumes makes durable what the next transaction names.
func (c *catalogue) syncVolumes(volumes []*volume) error {
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return err
	}
	for _, v := range volumes {
		if v.listed.Load() {
			continue
		}
		if err := v.file.Sync(); err != nil {
			return err
		}
	}
	return storage.OS.SyncDir(c.dir)
}

// sweep deletes volumes that were merged, and those that nobody has named for a day.
func (c *catalogue) sweep(volumes []*volume, merged map[string]bool) {
	here := map[string]bool{}
	for _, v := range volumes {
		here[v.name()] = true
	}
	entries, _ := os.ReadDir(c.dir) // what is not seen is not deleted
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), volumePrefix) || here[e.Name()] {
			continue
		}
		info, err := e.Info()
		if merged[e.Name()] || err == nil && time.Since(info.ModTime()) > orphanAge {
			_ = os.Remove(filepath.Join(c.dir, e.Name())) // tried again at the next commit
		}
	}
}

// remove deletes index.bolt, so that the catalogue is built anew.
func (c *catalogue) remove() {
	_ = os.Remove(c.path()) // what cannot be removed is found wanting again at the next load
}

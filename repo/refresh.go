package repo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"syscall"

	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/orthokeep/orthokeep/repo/storage"
)

const segmentsPrefix = "segments/"

// Refresh imports what other runs have added since, and what prune has marked. A catalogue that is missing, damaged, held by another process, or of
// segments that are gone is done without, and built anew where that is possible. The error matches ErrCorrupt when a segment or mark is damaged,
// unless the repository was opened as a damaged one.
func (r *Repository) Refresh(ctx context.Context) error {
	r.refreshing.Lock()
	defer r.refreshing.Unlock()
	return r.refresh(ctx, false)
}

const maxListings = 3 // of the segments, when one is gone before it is read: another one superseded it, and prune deleted it

// refresh goes on from the catalogue or, to build it anew, from nothing.
func (r *Repository) refresh(ctx context.Context, anew bool) (err error) {
	for range maxListings {
		if err = r.refreshOnce(ctx, anew); !errors.Is(err, storage.ErrNotFound) {
			break
		}
	}
	if errors.Is(err, errDerived) && !anew {
		return r.refresh(ctx, true)
	}
	return err
}

// refreshOnce fails with errDerived when the catalogue has to be built anew.
func (r *Repository) refreshOnce(ctx context.Context, anew bool) error {
	quarantined, err := r.readQuarantine(ctx)
	if err != nil {
		return err
	}
	r.unreadable.Store(&quarantined.objects)
	present, err := r.listNames(ctx, segmentsPrefix)
	if err != nil {
		return err
	}
	keys, err := r.epochKeysPresent(ctx)
	if err != nil {
		return err
	}
	marks, err := r.readMarks(ctx)
	if err != nil {
		return err
	}
	l := r.blobs
	if base := r.base(anew); base != l.c {
		l = &lookup{c: base} // nobody looks there before it is complete
	}
	l.change(func(c *collection) {
		c.setKeys(keys)
		c.distrust(markedPacks(marks), quarantined.packs, quarantined.blobs)
	})
	if err = r.importSegments(ctx, l, present, keys); err == nil {
		l.change(func(c *collection) { err = r.complete(c, present) })
	}
	if err != nil && !(anew && errors.Is(err, errDerived)) { // there is nothing better to be had than what was built anew
		if l != r.blobs {
			l.c.close()
		}
		return err
	}
	l.c.most = promptMerge
	r.blobs.replace(l.c, anew)
	return nil
}

// complete commits a collection that has all segments which are present. What could not be committed the next opening imports again.
func (r *Repository) complete(c *collection, present map[string]bool) error {
	if c.lost(present) {
		return fmt.Errorf("%w: it is of segments that are gone", errDerived)
	}
	c.forget(present)
	err := r.commit(c)
	if c.broken != nil {
		return c.broken
	}
	if errors.Is(err, errDerived) {
		return err
	}
	return nil
}

// base returns the collection to go on from: the one in use, what the catalogue says, or an empty one.
func (r *Repository) base(anew bool) *collection {
	current := r.blobs.c
	if r.cat == nil {
		if anew {
			return newCollection("")
		}
		return current
	}
	if anew || current.broken != nil {
		r.cat.remove()
		return newCollection(r.cat.dir)
	}
	loaded, err := r.cat.load(current.generation)
	switch {
	case loaded != nil:
		return loaded
	case err == nil && current.generation != 0: // as it was
		return current
	case err == nil, errors.Is(err, fs.ErrNotExist): // nobody has committed
	case errors.Is(err, bolterrors.ErrTimeout), isRefusal(err): // held, or not to be had: no reason to delete it
		return current
	default:
		r.cat.remove()
	}
	return newCollection(r.cat.dir)
}

// isRefusal says that the system did not open a file for reasons that are not the file's.
func isRefusal(err error) bool {
	return errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}

// importSegments reads the segments that are not known yet, and takes those out of use that others supersede.
func (r *Repository) importSegments(ctx context.Context, l *lookup, present map[string]bool, keys map[[16]byte]bool) error {
	superseded := map[string]bool{} // by one that was read before them; they are read for those that they supersede themselves
	for _, name := range slices.Sorted(maps.Keys(present)) {
		if _, known := l.c.segments[name]; known {
			continue
		}
		s, err := r.readSegment(ctx, name)
		if r.lenient && errors.Is(err, ErrCorrupt) {
			r.leaveOut(name)
			continue
		}
		if err != nil {
			return err
		}
		var now []string
		for _, old := range s.supersedes {
			if _, known := l.c.segments[old]; !known && present[old] {
				superseded[old] = true
			} else {
				now = append(now, old)
			}
		}
		l.change(func(c *collection) {
			if superseded[name] {
				c.supersede(append(now, name), present)
				return
			}
			c.supersede(now, present)
			c.add(name, s.packs, keys)
		})
	}
	return nil
}

// commit writes the catalogue, as far as it may be.
func (r *Repository) commit(c *collection) error {
	if r.cat == nil || c.dir == "" {
		return nil
	}
	if c.spill(); c.recent.blobs() > 0 || c.dir == "" || !c.isChanged() {
		return c.broken
	}
	return r.cat.commit(c)
}

// settle merges what had to wait, at the end of a run: a hundred million blobs take a minute.
func (r *Repository) settle() {
	r.refreshing.Lock()
	defer r.refreshing.Unlock()
	r.blobs.change(func(c *collection) {
		c.most = maxBlobs
		_ = r.commit(c) // derived: the next run tries again
		c.most = promptMerge
	})
}

// readSegment reads a segment.
func (r *Repository) readSegment(ctx context.Context, name string) (segment, error) {
	body, err := r.GetObject(ctx, KindSegment, name)
	if err != nil {
		return segment{}, err
	}
	s, err := parseSegment(body)
	if err != nil {
		return s, fmt.Errorf("%s: %w", name, err)
	}
	return s, nil
}

// adopt makes the packs of a segment just written known here.
func (r *Repository) adopt(name string, packs []packRecord) {
	r.refreshing.Lock()
	defer r.refreshing.Unlock()
	r.blobs.change(func(c *collection) {
		if _, known := c.segments[name]; known {
			return // the catalogue was built anew meanwhile
		}
		c.add(name, packs, nil)
		_ = r.commit(c) // derived: the next Refresh tries again
	})
}

// listNames returns the names of the objects below a prefix, but for those in quarantine.
func (r *Repository) listNames(ctx context.Context, prefix string) (map[string]bool, error) {
	out := map[string]bool{}
	unreadable := r.unreadable.Load()
	for o, err := range r.st.List(ctx, prefix) {
		if err != nil {
			return nil, fmt.Errorf("list %s: %w", prefix, err)
		}
		if unreadable == nil || !(*unreadable)[o.Name] {
			out[o.Name] = true
		}
	}
	return out, nil
}

// epochKeysPresent returns the epochs of which at least one copy of the key is stored.
func (r *Repository) epochKeysPresent(ctx context.Context) (map[[16]byte]bool, error) {
	names, err := r.listNames(ctx, epochsPrefix)
	if err != nil {
		return nil, err
	}
	out := map[[16]byte]bool{}
	for name := range names {
		if id, ok := parseEpochName(name); ok {
			out[id] = true
		}
	}
	return out, nil
}

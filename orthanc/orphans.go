package orthanc

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"time"

	"github.com/orthokeep/orthokeep/snapshot"
)

// Orthanc writes a file before the index names it: a file that the frozen index does not name may be one of those. So the age
// of a file at the instant of the copy counts.
const (
	fresh   = 20 * time.Millisecond // younger ones are just being stored, and left aside
	decided = 2 * time.Second       // older ones are orphans; for those in between another copy tells
)

// An orphan is a file of the storage area that neither the index copy nor a list of pending deletions names.
type orphan struct {
	snapshot.Orphan
	age time.Duration // at the instant of the copy
}

// orphans lists, in the order of UUIDs, what lies in the storage area, is not in the set of names, and was there at the instant
// of the copy. It lists folders, and looks only at files that are not named. May be run through several times.
func orphans(ctx context.Context, area StorageArea, named *uuidSet, taken time.Time) iter.Seq2[orphan, error] {
	return func(yield func(orphan, error) bool) {
		for u, err := range area.List(ctx, nil) {
			var known bool
			if err == nil {
				known, err = named.has(u)
			}
			if err != nil {
				yield(orphan{}, err)
				return
			}
			if known {
				continue
			}
			info, err := os.Lstat(area.Path(u))
			switch {
			case errors.Is(err, fs.ErrNotExist): // it was being deleted
			case err != nil:
				yield(orphan{}, err)
				return
			case !info.Mode().IsRegular() || info.ModTime().After(taken):
			case !yield(orphan{snapshot.Orphan{UUID: u, Size: info.Size()}, taken.Sub(info.ModTime())}, nil):
				return
			}
		}
	}
}

// settleOrphans looks again for the orphans of a copy of a frozen Orthanc, when any were found. It may have been in the midst of
// storing, or of deleting, which it does after the index forgot: a little later only those count that are still there.
func (c *coordinator) settleOrphans(ctx context.Context) error {
	if c.choice.Mode != ModeFreeze || c.orphans <= 0 && !c.undecided {
		return nil
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(c.taken.Add(decided).Sub(c.o.Clock())):
	}
	return c.tallyOrphans(ctx)
}

// tallyOrphans counts the orphans of the copy in hand, and says whether there are files that are too young to tell: only a frozen
// Orthanc can be in the midst of something. A storage area that cannot be listed is a note.
func (c *coordinator) tallyOrphans(ctx context.Context) error {
	c.orphans, c.undecided = 0, false
	for o, err := range orphans(ctx, c.area.StorageArea, c.named, c.taken) {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			c.notes = append(c.notes, fmt.Sprintf("files that the index does not name were not counted: %v", err))
			c.orphans, c.undecided = -1, false
			return nil
		}
		switch {
		case c.choice.Mode != ModeFreeze || o.age >= decided:
			c.orphans++
		case o.age >= fresh:
			c.undecided = true
		}
	}
	return nil
}

// storeOrphans stores them, as the copy in hand has it. That they cannot be stored is no reason to have no snapshot.
func (c *coordinator) storeOrphans(ctx context.Context) (*snapshot.Orphans, error) {
	if !c.o.Orphans || c.orphans <= 0 {
		return nil, nil
	}
	c.p.Phase("store orphans", "attachments", c.orphans, 0)
	list := func(yield func(snapshot.Orphan, error) bool) {
		for o, err := range orphans(ctx, c.area.StorageArea, c.named, c.taken) {
			if err == nil && c.choice.Mode == ModeFreeze && o.age < decided {
				continue
			}
			if !yield(o.Orphan, err) {
				return
			}
		}
	}
	stored, err := c.session.StoreOrphans(ctx, c.area, list)
	if errors.Is(err, snapshot.ErrInconsistent) {
		c.notes = append(c.notes, fmt.Sprintf("files that the index does not name are not in the snapshot: %v", err))
		return nil, nil
	}
	return stored, err
}

package repo

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/orthokeep/orthokeep/repo/storage"
)

// listed yields the packs of the segments that count, one segment in memory at a time. A segment that is gone since it was listed is passed over.
func (c *checker) listed(ctx context.Context) iter.Seq2[packRecord, error] {
	return func(yield func(packRecord, error) bool) {
		for _, name := range c.segments {
			if c.superseded[name] {
				continue
			}
			s, err := c.r.readSegment(ctx, name)
			if errors.Is(err, storage.ErrNotFound) {
				continue
			}
			if err != nil {
				yield(packRecord{}, err)
				return
			}
			for _, p := range s.packs {
				if !yield(p, nil) {
					return
				}
			}
		}
	}
}

// packs compares the packs that the segments list with those that are stored.
func (c *checker) packs(ctx context.Context) error {
	missing := map[packID]bool{}
	c.needed = map[[16]byte]bool{}
	for p, err := range c.listed(ctx) {
		if err != nil {
			return err
		}
		for i := 0; i < p.table.epochs() && !c.quarantine.packs[p.id]; i++ {
			c.needed[p.table.epoch(uint16(i))] = true
		}
		at, ok := c.stored[p.id]
		if at.listed || missing[p.id] {
			continue
		}
		c.report.Packs++
		c.report.Blobs += int64(p.table.len())
		c.report.Bytes += p.size
		if !ok {
			if c.marked[p.id] {
				missing[p.id] = true
				continue
			}
			raw, err := c.damaged(ctx, p.id.object(), errMissing(p.id))
			if err != nil {
				return err
			}
			if raw == nil {
				missing[p.id] = true
				continue
			}
			at = storedPack{size: p.size}
		}
		if at.size != p.size {
			raw, err := c.damaged(ctx, p.id.object(), corrupt(p.id.object(), "pack has %d bytes instead of %d", at.size, p.size))
			if err != nil {
				return err
			}
			if raw != nil {
				at.size = p.size
			}
		}
		at.listed = true
		c.stored[p.id] = at
	}
	why := "pack is in no segment: left by a run that was cut off"
	if slices.ContainsFunc(c.report.unreadable, func(name string) bool { return strings.HasPrefix(name, segmentsPrefix) }) {
		why = "pack is in no segment that is readable: repair lists it again"
	}
	for id, at := range c.stored {
		if !at.listed {
			c.found(false, id.object(), "%s", why)
		}
	}
	return nil
}

// errMissing says that a pack is missing.
func errMissing(id packID) error {
	return fmt.Errorf("%w%w", corrupt(id.object(), "pack is missing"), errPackGone)
}

// epochKeys sees that both copies of every key that a pack needs are there, and writes one anew from the other.
func (c *checker) epochKeys(ctx context.Context) error {
	for id := range c.needed {
		for _, name := range epochNames(id) {
			if c.epochs[name] || c.small[name] { // one that is there and damaged was found already
				continue
			}
			raw, err := c.damaged(ctx, name, corrupt(name, "a copy of the epoch key is missing"))
			if err != nil {
				return err
			}
			c.epochs[name] = raw != nil
		}
		if names := epochNames(id); !c.epochs[names[0]] && !c.epochs[names[1]] {
			c.lostEpochs[id] = true
			c.found(true, names[0], "both copies of the epoch key %s are missing or damaged: its content is lost", hex.EncodeToString(id[:4]))
		}
	}
	return nil
}

package orthanc

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/orthokeep/orthokeep/snapshot"
)

const (
	maxRounds     = 3                // the last one reads inside the window
	maxPrecopy    = 3                // windows undone because the index had been touched since its pre-copy
	maxTries      = 3                // windows that broke or lasted too long
	maxReadAhead  = 3                // passes over the storage area before a stop
	readAheadSoon = 10 * time.Second // a pass that took no longer is the last one
	staleAfter    = time.Minute      // a frozen instant older than this is taken anew once all is read
	PointStored   = "all-stored"     // Hold: every attachment is stored, nothing is published
	PointOpened   = "window-closed"  // Hold: an index copy was made, Orthanc runs again
)

// coordinator brings one index copy and exactly the attachments that it names together.
type coordinator struct {
	site    *Site
	session *snapshot.Session
	area    storedFiles
	o       BackupOptions
	staging string
	p       Progress

	choice    Choice
	window    snapshot.Window
	notes     []string
	known     time.Time // what was written before has been read, or is gone; zero: nothing is known
	copies    int
	taken     time.Time           // the instant of the copy in hand
	index     *Index              // the copy in hand
	folder    string              // where it lies
	pending   []pendingList       // copied with it
	counts    Counts              // of the copy in hand
	diff      snapshot.Difference // of the copy in hand
	named     *uuidSet            // by the copy in hand and the lists with it
	orphans   int64               // of the copy in hand; -1: not counted
	undecided bool                // whether there are young files of which only another copy can tell
}

// collect opens windows until everything that the last copy of the index names is stored. On success the copy is open.
func (c *coordinator) collect(ctx context.Context) error {
	c.choice = c.site.Choice
	c.window.Mode, c.window.Reason = c.choice.Mode, c.choice.Reason
	if c.choice.Mode == ModeStop {
		if err := c.readAhead(ctx); err != nil {
			return err
		}
	}
	for first := true; ; first = false {
		c.window.Rounds++
		last := c.window.Rounds >= maxRounds
		vanished, err := c.round(ctx, last)
		switch {
		case errors.Is(err, ErrIndex) && c.choice.Mode == ModeFreeze && c.choice.Fallback != nil:
			if err := c.fallBack(ctx, err); err != nil {
				return err
			}
			continue
		case err != nil:
			return err
		case vanished > 0 && last:
			return fmt.Errorf("%d attachments that the index names are not in the storage area: %w", vanished, snapshot.ErrInconsistent)
		case vanished > 0:
			continue // deleted since: the next copy of the index knows
		case first && c.choice.Mode == ModeFreeze && c.o.Clock().Sub(c.taken) > staleAfter:
			continue // the snapshot shall be of now, and little is left to read
		}
		if err := c.settleOrphans(ctx); err != nil || !c.undecided || !first {
			return err
		}
	}
}

// readAhead stores what lies in the storage area and is not stored yet, while Orthanc runs. Half-written files may be among
// it: what is stored counts only once the index confirms its size and MD5. It goes over what came meanwhile, so that little
// is left for the window.
func (c *coordinator) readAhead(ctx context.Context) error {
	c.p.Phase("read ahead", "attachments", 0, 0)
	for range maxReadAhead {
		c.known = c.o.Clock()
		list := c.area.List(ctx, nil)
		if _, err := c.session.Store(ctx, c.area, c.session.NotStored(ctx, list)); err != nil {
			return err
		}
		if c.o.Clock().Sub(c.known) < readAheadSoon {
			return nil
		}
	}
	return nil
}

// round takes one copy of the index and stores what it names. The last one sees to it, inside the window, that nothing can vanish:
// what is new since the round before is linked, or, where that cannot be done, read there. It returns how many attachments were
// not in the storage area any more. Reading comes first, while most of them are there, and the check, which
// takes seconds for a large index, after it: what was read counts for nothing until then. A copy to which attachments are
// missing is not checked.
func (c *coordinator) round(ctx context.Context, last bool) (vanished int64, err error) {
	done := false
	read := func(ctx context.Context) error {
		if err := c.open(ctx); err != nil {
			return err
		}
		vanished, err = c.read(ctx)
		done = err == nil
		return err
	}
	err = c.takeCopy(ctx, func(ctx context.Context) error {
		done = false
		if c.choice.Mode != ModeStop && !last {
			return nil
		}
		if c.link(ctx) == nil || !last {
			return nil
		}
		return read(ctx)
	})
	if err == nil && !done {
		err = read(ctx)
	}
	if err != nil || vanished > 0 {
		return vanished, err
	}
	return 0, c.examine(ctx)
}

// examine checks the copy in hand, which keeps a core busy, and meanwhile looks for orphans, which keeps the disk.
func (c *coordinator) examine(ctx context.Context) error {
	c.p.Phase("check the index, look for orphans", "", 0, 0)
	if err := c.named.filled(); err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return c.verify(ctx) })
	g.Go(func() error { return c.tallyOrphans(ctx) })
	return g.Wait()
}

// read stores what the copy in hand names and is not stored yet.
func (c *coordinator) read(ctx context.Context) (vanished int64, err error) {
	if c.counts, err = c.index.Counts(ctx); err != nil {
		return 0, err
	}
	var before snapshot.Counts
	if p := c.session.Parent(); p != nil {
		before = p.Counts
	}
	c.p.Phase("read", "attachments", max(0, c.counts.Attachments-before.Attachments), max(0, c.counts.Bytes-before.Bytes))
	if c.session.Parent() == nil && c.window.Rounds == 1 && c.choice.Mode != ModeStop { // in stop mode most has been read ahead
		c.session.Report(newForecast(c.p, c.counts.Bytes, c.session.BytesAdded, c.o.Clock))
		defer c.session.Report(c.p)
	}
	vanished, err = c.session.Store(ctx, c.area, c.session.Missing(ctx, c.naming(c.attachments(ctx)), &c.diff))
	if err == nil {
		c.known = c.taken
	}
	return vanished, err
}

// naming passes a list of attachments on and keeps their names.
func (c *coordinator) naming(list iter.Seq2[snapshot.Attachment, error]) iter.Seq2[snapshot.Attachment, error] {
	return func(yield func(snapshot.Attachment, error) bool) {
		for a, err := range list {
			if err == nil {
				err = c.named.add(a.UUID)
			}
			if !yield(a, err) || err != nil {
				return
			}
		}
	}
}

// attachments lists the copy in hand.
func (c *coordinator) attachments(ctx context.Context) iter.Seq2[snapshot.Attachment, error] {
	return func(yield func(snapshot.Attachment, error) bool) {
		for a, err := range c.index.Attachments(ctx) {
			if !yield(snapshot.Attachment{ID: a.ResourceID, FileType: a.FileType, UUID: a.UUID, Size: a.CompressedSize,
				Uncompressed: a.UncompressedSize, Compression: a.Compression, MD5: a.CompressedMD5, HasMD5: a.HasMD5}, err) || err != nil {
				return
			}
		}
	}
}

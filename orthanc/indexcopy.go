package orthanc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// fallBack goes over from freezing to stopping, because a frozen copy failed its check.
func (c *coordinator) fallBack(ctx context.Context, because error) error {
	choice, err := c.site.choose(ModeStop)
	if err != nil {
		return errors.Join(because, err)
	}
	c.choice = choice
	c.window.Mode, c.window.Reason = choice.Mode, "the frozen copy failed its check: "+because.Error()
	return c.readAhead(ctx)
}

// takeCopy opens windows until one of them was held throughout and the copy in it is whole. Then runs inside the window, after
// the copy.
func (c *coordinator) takeCopy(ctx context.Context, then func(context.Context) error) error {
	c.p.Phase("copy the index", "", 0, 0)
	if err := c.dropCopy(); err != nil {
		return err
	}
	c.copies++
	c.folder = filepath.Join(c.staging, fmt.Sprintf("index-%d", c.copies))
	if err := os.Mkdir(c.folder, 0o700); err != nil {
		return err
	}
	c.named = newUUIDSet(filepath.Join(c.folder, "named"))
	copiers, err := c.copiers()
	if err != nil {
		return err
	}
	defer copiers.close()
	for touched, broken := 0, 0; ; {
		if touched < maxPrecopy {
			if err := copiers.precopy(ctx); err != nil {
				return fmt.Errorf("copy the index: %w", err)
			}
		}
		// Going round would stop Orthanc again for little: what differs is made good inside.
		whole := c.choice.Mode != ModeFreeze || !copiers.valid() || touched >= maxPrecopy
		written := false
		err := c.inWindow(ctx, func(ctx context.Context) error {
			written = copiers[0].written()
			if err := copiers.inside(ctx, whole); err != nil {
				return err
			}
			return then(ctx)
		})
		if written {
			c.window.Checkpoints++
		}
		switch {
		case err == nil:
			return nil
		case errors.Is(err, errTouched):
			touched++
		case (errors.Is(err, ErrWindowTooLong) || errors.Is(err, ErrWindowBroken)) && broken < maxTries-1:
			broken++
			c.notes = append(c.notes, fmt.Sprintf("a window was undone and tried again: %v", err))
		default:
			return err
		}
		c.window.Retries++
	}
}

// copiers are those of the index and of the lists of pending deletions, which belong to the same instant.
func (c *coordinator) copiers() (copiers, error) {
	all := copiers{{source: c.site.Layout.Index, target: filepath.Join(c.folder, "index"), clock: c.o.Clock}}
	lists, err := c.site.pendingLists()
	if err != nil {
		return nil, err
	}
	c.pending = nil
	for n, path := range lists {
		p := pendingList{path: path, copy: filepath.Join(c.folder, fmt.Sprintf("pending-%d.db", n))}
		c.pending = append(c.pending, p)
		all = append(all, &databaseCopier{source: c.site.sight.path(path), target: p.copy, clock: c.o.Clock})
	}
	return all, nil
}

// link keeps what was written since all was known readable, while Orthanc stands still: once it runs it deletes again.
func (c *coordinator) link(ctx context.Context) error {
	if c.known.IsZero() || !sameDevice(c.staging, c.area.Root) {
		return errors.ErrUnsupported
	}
	if err := os.Mkdir(c.area.links, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return c.area.linkYoung(ctx, c.area.links, c.known)
}

// inWindow opens one window and counts it.
func (c *coordinator) inWindow(ctx context.Context, inside func(context.Context) error) error {
	if c.window.Count > 0 { // after a stop and start it is another process
		if err := c.site.findProcess(); err != nil {
			return err
		}
		choice, err := c.site.choose(c.choice.Mode)
		if err != nil {
			return err
		}
		choice.Fallback = c.choice.Fallback
		c.choice = choice
	}
	taken := c.o.Clock()
	stats, err := c.choice.Window.Do(ctx, c.o.Bound, func(ctx context.Context) error {
		taken = c.o.Clock()
		return inside(ctx)
	})
	c.window.Count++
	c.window.Mechanism = stats.Mechanism
	c.window.Seconds = max(c.window.Seconds, stats.Stood.Seconds())
	c.notes = append(c.notes, stats.Warnings...)
	if err != nil {
		return err
	}
	c.taken = taken
	Hold(PointOpened)
	if c.site.sight != nil && c.choice.Mode == ModeStop {
		return c.site.findProcess() // what lies in the container is seen through the new process
	}
	return nil
}

// open opens the copy in hand, and the lists that were copied with it.
func (c *coordinator) open(ctx context.Context) (err error) {
	if c.index != nil { // a window that was undone has opened it
		if err := c.index.Close(); err != nil {
			return err
		}
	}
	if c.index, err = OpenIndexCopy(ctx, c.folder, CheckNone); err != nil {
		return err
	}
	return c.settlePending(ctx)
}

// verify checks the copy in hand.
func (c *coordinator) verify(ctx context.Context) error {
	check := CheckQuick
	if c.o.FullCheck {
		check = CheckFull
	}
	return c.index.Check(ctx, check)
}

// dropCopy closes and removes the copy in hand.
func (c *coordinator) dropCopy() error {
	var err error
	if c.index != nil {
		err = c.index.Close()
		c.index = nil
	}
	if c.named != nil {
		err = errors.Join(err, c.named.filled())
	}
	if c.folder != "" {
		err = errors.Join(err, os.RemoveAll(c.folder))
	}
	return err
}

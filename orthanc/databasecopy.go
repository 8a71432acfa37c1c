package orthanc

import (
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"time"
)

// databaseCopier copies a live SQLite database into a private folder without ever opening it with SQLite. Before the window
// it copies the database; inside, only the log is left to copy, if the pre-copy still holds. It does in either of two cases:
//
// The log is in the same round as before the pre-copy: its salts are the same. SQLite writes to the database only what it takes
// from the log, and begins a new round, with other salts, only when all of the last one is in the database
// (https://sqlite.org/fileformat2.html, section 4.3). So every page that was written since, and may be torn in the
// pre-copy, stands in the log, and replaying the whole of it puts it right. How old the times of the database are does not
// matter. The log is held open from the pre-copy on: a clean stop takes it over into the database and removes its name, and
// its bytes can be read all the same.
//
// Or the database was not written at all: the same inode, size, times of modification and change before the pre-copy, after it
// and in the window, and these times at least two seconds old when it began. This is for a server without a log.
type databaseCopier struct {
	source string // path of the live database
	target string // of the copy; its log lies beside it
	clock  func() time.Time

	valid bool      // there is a pre-copy
	log   *os.File  // the log as it was when the pre-copy began; nil: there was none
	round uint64    // its salts
	seen  fileState // what the database was when the last pass of the pre-copy began
	began fileState // and when the first one did
}

// copiers copy databases in one window. The first one is written most.
type copiers []*databaseCopier

func (all copiers) precopy(ctx context.Context) error {
	for _, c := range slices.Backward(all) { // the first one shortly before the window
		if err := c.precopy(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (all copiers) valid() bool {
	return !slices.ContainsFunc(all, func(c *databaseCopier) bool { return !c.valid })
}

func (all copiers) inside(ctx context.Context, whole bool) error {
	for _, c := range all {
		if err := c.inside(ctx, whole); err != nil {
			return err
		}
	}
	return nil
}

func (all copiers) close() {
	for _, c := range all {
		c.close()
	}
}

// settled is how old the times of a database must be before its pre-copy begins: coarser than any file system's clock.
const settled = 2 * time.Second

// errTouched says that the database changed since its pre-copy: undo the window, copy again, come back.
var errTouched = errors.New("index changed since it was copied")

// precopyPasses is how often a pre-copy is brought up to date before a window is opened, if a new round of the log has
// begun meanwhile: of a large database under load it has, when copying took seconds. Comparing takes a fraction of that.
const precopyPasses = 4

// precopy copies the database while Orthanc runs, or brings an earlier copy up to date.
func (c *databaseCopier) precopy(ctx context.Context) error {
	for n := range precopyPasses {
		if err := c.pass(ctx); err != nil || !c.valid {
			return err
		}
		if n == 0 {
			c.began = c.seen
		}
		if holds, err := c.holds(); err != nil || holds {
			return err
		}
	}
	return nil
}

// pass is one of these. On a network file system, where another machine might write, nothing is copied.
func (c *databaseCopier) pass(ctx context.Context) error {
	again := c.valid
	c.valid = false
	c.close()
	if !localFileSystem(c.source) {
		return nil
	}
	var err error
	if c.log, c.round, err = openLog(c.source + "-wal"); err != nil {
		return err
	}
	if c.seen, err = c.settle(ctx); err != nil {
		return err
	}
	if c.log == nil && c.clock().Sub(c.seen.latest()) < settled {
		return nil // still being written: inside will copy all
	}
	if again {
		err = patchFile(ctx, c.target, c.source)
	} else {
		err = copyFile(ctx, c.target, c.source)
	}
	if err != nil {
		return err
	}
	c.valid = true
	if c.log == nil {
		after, err := stateOf(c.source)
		if err != nil {
			return err
		}
		c.valid = c.seen == after
	}
	return nil
}

// close lets go of the log.
func (c *databaseCopier) close() {
	if c.log != nil {
		c.log.Close() // it was only read
		c.log = nil
	}
}

// openLog opens the log of a database and reads its salts; nil where there is none, or its header is just being written.
func openLog(path string) (log *os.File, round uint64, err error) {
	log, err = os.Open(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, 0, nil
	case errors.Is(err, os.ErrPermission):
		return nil, 0, unreadable(err)
	case err != nil:
		return nil, 0, err
	}
	round, ok := walRound(log)
	if !ok {
		log.Close()
		return nil, 0, nil
	}
	return log, round, nil
}

// holds reports, inside the window, whether the pre-copy and the log as it is now are the database.
func (c *databaseCopier) holds() (bool, error) {
	if !c.valid {
		return false, nil
	}
	if c.log == nil {
		now, err := stateOf(c.source)
		return now == c.seen, err
	}
	held, err := c.log.Stat()
	if err != nil {
		return false, err
	}
	named, err := os.Stat(c.source + "-wal")
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return false, err
	}
	round, ok := walRound(c.log)
	return ok && round == c.round && (named == nil || os.SameFile(held, named)), nil
}

// written reports, inside the window, whether the database was written since the pre-copy began, as at a checkpoint.
func (c *databaseCopier) written() bool {
	now, err := stateOf(c.source)
	return err == nil && c.valid && now != c.began
}

// settle returns the state of the database. Without a log it waits until that has not been written for a moment, at most
// twice that long.
func (c *databaseCopier) settle(ctx context.Context) (fileState, error) {
	for range 2 {
		s, err := stateOf(c.source)
		if err != nil {
			return s, err
		}
		age := c.clock().Sub(s.latest())
		if c.log != nil || age >= settled || age < 0 {
			return s, nil
		}
		select {
		case <-ctx.Done():
			return s, ctx.Err()
		case <-time.After(settled - age + time.Millisecond):
		}
	}
	return stateOf(c.source)
}

// inside completes the copy while Orthanc stands still. It returns errTouched when the pre-copy does not hold and the file
// system cannot clone the database, unless whole says to bring it up to date here and now.
func (c *databaseCopier) inside(ctx context.Context, whole bool) error {
	holds, err := c.holds()
	if err != nil {
		return err
	}
	if holds && c.log != nil {
		if _, err := c.log.Seek(0, io.SeekStart); err != nil {
			return err
		}
		return errors.Join(copyOpen(ctx, c.target+"-wal", c.log), c.copyBeside(ctx, "-journal"))
	}
	if !holds {
		if err := cloneFile(c.target, c.source); err != nil {
			if !whole {
				return errTouched
			}
			if err := c.update(ctx); err != nil {
				return err
			}
		}
	}
	return errors.Join(c.copyBeside(ctx, "-wal"), c.copyBeside(ctx, "-journal"))
}

// update makes the copy what the database is now: what differs is written, which takes a third of the time of a copy.
func (c *databaseCopier) update(ctx context.Context) error {
	if !c.valid {
		return copyFile(ctx, c.target, c.source)
	}
	return patchFile(ctx, c.target, c.source)
}

// copyBeside copies a file beside the database, the write-ahead log or a rollback journal; there is none after a clean stop.
func (c *databaseCopier) copyBeside(ctx context.Context, suffix string) error {
	if err := os.Remove(c.target + suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	err := copyFile(ctx, c.target+suffix, c.source+suffix)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

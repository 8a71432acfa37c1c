package repo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"
)

// Reading is a run that only reads a snapshot, such as a restore: while it is under way prune deletes nothing that the snapshot needs.
type Reading struct {
	r    *Repository
	name string       // TIME-ID
	lock *flock.Flock // of a file in the cache folder that has the run's name; nil without a cache folder
}

// BeginReading announces a run that reads the snapshot that info names as its parent, and then imports segments: packs may have been
// moved since the repository was opened. The caller looks for the snapshot again afterwards: it may have gone just before. It first ends the
// runs that crashes on this host left.
func (r *Repository) BeginReading(ctx context.Context, info RunInfo) (*Reading, error) {
	run, lock, err := r.beginLocked(ctx, info)
	if err != nil {
		return nil, err
	}
	return &Reading{r, run.Name(), lock}, nil
}

// beginLocked is Begin for a run whose file in the cache folder is locked while it is under way: where the lock is free a crash has ended it,
// and the next one on this host says so.
func (r *Repository) beginLocked(ctx context.Context, info RunInfo) (*Run, *flock.Flock, error) {
	if err := r.endStaleRuns(ctx, info.Started); err != nil {
		return nil, nil, err
	}
	name := StampedName(info.Started)
	lock, err := r.lockRun(name)
	if err != nil {
		return nil, nil, err
	}
	run, err := r.BeginNamed(ctx, name, info)
	if err != nil { // it may have been announced all the same
		if r.EndStaleRun(context.WithoutCancel(ctx), name, info.Started) != nil {
			return nil, nil, errors.Join(err, freeLock(lock)) // as endLocked
		}
		return nil, nil, errors.Join(err, removeLock(lock))
	}
	return run, lock, nil
}

// endLocked gives the lock of a run back, with its file, or without it when the run could not be ended: then the next one tries again.
func endLocked(lock *flock.Flock, ended error) error {
	if ended != nil {
		return errors.Join(ended, freeLock(lock))
	}
	return removeLock(lock)
}

// Name returns the run's name.
func (x *Reading) Name() string { return x.name }

// End ends the run.
func (x *Reading) End(ctx context.Context, at time.Time) error {
	return endLocked(x.lock, x.r.EndRun(ctx, x.name, Nothing, at))
}

// lockRun makes the file of a run, by which the next one on this host sees that a crash has ended it; nil without a cache folder.
func (r *Repository) lockRun(name string) (*flock.Flock, error) {
	if r.cat == nil {
		return nil, nil
	}
	return lockFile(filepath.Join(r.cat.dir, "runs", name))
}

// lockFile makes a file and takes its lock.
func lockFile(path string) (*flock.Flock, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("make the cache folder: %w", err)
	}
	l := flock.New(path)
	if ok, err := l.TryLock(); err != nil || !ok {
		return nil, fmt.Errorf("lock %s: %w", path, errors.Join(err, os.ErrExist))
	}
	return l, nil
}

// freeLock gives a lock back and leaves its file: then the next run on this host ends the one that is named by it.
func freeLock(l *flock.Flock) error {
	if l == nil {
		return nil
	}
	return l.Close()
}

// removeLock gives a lock back and removes its file.
func removeLock(l *flock.Flock) error {
	if l == nil {
		return nil
	}
	err := l.Close()
	if err := os.Remove(l.Path()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return err
}

// endStaleRuns ends the runs whose lock is free.
func (r *Repository) endStaleRuns(ctx context.Context, at time.Time) error {
	if r.cat == nil {
		return nil
	}
	dir := filepath.Join(r.cat.dir, "runs")
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil // none was ever there, or they are not this user's
	}
	for _, f := range files {
		l := flock.New(filepath.Join(dir, f.Name()))
		if ok, err := l.TryLock(); err != nil || !ok {
			continue
		}
		if err := r.EndStaleRun(ctx, f.Name(), at); err != nil {
			return errors.Join(fmt.Errorf("end run %s, which a crash left: %w", f.Name(), err), l.Close())
		}
		if err := removeLock(l); err != nil {
			return err
		}
	}
	return nil
}

package faulty

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/orthokeep/orthokeep/repo/storage"
)

// A Fault is what happens at a chosen operation.
type Fault int

const (
	NotStored      Fault = iota // the operation fails and does nothing; for a read too
	Stored                      // it is done, but reported as failed
	CrashNotStored              // it does nothing, and it and everything later returns ErrCrashed
	CrashStored                 // it is done, but it and everything later returns ErrCrashed
	Full                        // it does nothing and returns storage.ErrNoSpace; for Put and PutNew
	Refused                     // it does nothing and returns storage.ErrRefused; for Delete
	Hang                        // it does nothing until its context ends, or GiveUp; for a read too
	Missing                     // a read finds nothing: storage.ErrNotFound
	Short                       // a Get returns the first half and no error, a ReadAt storage.ErrShort
	Torn                        // a Get or ReadAt returns zeros for the second half
	Flipped                     // a Get or ReadAt returns one bit turned round; which one depends on k
)

// A Storage passes everything on to another one, but for what it is told to spoil. Changes (Put, PutNew, Replace, Delete) and reads
// (Get, ReadAt, Size, List) are counted apart, from 0 on. Its methods may be called at once.
type Storage struct {
	inner storage.Storage

	mu       sync.Mutex
	changes  int
	reads    int
	changeAt map[int]Fault
	readAt   map[int]Fault
	spoilt   []string
	hung     chan struct{}
	given    chan struct{} // closed by GiveUp
	always   map[Fault]bool
	crashed  bool
	flips    map[string][]int64
	cuts     map[string]int64
}

var _ storage.Storage = (*Storage)(nil)

// Wrap returns a Storage that spoils nothing yet.
func Wrap(inner storage.Storage) *Storage {
	return &Storage{inner: inner, changeAt: map[int]Fault{}, readAt: map[int]Fault{}, always: map[Fault]bool{},
		hung: make(chan struct{}, 1), given: make(chan struct{}), flips: map[string][]int64{}, cuts: map[string]int64{}}
}

// FailChange makes the k-th change fail.
func (s *Storage) FailChange(k int, how Fault) { s.mu.Lock(); defer s.mu.Unlock(); s.changeAt[k] = how }

// FailRead makes the k-th read fail, or return something else than what is stored.
func (s *Storage) FailRead(k int, how Fault) { s.mu.Lock(); defer s.mu.Unlock(); s.readAt[k] = how }

// Always turns Full or Refused on or off: every Put and PutNew, or every Delete, fails so.
func (s *Storage) Always(how Fault, on bool) { s.mu.Lock(); defer s.mu.Unlock(); s.always[how] = on }

// Flip makes the lowest bit of an object's byte off come back turned round.
func (s *Storage) Flip(name string, off int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flips[name] = append(s.flips[name], off)
}

// Cut makes an object seem to end after size bytes.
func (s *Storage) Cut(name string, size int64) { s.mu.Lock(); defer s.mu.Unlock(); s.cuts[name] = size }

// Heal takes back every Flip and Cut.
func (s *Storage) Heal() { s.mu.Lock(); defer s.mu.Unlock(); clear(s.flips); clear(s.cuts) }

// Spoilt returns the names, or prefix*, of the reads that were spoiled or failed so far.
func (s *Storage) Spoilt() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.spoilt)
}

// Changes returns how many changes were begun.
func (s *Storage) Changes() int { s.mu.Lock(); defer s.mu.Unlock(); return s.changes }

// Reads returns how many reads were begun.
func (s *Storage) Reads() int { s.mu.Lock(); defer s.mu.Unlock(); return s.reads }

// Crashed says whether the crash has come.
func (s *Storage) Crashed() bool { s.mu.Lock(); defer s.mu.Unlock(); return s.crashed }

// Hung receives when an operation hangs.
func (s *Storage) Hung() <-chan struct{} { return s.hung }

// Put implements storage.Storage.
func (s *Storage) Put(ctx context.Context, name string, data []byte) error {
	return s.change(ctx, Full, name, func() error { return s.inner.Put(ctx, name, data) })
}

// PutNew implements storage.Storage.
func (s *Storage) PutNew(ctx context.Context, name string, data []byte) error {
	return s.change(ctx, Full, name, func() error { return s.inner.PutNew(ctx, name, data) })
}

// Replace implements storage.Storage. What was spoiled of the object is whole again.
func (s *Storage) Replace(ctx context.Context, name string, data []byte) error {
	return s.change(ctx, Full, name, func() error {
		err := s.inner.Replace(ctx, name, data)
		if err == nil {
			s.mu.Lock()
			defer s.mu.Unlock()
			delete(s.flips, name)
			delete(s.cuts, name)
		}
		return err
	})
}

// Delete implements storage.Storage.
func (s *Storage) Delete(ctx context.Context, name string) error {
	return s.change(ctx, Refused, name, func() error { return s.inner.Delete(ctx, name) })
}

// change counts a change and does it, or not. always is the fault that may be turned on for all of its kind.
func (s *Storage) change(ctx context.Context, always Fault, name string, do func() error) error {
	how, err := s.nextChange(always)
	if err != nil && how == Hang {
		err = s.hang(ctx)
	}
	if err == nil || how == Stored || how == CrashStored {
		if doErr := do(); err == nil {
			return doErr
		}
	}
	return fmt.Errorf("change object %s: %w", name, err)
}

func (s *Storage) nextChange(always Fault) (Fault, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.crashed {
		return NotStored, ErrCrashed
	}
	how, chosen := s.changeAt[s.changes]
	s.changes++
	switch {
	case chosen:
		return how, s.fault(how)
	case s.always[always]:
		return always, s.fault(always)
	}
	return NotStored, nil
}

// fault is the error of a fault, which takes effect. s.mu is held.
func (s *Storage) fault(how Fault) error {
	switch how {
	case CrashNotStored, CrashStored:
		s.crashed = true
		return ErrCrashed
	case Full:
		return storage.ErrNoSpace
	case Refused:
		return storage.ErrRefused
	case Missing:
		return storage.ErrNotFound
	}
	return ErrFailed
}

// GiveUp makes what hangs fail, as a storage does after a time of its own. It is called once.
func (s *Storage) GiveUp() { close(s.given) }

// hang returns when ctx ends, or at GiveUp.
func (s *Storage) hang(ctx context.Context) error {
	select {
	case s.hung <- struct{}{}:
	default: // it is known already
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-s.given:
		return ErrFailed
	}
}

package faulty

import (
	"context"
	"fmt"
	"iter"

	"github.com/orthokeep/orthokeep/repo/storage"
)

// spoil is what is to happen to what a read returns; the zero value is nothing.
type spoil struct {
	how Fault
	k   int
}

// read counts a read. It returns the error it is to fail with, or how its result is to be spoiled.
func (s *Storage) read(ctx context.Context, name string) (spoil, error) {
	how, k, err := s.nextRead(name)
	switch {
	case err == nil:
		return spoil{how, k}, nil
	case how == Hang:
		err = s.hang(ctx)
	}
	return spoil{}, fmt.Errorf("read object %s: %w", name, err)
}

func (s *Storage) nextRead(name string) (how Fault, k int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.crashed {
		return NotStored, 0, ErrCrashed
	}
	how, chosen := s.readAt[s.reads]
	k = s.reads
	s.reads++
	if !chosen {
		return NotStored, k, nil
	}
	s.spoilt = append(s.spoilt, name)
	if how == Short || how == Torn || how == Flipped {
		return how, k, nil
	}
	return how, k, s.fault(how)
}

// bytes spoils what was read.
func (sp spoil) bytes(p []byte) {
	switch {
	case sp.how == Torn:
		clear(p[len(p)/2:])
	case sp.how == Flipped && len(p) > 0:
		bit := sp.k * 7919 % (8 * len(p)) // a prime: all over the object
		p[bit/8] ^= 1 << (bit % 8)
	}
}

// Get implements storage.Storage.
func (s *Storage) Get(ctx context.Context, name string, limit int64) ([]byte, error) {
	sp, err := s.read(ctx, name)
	if err != nil {
		return nil, err
	}
	data, err := s.inner.Get(ctx, name, limit)
	if err != nil {
		return nil, err
	}
	if cut, ok := s.cut(name); ok {
		data = data[:min(cut, int64(len(data)))]
	}
	s.flip(name, data, 0)
	sp.bytes(data)
	if sp.how == Short {
		data = data[:len(data)/2]
	}
	return data, nil
}

// ReadAt implements storage.Storage.
func (s *Storage) ReadAt(ctx context.Context, name string, p []byte, off int64) error {
	sp, err := s.read(ctx, name)
	if err != nil {
		return err
	}
	if cut, ok := s.cut(name); ok && off+int64(len(p)) > cut || sp.how == Short {
		return fmt.Errorf("read object %s: %w", name, storage.ErrShort)
	}
	if err := s.inner.ReadAt(ctx, name, p, off); err != nil {
		return err
	}
	s.flip(name, p, off)
	sp.bytes(p)
	return nil
}

// Size implements storage.Storage.
func (s *Storage) Size(ctx context.Context, name string) (int64, error) {
	if _, err := s.read(ctx, name); err != nil {
		return 0, err
	}
	size, err := s.inner.Size(ctx, name)
	if cut, ok := s.cut(name); ok {
		size = min(size, cut)
	}
	return size, err
}

// List implements storage.Storage.
func (s *Storage) List(ctx context.Context, prefix string) iter.Seq2[storage.Object, error] {
	return func(yield func(storage.Object, error) bool) {
		if _, err := s.read(ctx, prefix+"*"); err != nil {
			yield(storage.Object{}, err)
			return
		}
		for o, err := range s.inner.List(ctx, prefix) {
			if cut, ok := s.cut(o.Name); ok {
				o.Size = min(o.Size, cut)
			}
			if !yield(o, err) {
				return
			}
		}
	}
}

func (s *Storage) cut(name string) (size int64, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	size, ok = s.cuts[name]
	return size, ok
}

// flip turns bits in p, which was read from byte off on.
func (s *Storage) flip(name string, p []byte, off int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, at := range s.flips[name] {
		if at >= off && at < off+int64(len(p)) {
			p[at-off] ^= 1
		}
	}
}

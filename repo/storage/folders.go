package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"
)

// folders makes the folders of one Local, and remembers which of them are durable. It is safe for use at once.
type folders struct {
	fs   FS
	root string // durable itself

	mu      sync.Mutex
	durable map[string]bool  // their entries in their parents were synced by this process
	failed  map[string]error // a sync of them failed: the system may forget what it was to keep and say so only once
}

// ensure makes dir, a folder below root, and all between them, and returns when their names are durable. A folder that is
// there already is synced once too: who made it may have been killed before that.
func (f *folders) ensure(dir string) error {
	if dir == f.root || f.isDurable(dir) {
		return nil
	}
	parent := filepath.Dir(dir)
	if err := f.ensure(parent); err != nil {
		return err
	}
	if err := f.fs.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := f.sync(parent); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.durable[dir] = true
	return nil
}

func (f *folders) isDurable(dir string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.durable[dir]
}

// sync makes the names in dir durable. Once it has failed for a folder it fails for good.
func (f *folders) sync(dir string) error {
	f.mu.Lock()
	failed := f.failed[dir]
	f.mu.Unlock()
	if failed != nil {
		return fmt.Errorf("an earlier sync of the folder failed: %w", failed)
	}
	err := f.fs.SyncDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.failed[dir] = err
	}
	return err
}

package faulty

// CrashAt makes the k-th change, and everything after it, fail with ErrCrashed and do nothing.
func (f *FS) CrashAt(k int) { f.mu.Lock(); defer f.mu.Unlock(); f.crashAt = k }

// FailAt makes the k-th change return err. It does nothing then, but for a write, which writes half, and for a sync, which
// loses for good what it was to keep.
func (f *FS) FailAt(k int, err error) { f.mu.Lock(); defer f.mu.Unlock(); f.fail[k] = err }

// FailDoneAt makes the k-th change return err although it was made.
func (f *FS) FailDoneAt(k int, err error) { f.mu.Lock(); defer f.mu.Unlock(); f.failDone[k] = err }

// FailReadAt makes the k-th read return err.
func (f *FS) FailReadAt(k int, err error) { f.mu.Lock(); defer f.mu.Unlock(); f.failRead[k] = err }

// Limit bounds the bytes of all files together. A write that does not fit writes what does, and returns storage.ErrNoSpace.
func (f *FS) Limit(bytes int) { f.mu.Lock(); defer f.mu.Unlock(); f.space = bytes }

// Used returns the bytes of all files.
func (f *FS) Used() int { f.mu.Lock(); defer f.mu.Unlock(); return f.root.used() }

func (n *node) used() (bytes int) {
	for _, child := range n.entries {
		bytes += child.used()
	}
	return bytes + len(n.data)
}

// Reads returns how many reads were begun.
func (f *FS) Reads() int { f.mu.Lock(); defer f.mu.Unlock(); return f.reads }

// Ops returns how many changes were begun.
func (f *FS) Ops() int { f.mu.Lock(); defer f.mu.Unlock(); return f.ops }

// Crashed says whether the crash has come.
func (f *FS) Crashed() bool { f.mu.Lock(); defer f.mu.Unlock(); return f.crashed }

// change counts a change and returns the error it is to fail with. f.mu is held.
func (f *FS) change() error {
	if f.crashed || f.ops == f.crashAt {
		f.crashed = true
		return ErrCrashed
	}
	err := f.fail[f.ops]
	f.late = f.failDone[f.ops]
	f.ops++
	return err
}

// report makes a change that was made fail, where it is to. f.mu is held.
func (f *FS) report(err *error) {
	if *err == nil {
		*err = f.late
	}
	f.late = nil
}

// read counts a read and returns the error it is to fail with. f.mu is held.
func (f *FS) read() error {
	if f.crashed {
		return ErrCrashed
	}
	err := f.failRead[f.reads]
	f.reads++
	return err
}

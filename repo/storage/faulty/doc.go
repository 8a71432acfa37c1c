// Package faulty fails on purpose, for tests. Storage wraps a storage.Storage and fails, hangs, damages or crashes at a chosen
// operation. FS is a file system in memory that fails at a chosen operation, or runs full, and that forgets, at a crash, a
// random part of what was not synced:
//
//	for k := 0; ; k++ { // crash before the k-th change
//		fsys := faulty.NewFS()
//		fsys.CrashAt(k)
//		acknowledged := workload(fsys) // what a caller was told is stored
//		for seed := range uint64(64) {
//			verify(t, fsys.Crash(seed), acknowledged)
//		}
//		if !fsys.Crashed() {
//			break // the workload ended before
//		}
//	}
package faulty

import "errors"

var (
	// ErrFailed is what an operation returns that was chosen to fail.
	ErrFailed = errors.New("faulty: failed on purpose")
	// ErrCrashed is what every operation returns after the crash.
	ErrCrashed = errors.New("faulty: crashed on purpose")
)

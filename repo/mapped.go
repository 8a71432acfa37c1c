package repo

import (
	"fmt"
	"io"
	"os"
	"sync/atomic"
)

const (
	mapAfter      = 4096        // bytes of a file for each read at random before it is mapped
	residentLimit = 960_000_000 // bytes of filters and mappings with which more is mapped
)

// resident is how many bytes the filters take that have been read, and the files that are mapped.
var resident atomic.Int64

// randomFile is a file of fixed length that is read at random. It is read by pread at first; one that is read so often that all of it is
// in memory before long is mapped, which takes half the time for a hit and leaves no trace in the memory of the many runs that ask for
// little. What a disk fails to read, and what has been cut off meanwhile, is an error then too and no signal. It is safe for use at once.
type randomFile struct {
	file    *os.File // whose owner closes it, after close
	size    int64
	reads   atomic.Int64
	mapping atomic.Pointer[[]byte]
}

// ReadAt implements io.ReaderAt.
func (r *randomFile) ReadAt(p []byte, at int64) (int, error) {
	if bytes := r.mapping.Load(); bytes != nil {
		return readMapped(p, *bytes, at)
	}
	if r.reads.Add(1) == r.size/mapAfter {
		r.mapAll()
	}
	return r.file.ReadAt(p, at)
}

// mapAll maps the file if there is room for it and the system can; else it goes on being read.
func (r *randomFile) mapAll() {
	if resident.Add(r.size) <= residentLimit {
		if bytes, err := mapFile(r.file, r.size); err == nil {
			r.mapping.Store(&bytes)
			return
		}
	}
	resident.Add(-r.size)
}

// close ends the mapping; nobody may read any more.
func (r *randomFile) close() {
	if bytes := r.mapping.Swap(nil); bytes != nil {
		unmapFile(*bytes)
		resident.Add(-r.size)
	}
}

func readMapped(p, bytes []byte, at int64) (n int, err error) {
	if at < 0 || at > int64(len(bytes)) {
		return 0, io.EOF
	}
	err = guarded(func() error {
		n = copy(p, bytes[at:])
		return nil
	})
	switch {
	case err != nil:
		return 0, fmt.Errorf("a mapped file cannot be read: %w", err)
	case n < len(p):
		return n, io.EOF
	}
	return n, nil
}

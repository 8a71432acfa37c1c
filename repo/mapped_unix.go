//go:build unix && !solaris && !illumos && !aix

package repo

import (
	"errors"
	"math/bits"
	"os"

	"golang.org/x/sys/unix"
)

// mapFile maps the beginning of a file for reading at random: where addresses are plenty, since a catalogue has many gigabytes.
func mapFile(file *os.File, size int64) ([]byte, error) {
	if bits.UintSize < 64 || size == 0 {
		return nil, errors.ErrUnsupported
	}
	bytes, err := unix.Mmap(int(file.Fd()), 0, int(size), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, err
	}
	_ = unix.Madvise(bytes, unix.MADV_RANDOM) // saves reads from disk, no more
	return bytes, nil
}

func unmapFile(bytes []byte) { _ = unix.Munmap(bytes) }

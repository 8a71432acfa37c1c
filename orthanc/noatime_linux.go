package orthanc

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// openQuietly opens a file for reading without following a link and, if it is our own file or we may anyway, without
// touching its access time. It does not wait for the other end of a pipe.
func openQuietly(path string) (*os.File, error) {
	const flags = unix.O_RDONLY | unix.O_NOFOLLOW | unix.O_NONBLOCK
	f, err := os.OpenFile(path, flags|unix.O_NOATIME, 0)
	if errors.Is(err, unix.EPERM) {
		f, err = os.OpenFile(path, flags, 0)
	}
	if errors.Is(err, unix.ELOOP) {
		return nil, ErrAttachment
	}
	return f, err
}

// isNoFolder says whether a folder could not be read because it is a file or a link that leads nowhere.
func isNoFolder(err error) bool { return errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) }

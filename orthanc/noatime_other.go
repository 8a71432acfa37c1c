//go:build !linux

package orthanc

import (
	"errors"
	"os"
	"syscall"
)

// openQuietly opens a file for reading; a link in its place is refused, if it is there before.
func openQuietly(path string) (*os.File, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, ErrAttachment
	}
	return os.Open(path)
}

// isNoFolder says whether a folder could not be read because it is a file.
func isNoFolder(err error) bool { return errors.Is(err, syscall.ENOTDIR) }

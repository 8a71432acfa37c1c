//go:build unix

package storage

import (
	"cmp"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// openFlags keep a pipe, which is no object, from holding up whoever opens it until somebody writes to it.
const openFlags = unix.O_NONBLOCK

// syncDir makes a folder's entries durable. Some network and FUSE file systems have no such call and say EINVAL or ENOTSUP:
// they keep folders durable by themselves, or cannot.
func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	err = d.Sync()
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOTSUP) {
		err = nil
	}
	return cmp.Or(err, d.Close())
}

// linkNew is rename without replacing, for file systems with hard links. A crash in between leaves both names.
func linkNew(old, new string) error {
	if err := os.Link(old, new); err != nil {
		if errors.Is(err, os.ErrExist) {
			return err
		}
		return fmt.Errorf("the file system knows neither a rename that replaces nothing nor hard links: %w", err)
	}
	return os.Remove(old)
}

func noSpace(err error) bool { return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) }

func unreadable(err error) bool { return errors.Is(err, unix.EIO) }

func refused(err error) bool { return errors.Is(err, os.ErrPermission) || errors.Is(err, unix.EROFS) }

// isFileInPath says that a part of a path which should be a folder is none.
func isFileInPath(err error) bool { return errors.Is(err, unix.ENOTDIR) }

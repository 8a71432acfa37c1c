package storage

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

const openFlags = 0

// syncDir does nothing: Windows has no such call, and NTFS keeps its folders in its log.
func syncDir(string) error { return nil }

// renameNew moves without MOVEFILE_REPLACE_EXISTING and waits until the move is on the disk.
func renameNew(old, new string) error {
	from, err := windows.UTF16PtrFromString(old)
	if err != nil {
		return err
	}
	to, err := windows.UTF16PtrFromString(new)
	if err != nil {
		return err
	}
	if err := windows.MoveFileEx(from, to, windows.MOVEFILE_WRITE_THROUGH); err != nil {
		return &os.LinkError{Op: "rename", Old: old, New: new, Err: err}
	}
	return nil
}

func noSpace(err error) bool {
	return errors.Is(err, windows.ERROR_DISK_FULL) || errors.Is(err, windows.ERROR_HANDLE_DISK_FULL)
}

func unreadable(err error) bool { return errors.Is(err, windows.ERROR_CRC) }

func refused(err error) bool { return errors.Is(err, os.ErrPermission) }

// isFileInPath says that a part of a path which should be a folder is none; Windows says "not found" then.
func isFileInPath(error) bool { return false }

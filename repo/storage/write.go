package storage

import (
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

const tmpSuffix = ".tmp"

// WriteFile writes a whole file with mode, replaces what is there, and returns when it is durable: after a crash at any
// instant the path holds the old content or the new one. Its folder must exist. A full disk gives ErrNoSpace.
func WriteFile(path string, data []byte, mode fs.FileMode) error {
	return writeFile(OS, path, data, mode, OS.Rename)
}

// WriteNewFile is WriteFile for what must never be overwritten, such as keys: the error matches fs.ErrExist when the path
// leads to something already.
func WriteNewFile(path string, data []byte, mode fs.FileMode) error {
	return writeFile(OS, path, data, mode, OS.RenameNew)
}

// WriteFileOn is WriteFile on another file system.
func WriteFileOn(fsys FS, path string, data []byte, mode fs.FileMode) error {
	return writeFile(fsys, path, data, mode, fsys.Rename)
}

// SweepFile removes what writers of the file at path left that were killed. Nobody may be writing it.
func SweepFile(path string) {
	left, _ := filepath.Glob(path + ".*" + tmpSuffix) // what cannot be listed, or removed, is in nobody's way
	for _, tmp := range left {
		_ = os.Remove(tmp)
	}
}

// writeFile: create the temporary file, write, Sync, Close, rename, SyncDir. From SyncDir's return on the file counts.
func writeFile(fsys FS, path string, data []byte, mode fs.FileMode, rename func(old, new string) error) error {
	tmp, err := writeTmp(fsys, path, data, mode)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, diskError(err))
	}
	if err := rename(tmp, path); err != nil {
		_ = fsys.Remove(tmp) // what cannot be removed is hidden, and Sweep takes it
		return fmt.Errorf("write %s: %w", path, diskError(err))
	}
	if err := fsys.SyncDir(filepath.Dir(path)); err != nil {
		return fmt.Errorf("write %s: %w", path, diskError(err))
	}
	return nil
}

// writeTmp writes a durable file beside path, under a name that is hidden from listings, and returns its path. After an
// error there is none.
func writeTmp(fsys FS, path string, data []byte, mode fs.FileMode) (string, error) {
	var random [8]byte
	rand.Read(random[:])
	tmp := path + "." + hex.EncodeToString(random[:]) + tmpSuffix
	f, err := fsys.Create(tmp, mode)
	if err != nil {
		return "", err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = cmp.Or(err, f.Close()); err != nil {
		_ = fsys.Remove(tmp)
		return "", err
	}
	return tmp, nil
}

// diskError makes an error match ErrNoSpace when the disk is full.
func diskError(err error) error {
	if noSpace(err) && !errors.Is(err, ErrNoSpace) {
		return fmt.Errorf("%w: %w", ErrNoSpace, err)
	}
	return err
}

package storage

import (
	"io"
	"io/fs"
	"os"
)

// FS is what Local and WriteFile ask of a file system. OS is the real one; faulty.FS loses what was not synced. Paths are
// the operating system's. Errors match fs.ErrExist and fs.ErrNotExist, as package os has them; a full disk is the system's
// error or ErrNoSpace.
type FS interface {
	// Create makes a new file for writing; one that exists is an error.
	Create(path string, mode fs.FileMode) (File, error)
	// Open opens a file, or a folder, for reading.
	Open(path string) (File, error)
	// Rename gives the file old the name new and replaces what is there.
	Rename(old, new string) error
	// RenameNew gives the file old the name new unless that exists.
	RenameNew(old, new string) error
	// Remove deletes a file.
	Remove(path string) error
	// Mkdir makes one folder.
	Mkdir(path string, mode fs.FileMode) error
	// SyncDir makes durable which names stand in a folder.
	SyncDir(path string) error
	// Stat describes what a path leads to.
	Stat(path string) (fs.FileInfo, error)
	// ReadDir lists a folder by name.
	ReadDir(path string) ([]fs.DirEntry, error)
}

// A File is open for reading, or for writing from its beginning.
type File interface {
	io.Writer
	io.ReaderAt
	io.Closer
	// Sync makes the content durable. After an error what was written may be lost, whatever a second Sync says.
	Sync() error
	Stat() (fs.FileInfo, error)
}

// OS is the file system of this machine.
var OS FS = osFS{}

type osFS struct{}

func (osFS) Create(path string, mode fs.FileMode) (File, error) {
	return osFile(os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode))
}

func (osFS) Open(path string) (File, error) {
	return osFile(os.OpenFile(path, os.O_RDONLY|openFlags, 0))
}

func (osFS) Rename(old, new string) error               { return os.Rename(old, new) }
func (osFS) RenameNew(old, new string) error            { return renameNew(old, new) }
func (osFS) Remove(path string) error                   { return os.Remove(path) }
func (osFS) Mkdir(path string, mode fs.FileMode) error  { return os.Mkdir(path, mode) }
func (osFS) SyncDir(path string) error                  { return syncDir(path) }
func (osFS) Stat(path string) (fs.FileInfo, error)      { return os.Stat(path) }
func (osFS) ReadDir(path string) ([]fs.DirEntry, error) { return os.ReadDir(path) }

// osFile keeps a nil *os.File from becoming a File that is not nil.
func osFile(f *os.File, err error) (File, error) {
	if err != nil {
		return nil, err
	}
	return f, nil
}

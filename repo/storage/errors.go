package storage

import "errors"

// What a caller of a Storage can tell apart, with errors.Is.
var (
	// ErrNotFound: no object has this name, or no folder is there.
	ErrNotFound = errors.New("not found")
	// ErrExists: an object with this name is there already; for Put, with other bytes.
	ErrExists = errors.New("exists already")
	// ErrShort: the object ends before the range that was asked for.
	ErrShort = errors.New("object is too short")
	// ErrTooLong: the object is longer than the caller is willing to read.
	ErrTooLong = errors.New("object is too long")
	// ErrNoSpace: the disk, or the quota on it, is full. Nothing was stored.
	ErrNoSpace = errors.New("no space left")
	// ErrUnreadable: the disk does not give these bytes back.
	ErrUnreadable = errors.New("cannot be read from the disk")
	// ErrRefused: the place does not permit this deletion or replacement (append-only, retention, read-only).
	ErrRefused = errors.New("not permitted")
	// ErrName: the name of an object is not valid, see CheckName.
	ErrName = errors.New("invalid object name")
	// ErrNotFolder: there is something in the place of the folder, but not a folder.
	ErrNotFolder = errors.New("not a folder")
)

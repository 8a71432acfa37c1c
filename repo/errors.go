package repo

import (
	"errors"
	"fmt"

	"github.com/orthokeep/orthokeep/repo/storage"
)

var (
	ErrNoRepo      = errors.New("no repository here")                 // Open: there is no config
	ErrExists      = errors.New("there is a repository here already") // Init
	ErrNotFound    = errors.New("blob not found")                     // Get: never for a listed but unreadable blob
	ErrCorrupt     = errors.New("data is corrupt")                    // bytes read differ from bytes written
	ErrUnsupported = errors.New("format version not supported")       // newer or unknown; never reported as corruption
	ErrWrongKey    = errors.New("wrong key or passphrase")            // the key does not belong to this repository
	ErrNeedKey     = errors.New("the recovery key is needed")         // content was asked for with a writer key alone
	ErrExpired     = errors.New("run was expired")                    // Publish: an operator gave this run up, and nothing was published
	ErrPruning     = errors.New("another prune is running")           // a prune, before it changed anything, or when another one took over
)

// What GetObject and PutObject say of the storage: no object has this name, or one with other bytes has it already. They are
// storage.ErrNotFound and storage.ErrExists.
var (
	ErrNoObject     = storage.ErrNotFound
	ErrObjectExists = storage.ErrExists
)

// errPackGone marks the error of a read that found no pack.
var errPackGone = errors.New("")

// ErrNoSpace means that a disk is full, the repository's or another. It is storage.ErrNoSpace.
var ErrNoSpace = storage.ErrNoSpace

// CorruptError says where damage was found. It matches ErrCorrupt.
type CorruptError struct {
	Object string // name of the object
	Offset int64  // bytes from its start; -1 when the object as a whole is meant
	Reason string
}

func (e *CorruptError) Error() string {
	if e.Offset < 0 {
		return fmt.Sprintf("%s: %s", e.Object, e.Reason)
	}
	return fmt.Sprintf("%s: %s at offset %d", e.Object, e.Reason, e.Offset)
}

// Is makes errors.Is(e, ErrCorrupt) true.
func (e *CorruptError) Is(target error) bool { return target == ErrCorrupt }

func corrupt(object, format string, args ...any) error {
	return &CorruptError{Object: object, Offset: -1, Reason: fmt.Sprintf(format, args...)}
}

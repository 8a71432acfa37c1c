package snapshot

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// worthWriteback is the length in bytes from which on a file is worth a request of its own to the disk.
const worthWriteback = 128 << 10

// create makes the file of an attachment and fills it. When that fails there is none.
func (w *attachmentWriter) create(p placed, fill func(*os.File) error) error {
	place := w.to.Place(p.UUID)
	if err := w.makeWay(place); err != nil {
		return err
	}
	f, err := w.below.OpenFile(place, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	err = fill(f)
	if err == nil {
		err = w.own(f)
	}
	if err == nil && p.Size >= worthWriteback {
		startWriteback(f)
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		return nil
	}
	_ = w.below.Remove(place) // nothing damaged is left behind
	return fmt.Errorf("restore attachment %s: %w", p.UUID, err)
}

// makeWay makes the folder of a file, and removes what lies in its place where that is to be replaced.
func (w *attachmentWriter) makeWay(place string) error {
	if err := w.folder(filepath.Dir(place)); err != nil {
		return err
	}
	if !w.to.Overwrite {
		return nil
	}
	if err := w.below.Remove(place); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// own gives a finished file its owner and mode.
func (w *attachmentWriter) own(f *os.File) error {
	if w.to.Chown {
		if err := f.Chown(w.to.UID, w.to.GID); err != nil {
			return err
		}
	}
	return f.Chmod(w.to.Mode)
}

// folder makes a folder below the destination, and those above it.
func (w *attachmentWriter) folder(dir string) error {
	if dir == "." {
		return nil
	}
	if _, ok := w.folders.Load(dir); ok {
		return nil
	}
	if err := w.folder(filepath.Dir(dir)); err != nil {
		return err
	}
	err := w.below.Mkdir(dir, w.to.DirMode)
	if err == nil && w.to.Chown {
		err = w.below.Lchown(dir, w.to.UID, w.to.GID)
	}
	if err == nil {
		err = w.below.Chmod(dir, w.to.DirMode) // whatever the umask says
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	w.folders.Store(dir, struct{}{})
	return nil
}

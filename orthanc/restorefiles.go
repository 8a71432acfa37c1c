package orthanc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/orthokeep/orthokeep/repo"
	"github.com/orthokeep/orthokeep/snapshot"
)

// files writes configuration and extra files below plan.Files, under their absolute paths, and lists of pending deletions where
// the plug-in looks for them. No link in the target leads out of it. One that is damaged is left out, and the rest is restored; the
// error then matches repo.ErrCorrupt.
func (t *restorer) files(ctx context.Context) (err error) {
	below, err := os.OpenRoot(t.plan.Target)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, below.Close()) }()
	if err := t.makeRoom(below); err != nil {
		return err
	}
	var damage error
	for _, f := range t.plan.files.Files {
		content := snapshot.OpenContent(ctx, t.repo, t.root, f)
		if data, ok := t.plan.rewritten[f.Path]; ok {
			content = bytes.NewReader(data)
		}
		name, err := t.place(f)
		if err == nil {
			err = t.file(below, name, f, content)
		}
		if errors.Is(err, repo.ErrCorrupt) {
			damage = errors.Join(damage, fmt.Errorf("%s was not restored: %w", f.Path, err))
		} else if err != nil {
			return fmt.Errorf("restore %s: %w", f.Path, err)
		}
	}
	return damage
}

// place is where a file goes, below the target.
func (t *restorer) place(f snapshot.ExtraFile) (string, error) {
	place := filepath.Join(t.plan.Files, filepath.FromSlash(f.Path))
	if f.Kind == KindPending {
		place = t.plan.pendingPlace(f.Path)
	}
	return filepath.Rel(t.plan.Target, place)
}

// makeRoom removes the files in the way, where they are to be replaced. All of them before the first is written: what is in the way after
// that is another file of the snapshot.
func (t *restorer) makeRoom(below *os.Root) error {
	if !t.plan.o.Overwrite {
		return nil
	}
	for _, f := range t.plan.files.Files {
		name, err := t.place(f)
		if err != nil {
			return err
		}
		for _, suffix := range suffixes(f.Kind) {
			if err := below.Remove(name + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}

// file writes one file with its owner, mode and time.
func (t *restorer) file(below *os.Root, name string, f snapshot.ExtraFile, content io.Reader) (err error) {
	if err := openFolders(below, filepath.Dir(name)); err != nil {
		return err
	}
	out, err := below.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("another file of the snapshot is in its place: %w", repo.ErrCorrupt)
	}
	if err != nil {
		return err
	}
	_, err = io.Copy(out, content)
	if err == nil && t.chown {
		uid, gid := ids(f.User, f.Group, f.UID, f.GID)
		err = out.Chown(uid, gid)
	}
	err = errors.Join(err, out.Chmod(fs.FileMode(f.Mode)&fs.ModePerm), out.Close())
	if err != nil {
		return errors.Join(err, below.Remove(name))
	}
	return below.Chtimes(name, f.Modified, f.Modified)
}

// suffixes are those of the names that a file replaces: an older log beside a database would be taken over into it.
func suffixes(kind string) []string {
	if kind == KindPending {
		return []string{"", "-wal", "-shm", "-journal"}
	}
	return []string{""}
}

// openFolders makes a folder and those above it, for everybody to enter whatever the umask says. Those there already stay as
// they are.
func openFolders(below *os.Root, dir string) error {
	if dir == "." {
		return nil
	}
	if err := openFolders(below, filepath.Dir(dir)); err != nil {
		return err
	}
	switch err := below.Mkdir(dir, 0o755); {
	case errors.Is(err, fs.ErrExist):
		return nil
	case err != nil:
		return err
	}
	return below.Chmod(dir, 0o755)
}

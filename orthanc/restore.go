package orthanc

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/orthokeep/orthokeep/repo"
	"github.com/orthokeep/orthokeep/snapshot"
)

// RestoreResult is what a restore has written.
type RestoreResult struct {
	Plan     *RestorePlan
	Restored snapshot.Restored
	Orphans  snapshot.Restored // stored files that the index does not name
	Notes    []string          // one line each
}

// Restore writes a snapshot to a folder from which Orthanc can be started. Attachments come first, then configuration and extra
// files, and the index last, so that a restore that was cut off is not started by mistake. Every attachment is verified.
// When some are damaged all the rest is restored, and the error, with the result, matches repo.ErrCorrupt.
func Restore(ctx context.Context, r *repo.Repository, root *snapshot.Root, o RestoreOptions, p Progress) (*RestoreResult, error) {
	plan, err := PlanRestore(ctx, r, root, o)
	if err != nil {
		return nil, err
	}
	t := &restorer{repo: r, root: root, plan: plan, res: &RestoreResult{Plan: plan}, chown: os.Geteuid() == 0}
	if !t.chown {
		t.res.Notes = append(t.res.Notes, "not run as root: all files belong to this user")
	}
	if o.Rewrite {
		t.res.Notes = append(t.res.Notes, "the configuration names the new folders of index and storage area; its other absolute paths are as they were")
	}
	if err := t.folders(); err != nil {
		return nil, err
	}
	damage := t.attachments(ctx, p)
	if damage != nil && !errors.Is(damage, repo.ErrCorrupt) {
		return nil, damage
	}
	if err := t.orphans(ctx, p); errors.Is(err, repo.ErrCorrupt) {
		damage = errors.Join(damage, fmt.Errorf("orphans: %w", err))
	} else if err != nil {
		return nil, err
	}
	p.Phase("restore files and index", "", 0, 0)
	if err := t.files(ctx); errors.Is(err, repo.ErrCorrupt) {
		damage = errors.Join(damage, err)
	} else if err != nil {
		return nil, err
	}
	if err := t.index(ctx); errors.Is(err, repo.ErrCorrupt) {
		return t.res, errors.Join(err, damage) // the folders stay closed: without an index Orthanc would begin a new one
	} else if err != nil {
		return nil, err
	}
	if err := t.handOver(); err != nil {
		return nil, err
	}
	if err := syncTree(plan.Target); err != nil {
		return nil, fmt.Errorf("sync %s: %w", plan.Target, err)
	}
	return t.res, damage
}

type restorer struct {
	repo  *repo.Repository
	root  *snapshot.Root
	plan  *RestorePlan
	res   *RestoreResult
	chown bool
	made  bool // the target was not there
}

// folders makes the target and the folders in it, and takes away the index that an earlier restore left. Until the end they are
// closed to everybody else, and none of them may be a link.
func (t *restorer) folders() error {
	if _, err := os.Stat(t.plan.Target); errors.Is(err, fs.ErrNotExist) {
		t.made = true
	}
	if err := os.MkdirAll(t.plan.Target, 0o700); err != nil {
		return err
	}
	for _, dir := range []string{"storage", "index", "files", "orphans"} {
		dir = filepath.Join(t.plan.Target, dir)
		if info, err := os.Lstat(dir); err == nil && !info.IsDir() {
			return fmt.Errorf("%s is in the way: %w", dir, snapshot.ErrNotEmpty)
		}
	}
	for _, index := range t.plan.indices() {
		for _, suffix := range []string{"", "-wal", "-shm", "-journal"} {
			if err := os.Remove(index + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	for _, dir := range t.plan.folders() {
		if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if t.chown {
			if err := os.Lchown(dir, os.Geteuid(), os.Getegid()); err != nil {
				return err
			}
		}
		if err := os.Chmod(dir, 0o700); err != nil {
			return err
		}
	}
	return nil
}

// handOver gives the folders their owner and mode. A target that was there before keeps its own.
func (t *restorer) handOver() error {
	for _, dir := range t.plan.folders() {
		if dir == t.plan.Files {
			continue
		}
		if err := t.own(dir, t.dirMode()); err != nil {
			return err
		}
	}
	if t.made {
		if err := t.own(t.plan.Target, t.dirMode()); err != nil {
			return err
		}
	}
	return os.Chmod(t.plan.Files, 0o755)
}

func (t *restorer) dirMode() fs.FileMode { return modeOr(t.plan.files.Owner.DirMode, 0o700) }

// modeOr returns a mode of the snapshot, with what its owner needs in any case.
func modeOr(mode uint32, least fs.FileMode) fs.FileMode { return fs.FileMode(mode)&fs.ModePerm | least }

// own gives a path to the owner of the storage area.
func (t *restorer) own(path string, mode fs.FileMode) error {
	if t.chown {
		uid, gid := t.owner()
		if err := os.Lchown(path, uid, gid); err != nil {
			return err
		}
	}
	return os.Chmod(path, mode)
}

func (t *restorer) owner() (uid, gid int) {
	o := t.plan.files.Owner
	return ids(o.User, o.Group, o.UID, o.GID)
}

func (t *restorer) attachments(ctx context.Context, p Progress) (err error) {
	p.Phase("restore", "attachments", t.root.Counts.Attachments, t.root.Counts.Bytes)
	t.res.Restored, err = snapshot.RestoreAttachments(ctx, t.repo, t.root, t.destination(t.plan.Storage), p)
	return err
}

// orphans writes what the index does not name to a folder of its own: a person decides what becomes of it.
func (t *restorer) orphans(ctx context.Context, p Progress) (err error) {
	if t.plan.Orphans == "" {
		return nil
	}
	p.Phase("restore orphans", "attachments", t.root.Orphans.Attachments, t.root.Orphans.Bytes)
	t.res.Orphans, err = snapshot.RestoreOrphans(ctx, t.repo, t.root, t.destination(t.plan.Orphans), p)
	t.res.Notes = append(t.res.Notes, fmt.Sprintf("%d files of the storage area that the index does not name are in %s, not in the storage directory",
		t.res.Orphans.Attachments, t.plan.Orphans))
	return err
}

// destination is a folder like a storage area.
func (t *restorer) destination(dir string) snapshot.Destination {
	uid, gid := t.owner()
	return snapshot.Destination{Dir: dir, Place: StorageArea{}.Path, Mode: modeOr(t.plan.files.Owner.FileMode, 0o600), DirMode: t.dirMode(),
		Chown: t.chown, UID: uid, GID: gid, Overwrite: t.plan.o.Overwrite}
}

// index writes the index. Folders has seen to it that no log of an older one lies beside it.
func (t *restorer) index(ctx context.Context) error {
	path := filepath.Join(t.plan.Index, "index")
	if err := snapshot.RestoreIndex(ctx, t.repo, t.root, path); err != nil {
		return err
	}
	t.noteJobs(ctx, path)
	return t.own(path, modeOr(t.plan.files.Owner.IndexMode, 0o600))
}

// noteJobs warns of jobs that would run a second time where the old server finished them. An index that cannot be read
// is restored all the same, as it was.
func (t *restorer) noteJobs(ctx context.Context, index string) {
	if n, err := unfinishedJobs(ctx, index); err == nil && n > 0 {
		t.res.Notes = append(t.res.Notes, fmt.Sprintf("jobs that were under way then: %d; Orthanc takes them up again, unless it is started with --no-jobs", n))
	}
}

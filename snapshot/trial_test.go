package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/orthokeep/orthokeep/repo"
	"github.com/orthokeep/orthokeep/repo/storage"
	"github.com/orthokeep/orthokeep/repo/storage/faulty"
)

// An operation is what something goes wrong in the midst of: a command, as far as the repository is concerned.
type operation struct {
	name    string
	prepare func(*trial) error // makes what it begins with; nil: an empty folder
	run     func(*trial) error // does it once; after a fault, run again, it goes on
	heavy   bool               // it takes so long that only a campaign looks at every point
	unsound bool               // what it begins with is damaged: nothing is sound before it has been run to its end
}

// A trial is a server, its repository, and what was promised of it.
type trial struct {
	*world
	must []state  // snapshots that were acknowledged and that no policy gave up since
	gone [][]byte // attachments that the server has no more, and perhaps no snapshot
}

// newTrial returns an empty server, to be backed up to a storage without a repository yet.
func newTrial(t testing.TB, st storage.Storage, keys repo.Keys) *trial {
	return &trial{world: newServer(t, st, keys)}
}

// with returns the same server on another storage, with a copy of its cache; its owner calls discard.
func (tr *trial) with(st storage.Storage) (*trial, error) {
	w := &world{t: tr.t, st: st, keys: tr.keys, files: maps.Clone(tr.files), list: slices.Clone(tr.list), index: slices.Clone(tr.index),
		nights: tr.nights, nextID: tr.nextID, server: tr.server, rnd: rand.New(rand.NewPCG(uint64(tr.nextID), 7)), damaged: map[UUID]bool{}, more: tr.more, parity: tr.parity}
	var err error
	if w.cache, err = os.MkdirTemp(memoryFolder(), "orthokeep"); err != nil {
		return nil, err
	}
	if err := os.CopyFS(w.cache, os.DirFS(tr.cache)); err != nil {
		return nil, errors.Join(err, os.RemoveAll(w.cache))
	}
	return &trial{w, slices.Clone(tr.must), slices.Clone(tr.gone)}, nil
}

// on is with for a test, which fails where it is not to be had.
func (tr *trial) on(t testing.TB, st storage.Storage) *trial {
	t.Helper()
	other, err := tr.with(st)
	if err != nil {
		t.Fatal(err)
	}
	return other
}

// durable is the repository on a disk of which everything is durable. The disk stays as it is.
func durable(t testing.TB, disk *faulty.FS) *storage.Local {
	t.Helper()
	st, err := storage.CreateOn(disk.Crash(1), "/repo")
	if err != nil {
		t.Fatal(err)
	}
	return st
}

func (tr *trial) discard() { _ = os.RemoveAll(tr.cache) }

// night takes a snapshot, after some small attachments were added and some deleted; acknowledged, it must stay.
func (tr *trial) night(added, deleted int) error {
	for deleted > 0 {
		if i := tr.rnd.IntN(len(tr.list)); tr.list[i].Size < bulkSize {
			tr.delete(i)
			deleted--
		}
	}
	tr.add(added, 900)
	return tr.snapshot()
}

// delete deletes attachment i.
func (tr *trial) delete(i int) {
	tr.gone = append(tr.gone, slices.Clone(tr.files[tr.list[i].UUID]))
	tr.remove(i)
}

func (tr *trial) snapshot() error {
	root, err := tr.backup()
	if err == nil {
		tr.must = append(tr.must, tr.state(root))
	}
	return err
}

// bringBack gives the server again what it had deleted: a backup that relies on what prune has deleted, or is about to, loses it.
func (tr *trial) bringBack() {
	for _, data := range tr.gone {
		tr.addFile(data)
	}
	tr.gone = nil
}

// pruneTo keeps the last n snapshots.
func (tr *trial) pruneTo(n int) (*PruneSummary, error) {
	tr.mayRemove(n)
	return tr.prune(n)
}

// mayRemove gives up all snapshots but the last n, whether or not the prune comes to that.
func (tr *trial) mayRemove(n int) {
	if len(tr.must) > n {
		tr.must = tr.must[len(tr.must)-n:]
	}
}

// sound opens the repository anew and says what is wrong with it: a snapshot that must restore and does not, damage, or a blob
// that cannot be read.
func (tr *trial) sound() error {
	ctx := tr.t.Context()
	r, err := repo.Open(ctx, tr.st, repo.Credentials{Recovery: tr.keys.Recovery}, tr.cache)
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	defer r.Close()
	for _, s := range tr.must {
		if err := restores(ctx, r, s); err != nil {
			return fmt.Errorf("snapshot %s does not restore: %w", s.root.Short(), err)
		}
	}
	roots, err := Roots(ctx, r)
	if err != nil {
		return fmt.Errorf("list snapshots: %w", err)
	}
	if problems, err := Check(ctx, r, roots); err != nil || len(problems) > 0 {
		return fmt.Errorf("check finds %v, %v", problems, err)
	}
	report, err := r.Check(ctx, repo.CheckOptions{ReadData: repo.All()}, NoProgress{})
	if err != nil || report.Damaged() {
		return fmt.Errorf("check of the data finds %+v, %v", report, err)
	}
	return nil
}

// goesOn sees that the repository is sound as something left it, and that work goes on: the operation once more, and a backup of a server that
// has its deleted attachments again, in this order or, when backupFirst, in the other.
func (tr *trial) goesOn(ctx context.Context, op operation, backupFirst bool) error {
	again := func() error {
		if err := op.run(tr); err != nil {
			return fmt.Errorf("%s once more: %w", op.name, err)
		}
		return nil
	}
	next := func() error {
		tr.bringBack()
		if err := tr.snapshot(); err != nil {
			return fmt.Errorf("the next backup: %w", err)
		}
		return nil
	}
	steps := []func() error{tr.sound, again, tr.sound, next, tr.sound}
	_, err := repo.ReadConfig(ctx, tr.st)
	switch {
	case errors.Is(err, repo.ErrNoRepo) && op.prepare == nil && len(tr.must) == 0:
		steps = steps[1:]
	case err != nil:
		return fmt.Errorf("the repository is gone: %w", err)
	case op.unsound:
		steps = []func() error{again, tr.sound, next, tr.sound}
	case backupFirst:
		steps = []func() error{tr.sound, next, tr.sound, again, tr.sound}
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// noRuns says whether a run is under way, which nothing but a prune that is told to will end.
func (tr *trial) noRuns() error {
	r, err := repo.Open(tr.t.Context(), tr.st, repo.Credentials{Writer: tr.keys.Writer}, tr.cache)
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	defer r.Close()
	runs, err := r.Runs(tr.t.Context())
	for _, run := range runs {
		if run.UnderWay() {
			err = errors.Join(err, fmt.Errorf("run %s, a %s, is under way for ever", run.Name, run.Kind))
		}
	}
	return err
}

// A cacheState is what a crash leaves of the cache folder, which lies on another disk.
type cacheState int

const (
	cacheAsLeft cacheState = iota
	cacheAbsent
	cacheOld  // as it was before the operation
	cacheJunk // every file overwritten
	cacheStates
)

// age puts the cache into a state; before is what it was before the operation.
func (tr *trial) age(to cacheState, before string) error {
	switch to {
	case cacheAbsent, cacheOld:
		if err := os.RemoveAll(tr.cache); err != nil {
			return err
		}
		if to == cacheAbsent {
			return os.Mkdir(tr.cache, 0o700)
		}
		return os.CopyFS(tr.cache, os.DirFS(before))
	case cacheJunk:
		return filepath.WalkDir(tr.cache, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			info, err := d.Info()
			if err != nil {
				return err
			}
			junk := make([]byte, info.Size())
			for i := range junk {
				junk[i] = byte(i*7 + 13)
			}
			return os.WriteFile(path, junk, 0o600)
		})
	}
	return nil
}

// prepared runs an operation's preparation on a file system of its own.
func prepared(t testing.TB, op operation, keys repo.Keys) (*trial, *faulty.FS, error) {
	fsys := faulty.NewFS()
	tr := newTrial(t, nil, keys)
	if op.prepare == nil {
		return tr, fsys, nil
	}
	st, err := storage.CreateOn(fsys, "/repo")
	if err != nil {
		return nil, nil, err
	}
	tr.st = st
	return tr, fsys, errors.Join(op.prepare(tr), st.Close())
}

func testKeys(t testing.TB) repo.Keys {
	t.Helper()
	keys, err := repo.NewKeys()
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

package orthanc

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"reflect"

	"github.com/orthokeep/orthokeep/repo"
	"github.com/orthokeep/orthokeep/snapshot"
)

const checkPrefix = "orthokeep-check-"

// CheckIndexes puts the index of every given snapshot whose ID lies in an arc together, in a private folder below scratch, and compares it with its
// hash; lets SQLite check all of it (PRAGMA integrity_check); and compares what it says with the snapshot: the counts, and each attachment with the
// manifest. It returns how many snapshots it looked at. What is wrong is a problem of each snapshot; an error means that it could not go on. It
// needs the recovery key, and the space of the largest index.
func CheckIndexes(ctx context.Context, r *repo.Repository, roots []*snapshot.Root, arc repo.Arc, scratch string, p snapshot.Phases) (n int, problems []snapshot.Problem, err error) {
	chosen, bytes := inArc(roots, arc)
	p.Phase("check indexes", "indexes", int64(len(chosen)), bytes)
	if err := os.MkdirAll(scratch, 0o700); err != nil {
		return 0, nil, err
	}
	sweepScratch(ctx, scratch, checkPrefix)
	folder, lock, err := newScratch(scratch, checkPrefix)
	if err != nil {
		return 0, nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder), lock.Close()) }()
	path := filepath.Join(folder, "index")
	err = snapshot.EachIndex(ctx, r, chosen, path, func(of []*snapshot.Root, damage error) error {
		c := &indexCheck{r: r, path: path, damage: damage}
		if damage == nil {
			if err := c.look(ctx, of); err != nil {
				return err
			}
		}
		for _, root := range of {
			if err := c.of(root); err != nil {
				problems = append(problems, snapshot.Problem{Snapshot: root.Short(), Detail: "index: " + err.Error()})
			}
			n++
			p.Add(1, root.Index.Size)
		}
		return nil
	})
	return n, problems, err
}

// inArc chooses snapshots by their IDs, which are random, and adds up their indexes.
func inArc(roots []*snapshot.Root, arc repo.Arc) (chosen []*snapshot.Root, bytes int64) {
	for _, root := range roots {
		if id, err := hex.DecodeString(root.ID); err != nil || len(id) < 8 || arc.Has(repo.Position(id)) { // no other ID is left out
			chosen = append(chosen, root)
			bytes += root.Index.Size
		}
	}
	return chosen, bytes
}

// An indexCheck is one index, and what is wrong with it.
type indexCheck struct {
	r      *repo.Repository
	path   string
	damage error                    // of the index itself
	differ map[*snapshot.Root]error // from what a snapshot says of it
}

func (c *indexCheck) of(root *snapshot.Root) error {
	if c.damage != nil {
		return c.damage
	}
	return c.differ[root]
}

// look takes damage down. Its error is the machine's.
func (c *indexCheck) look(ctx context.Context, of []*snapshot.Root) error {
	x, err := openAssembled(ctx, c.path)
	if err != nil {
		c.damage = err
		return machineError(ctx, err)
	}
	defer x.Close()
	c.differ = map[*snapshot.Root]error{}
	for i, root := range of {
		if i > 0 && root.Counts == of[i-1].Counts && reflect.DeepEqual(root.Manifest, of[i-1].Manifest) { // nothing was new
			c.differ[root] = c.differ[of[i-1]]
			continue
		}
		err := x.compare(ctx, c.r, root)
		if err := machineError(ctx, err); err != nil {
			return err
		}
		c.differ[root] = err
	}
	return nil
}

// machineError is what is left of an error that is none of the index.
func machineError(ctx context.Context, err error) error {
	for _, damage := range []error{nil, ErrIndex, ErrSchema, ErrLayout, repo.ErrCorrupt, repo.ErrNotFound} {
		if errors.Is(err, damage) {
			return ctx.Err()
		}
	}
	return err
}

// openAssembled opens an index that belongs to nobody but this process, and lets SQLite check all of it. Nothing is written, neither to it
// nor beside it.
func openAssembled(ctx context.Context, path string) (*Index, error) {
	if err := sniff(path); err != nil {
		return nil, err
	}
	db, err := sql.Open("sqlite", dsn(path, "ro")+"&immutable=1")
	if err != nil {
		return nil, fmt.Errorf("open index: %w", err)
	}
	x := &Index{db: db}
	err = x.examine(ctx, CheckFull)
	if err == nil {
		err = x.readTags(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return x, nil
}

// readTags sees that the tables of tags have the columns that a view of them reads.
func (x *Index) readTags(ctx context.Context) error {
	for _, table := range []string{"MainDicomTags", "DicomIdentifiers"} {
		var n int
		if err := x.db.QueryRowContext(ctx, "SELECT COUNT(*) FROM (SELECT id, tagGroup, tagElement, value FROM "+table+" LIMIT 1)").Scan(&n); err != nil {
			return indexError(ctx, "read tags", err)
		}
	}
	return nil
}

// compare compares counts and attachments with what a snapshot says of them.
func (x *Index) compare(ctx context.Context, r *repo.Repository, root *snapshot.Root) error {
	counts, err := x.Counts(ctx)
	if err != nil {
		return err
	}
	if want := root.Counts; snapshot.Counts(counts) != want {
		return fmt.Errorf("it counts %+v, the snapshot %+v: %w", counts, want, repo.ErrCorrupt)
	}
	next, stop := iter.Pull2(snapshot.ListAttachments(ctx, r, root))
	defer stop()
	for a, err := range x.Attachments(ctx) {
		if err != nil {
			return err
		}
		e, err, more := next()
		if err != nil {
			return fmt.Errorf("read the manifest: %w", err)
		}
		if !more || !sameAttachment(r, a, e) {
			return fmt.Errorf("attachment %s is not in the manifest as the index states it: %w", a.UUID, repo.ErrCorrupt)
		}
	}
	if e, err, more := next(); err != nil {
		return fmt.Errorf("read the manifest: %w", err)
	} else if more {
		return fmt.Errorf("attachment %s of the manifest is not in the index: %w", e.UUID, repo.ErrCorrupt)
	}
	return nil
}

func sameAttachment(r *repo.Repository, a Attachment, e snapshot.Entry) bool {
	return e.Key == snapshot.Key{ID: a.ResourceID, FileType: a.FileType} && e.UUID == snapshot.UUID(a.UUID) &&
		e.Size == a.CompressedSize && e.Uncompressed == a.UncompressedSize && e.Compression == a.Compression &&
		e.Stated == a.HasMD5 && (!a.HasMD5 || e.MD5 == r.HashMD5(a.CompressedMD5))
}

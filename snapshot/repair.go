package snapshot

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/orthokeep/orthokeep/repo"
)

// RepairOptions are the choices of Repair.
type RepairOptions struct {
	ReadData bool // open every blob, and save what is whole in damaged packs; needs the recovery key
	Forget   bool // give up snapshots that are unreadable: prune deletes them
	Host     string
	Started  time.Time
}

// RepairSummary is what a repair did, and what it could not.
type RepairSummary struct {
	Repo      repo.RepairReport
	Losses    []*Loss  // by snapshot, oldest first
	Held      []string // names of snapshots that are held now: it is not known any more whether they were
	Forgotten []string // names of snapshots that were given up
	Left      []string // objects that are damaged, and that nothing could be done about
}

// Repair puts right what may be, and takes out of use what may not (../repo/FORMAT.md, section 10). Backups and restores may run
// meanwhile. The repository has to be opened by repo.OpenDamaged.
func Repair(ctx context.Context, r *repo.Repository, o RepairOptions, p Progress) (s *RepairSummary, err error) {
	x, err := r.BeginRepair(ctx, o.Host, o.Started)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, x.End(context.WithoutCancel(ctx), err == nil, o.Started)) }()
	if err := x.Objects(ctx, o.ReadData, p); err != nil {
		return nil, err
	}
	if err := x.Segments(ctx); err != nil {
		return nil, err
	}
	if err := x.Salvage(ctx); err != nil {
		return nil, err
	}
	s = &RepairSummary{}
	objects, err := s.decide(ctx, r, x, o)
	if err != nil {
		return nil, err
	}
	roots, _ := Roots(ctx, r) // what is unreadable is seen to
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	c := newRootChecker(ctx, r)
	if err := c.all(roots); err != nil {
		return nil, err
	}
	for _, root := range roots {
		loss := c.lost[root]
		if loss == nil {
			continue
		}
		s.Losses = append(s.Losses, loss)
		if o.Forget && loss.Unreadable() {
			objects = append(objects, rootsPrefix+root.name)
			s.Forgotten = append(s.Forgotten, root.name)
		}
	}
	if err := x.Quarantine(ctx, slices.Collect(maps.Keys(c.blobs)), objects); err != nil {
		return nil, err
	}
	s.Repo = x.Report()
	return s, nil
}

// decide says what becomes of the objects that are damaged for good, and returns those to be given up.
func (s *RepairSummary) decide(ctx context.Context, r *repo.Repository, x *repo.Repair, o RepairOptions) (giveUp []string, err error) {
	for _, name := range x.Report().Objects {
		switch {
		case strings.HasPrefix(name, labelsPrefix):
			root, _, ok := parseLabelName(name)
			if !ok {
				s.Left = append(s.Left, name)
				continue
			}
			// It may have said that the snapshot is held.
			if err := x.ReplaceObject(ctx, repo.KindLabel, name, Label{Held: true}.marshal()); err != nil {
				return nil, err
			}
			s.Held = append(s.Held, root)
		case strings.HasPrefix(name, rootsPrefix) && o.Forget:
			giveUp = append(giveUp, name)
			s.Forgotten = append(s.Forgotten, strings.TrimPrefix(name, rootsPrefix))
		case strings.HasPrefix(name, pendingPrefix): // its run says nothing of it any more
			giveUp = append(giveUp, name)
		default:
			s.Left = append(s.Left, name)
		}
	}
	return giveUp, nil
}

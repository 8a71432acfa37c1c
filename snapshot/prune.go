package snapshot

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/orthokeep/orthokeep/repo"
)

const pendingPrefix = "pending/"

// PruneOptions are the choices of Prune.
type PruneOptions struct {
	Policy   Policy
	Server   string // apply the policy to this one alone; empty: to all
	Location *time.Location
	Space    repo.SpaceOptions
	Host     string
	Started  time.Time
	TakeOver func(repo.PruneHolder) repo.Takeover // what to do about another prune
	Expire   bool                                 // give up all runs under way
}

// PruneSummary is what a prune decided and did.
type PruneSummary struct {
	Decisions []Decision
	Removed   int64 // snapshots
	Refused   int64 // deletions that the storage did not permit
	Expired   []repo.RunState
	Space     repo.SpaceReport
}

// Decide applies a policy without doing anything. A snapshot or label that cannot be read is an error: nobody knows then what is needed.
func Decide(ctx context.Context, r *repo.Repository, o PruneOptions) ([]Decision, error) {
	roots, err := Roots(ctx, r)
	if err != nil {
		return nil, err
	}
	runs, err := r.Runs(ctx)
	if err != nil {
		return nil, err
	}
	return o.decide(roots, runs), nil
}

func (o PruneOptions) decide(roots []*Root, runs []repo.RunState) []Decision {
	all := Retain(roots, o.Policy, func(r *Root) bool { return r.Held }, o.Location)
	parents := map[string]bool{}
	for _, run := range runs {
		if run.UnderWay() && run.Parent != "" {
			parents[run.Parent] = true
		}
	}
	for i := range all {
		d := &all[i]
		if parents[d.Root.name] {
			d.Keep, d.Reasons = true, append(d.Reasons, "a run under way builds on it")
		}
		if o.Server != "" && d.Root.Server != o.Server {
			d.Keep, d.Reasons = true, []string{"another server"}
		}
	}
	return all
}

// Prune applies a policy and frees space (../repo/FORMAT.md, section 10). Backups and restores may run meanwhile. The error matches
// repo.ErrPruning while another prune runs, and repo.ErrNotFound or repo.ErrCorrupt when something that a snapshot needs is missing or
// unreadable: nothing of what it stored is deleted then.
func Prune(ctx context.Context, r *repo.Repository, o PruneOptions, p Progress) (s *PruneSummary, err error) {
	if o.Policy.Empty() {
		return nil, ErrNoPolicy
	}
	lock, err := r.BeginPrune(ctx, o.Host, o.Started, o.TakeOver)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil { // another prune may have taken over, and have deleted what this one was looking at
			err = cmp.Or(lock.Held(context.WithoutCancel(ctx)), err)
		}
		err = errors.Join(err, lock.End(context.WithoutCancel(ctx)))
	}()
	s = &PruneSummary{}
	if o.Expire {
		if s.Expired, err = lock.ExpireRuns(ctx, o.Host, o.Started); err != nil {
			return nil, err
		}
	}
	if err := lock.ListRuns(ctx); err != nil {
		return nil, err
	}
	// The runs are listed: a run that has ended by now has its root in what is listed next.
	pending, over, err := pendingRoots(ctx, r, lock.Runs())
	if err != nil {
		return nil, err
	}
	roots, err := Roots(ctx, r)
	if err != nil {
		return nil, err
	}
	s.Decisions = o.decide(roots, lock.Runs())
	live, err := s.remove(ctx, r, lock)
	if err != nil {
		return nil, err
	}
	lock.Leftovers(over)
	if s.Space, err = lock.Space(ctx, o.Space, s.Removed > 0, func(need func(repo.ID)) error {
		_, err := findNeeds(ctx, r, append(live, pending...), func(id repo.ID, _ int) error {
			need(id)
			return nil
		})
		return err
	}, p); err != nil {
		return s, err
	}
	s.Refused += s.Space.Refused
	return s, nil
}

// remove deletes the snapshots that are not to be kept, and returns those that are left.
func (s *PruneSummary) remove(ctx context.Context, r *repo.Repository, lock *repo.Prune) (live []*Root, err error) {
	for _, d := range s.Decisions {
		if d.Keep {
			live = append(live, d.Root)
			continue
		}
		// It may have been held since it was listed.
		said, err := labels(ctx, r, d.Root.name)
		if err != nil {
			return nil, err
		}
		gone := false
		if !said[d.Root.name].Held {
			if gone, err = lock.Delete(ctx, rootsPrefix+d.Root.name); err != nil {
				return nil, fmt.Errorf("remove snapshot %s: %w", d.Root.Short(), err)
			}
			if !gone {
				s.Refused++
			}
		}
		if !gone {
			live = append(live, d.Root)
			continue
		}
		s.Removed++
		names, err := r.ListObjects(ctx, labelsPrefix+d.Root.name+".")
		if err != nil {
			return nil, err
		}
		slices.Sort(names)
		for _, name := range names {
			if _, err := lock.Delete(ctx, name); err != nil {
				return nil, err
			}
		}
	}
	return live, nil
}

// pendingRoots returns the roots that are being published, and the names of those whose run is over: these are left behind.
func pendingRoots(ctx context.Context, r *repo.Repository, runs []repo.RunState) (live []*Root, over []string, err error) {
	open := map[string]bool{} // an expired run too may publish what was pending before
	for _, run := range runs {
		if !run.Ended {
			open[run.Name] = true
		}
	}
	names, err := r.ListObjects(ctx, pendingPrefix)
	if err != nil {
		return nil, nil, err
	}
	for _, name := range names {
		body, err := r.GetObject(ctx, repo.KindRoot, name)
		if errors.Is(err, repo.ErrNoObject) {
			continue // published since it was listed
		}
		if err != nil {
			return nil, nil, err
		}
		root, err := parseRoot(strings.TrimPrefix(name, pendingPrefix), body)
		if err != nil {
			return nil, nil, err
		}
		if open[root.Run] {
			live = append(live, root)
		} else {
			over = append(over, name)
		}
	}
	return live, over, nil
}

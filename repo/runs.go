package repo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/orthokeep/orthokeep/repo/storage"
)

const (
	runsPrefix    = "runs/"
	endSuffix     = ".end"
	expiredSuffix = ".expired"
)

// A RunState is what the repository says of a run.
type RunState struct {
	Name string // TIME-ID
	RunInfo
	Ended   bool // it said so itself, or its host did
	Expired bool // an operator gave it up
	Damaged bool // nobody knows what it said of itself
}

// UnderWay reports whether the run may still store and publish.
func (s RunState) UnderWay() bool { return !s.Ended && !s.Expired }

// Runs lists the runs that the repository knows of, by their names. What a run said of itself is read only of those under way.
func (r *Repository) Runs(ctx context.Context) ([]RunState, error) {
	names, err := r.listNames(ctx, runsPrefix)
	if err != nil {
		return nil, err
	}
	var all []RunState
	for name := range names {
		run := strings.TrimPrefix(name, runsPrefix)
		if strings.Contains(run, ".") {
			continue
		}
		s := RunState{Name: run, Ended: names[name+endSuffix], Expired: names[name+expiredSuffix]}
		if s.UnderWay() {
			if s.RunInfo, err = r.runInfo(ctx, name); errors.Is(err, storage.ErrNotFound) {
				continue // ended, and deleted, since it was listed
			} else if s.Damaged = errors.Is(err, ErrCorrupt); !s.Damaged && err != nil {
				return nil, err
			}
		}
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b RunState) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

func (r *Repository) runInfo(ctx context.Context, name string) (info RunInfo, err error) {
	body, err := r.GetObject(ctx, KindRun, name)
	if err != nil {
		return info, err
	}
	if err := UnmarshalJSON(body, &info, maxValues); err != nil {
		return info, fmt.Errorf("%s: %w", name, err)
	}
	return info, nil
}

// ExpireRun gives up a run whose host will not end it. If it lives after all it publishes nothing any more, unless its snapshot
// was about to exist already; that is then found by every prune.
func (r *Repository) ExpireRun(ctx context.Context, name, by string, at time.Time) error {
	body, err := json.Marshal(struct {
		By string    `json:"by"`
		At time.Time `json:"at"`
	}{by, at.UTC()})
	if err != nil {
		panic("repo: " + err.Error()) // plain fields
	}
	if err := r.PutObject(ctx, KindExpired, runsPrefix+name+expiredSuffix, body); err != nil && !errors.Is(err, storage.ErrExists) {
		return err
	}
	return nil
}

// underWay returns the names of those that are under way.
func underWay(runs []RunState) (names []string) {
	for _, s := range runs {
		if s.UnderWay() {
			names = append(names, s.Name)
		}
	}
	return names
}

package repo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/orthokeep/orthokeep/repo/storage"
)

// Prune is a prune under way (FORMAT.md, section 10). Its methods are for one goroutine, and are called in the order of that section.
type Prune struct {
	r       *Repository
	lock    *pruneLock
	name    string // TIME-ID, of its segments and, where it is announced, its run; also its token
	started time.Time
	marks   []mark
	runs    []RunState // listed after the marks
	over    []string   // objects that are left behind
	report  SpaceReport
	move    *Run // writes packs and segments
	told    bool // it is announced
}

// BeginPrune takes the object prune, and ends the readings and repairs that a crash on this host left. Where another prune holds the object, takeOver is
// asked what to do; where it says KeepOut, the error matches ErrPruning.
func (r *Repository) BeginPrune(ctx context.Context, host string, at time.Time, takeOver func(PruneHolder) Takeover) (*Prune, error) {
	if err := r.endStaleRuns(ctx, at); err != nil {
		return nil, err
	}
	lock, err := r.lockPrune(ctx, host, at, takeOver)
	if err != nil {
		return nil, err
	}
	return &Prune{r: r, lock: lock, name: lock.token, started: at, move: newRun(r, lock.token)}, nil
}

// End gives the object prune back.
func (p *Prune) End(ctx context.Context) error {
	if p.told {
		if err := p.r.EndRun(ctx, p.name, Nothing, p.started); err != nil {
			return err
		}
	}
	return p.lock.release(ctx)
}

// Held returns an error that matches ErrPruning when another prune has taken over.
func (p *Prune) Held(ctx context.Context) error { return p.lock.held(ctx) }

// announce makes this prune a run, before it writes packs: until it has ended another prune, which has taken over, leaves alone what is in
// no segment yet.
func (p *Prune) announce(ctx context.Context) error {
	if err := p.lock.held(ctx); err != nil {
		return err
	}
	p.told = true
	body, err := json.Marshal(RunInfo{Kind: "prune", Host: p.lock.host, Started: p.started})
	if err != nil {
		panic("repo: " + err.Error()) // plain fields
	}
	return p.r.PutObject(ctx, KindRun, runsPrefix+p.name, body)
}

// others are the runs without this one.
func (p *Prune) others(runs []RunState) []RunState {
	return slices.DeleteFunc(slices.Clone(runs), func(s RunState) bool { return s.Name == p.name })
}

// anyWithoutEnd reports whether there is another run that has no end, given up or not.
func (p *Prune) anyWithoutEnd(runs []RunState) bool {
	return slices.ContainsFunc(p.others(runs), func(s RunState) bool { return !s.Ended })
}

// ExpireRuns gives up all runs under way and returns them.
func (p *Prune) ExpireRuns(ctx context.Context, by string, at time.Time) (expired []RunState, err error) {
	runs, err := p.r.Runs(ctx)
	if err != nil {
		return nil, err
	}
	for _, run := range runs {
		if !run.UnderWay() {
			continue
		}
		if err := p.lock.held(ctx); err != nil {
			return nil, err
		}
		if err := p.r.ExpireRun(ctx, run.Name, by, at); err != nil {
			return nil, err
		}
		expired = append(expired, run)
	}
	return expired, nil
}

// ListRuns lists the marks, and then the runs. A mark that a prune left without its note gets one.
func (p *Prune) ListRuns(ctx context.Context) (err error) {
	if p.marks, err = p.r.readMarks(ctx); err != nil {
		return err
	}
	if p.runs, err = p.r.Runs(ctx); err != nil {
		return err
	}
	if i := slices.IndexFunc(p.runs, func(s RunState) bool { return s.UnderWay() && s.Damaged }); i >= 0 {
		return corrupt(runsPrefix+p.runs[i].Name, "nobody knows which snapshot this run under way builds on: it has to end, or be given up")
	}
	for i := range p.marks {
		m := &p.marks[i]
		if m.noted {
			continue
		}
		m.runs, m.noted = underWay(p.runs), true
		if err := p.lock.held(ctx); err != nil {
			return err
		}
		if err := p.r.putNote(ctx, m.name, m.runs); err != nil {
			return err
		}
	}
	return nil
}

// Runs are the runs as ListRuns found them.
func (p *Prune) Runs() []RunState { return p.runs }

// Delete deletes an object, and returns false where the storage does not permit it.
func (p *Prune) Delete(ctx context.Context, name string) (gone bool, err error) {
	if err := p.lock.held(ctx); err != nil {
		return false, err
	}
	switch err := p.r.st.Delete(ctx, name); {
	case errors.Is(err, storage.ErrRefused):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("delete %s: %w", name, err)
	}
	return true, nil
}

// Leftovers names objects that nobody needs any more: pending roots whose run is over.
func (p *Prune) Leftovers(names []string) { p.over = append(p.over, names...) }

// SpaceOptions say how much trouble to take.
type SpaceOptions struct {
	MaxUnused float64 // share of the packs' bytes that may be unused before packs are repacked
	MaxMove   int64   // bytes of packs that are written at most; 0: any
}

// SpaceReport is what a prune did to the packs. Sizes are in bytes.
type SpaceReport struct {
	Looked       bool  // it was found out what is needed; else there was no reason to
	Deleted      int64 // packs
	Freed        int64 // of these
	Moved        int64 // of packs written for what is needed of others
	Waiting      int64 // marked packs, to be deleted by a later prune
	WaitingBytes int64 // of these; 0 when nobody looked
	Unused       int64 // in packs that are neither deleted nor marked
	Refused      int64 // deletions that the storage did not permit
	WaitingFor   []RunState
}

// Space settles the marks that may be, and marks what is not needed any more. Removed says that something is, that was. Needs is to
// tell of every blob that is needed; it is asked only where there is a reason to.
func (p *Prune) Space(ctx context.Context, o SpaceOptions, removed bool, needs func(need func(ID)) error, progress CheckProgress) (SpaceReport, error) {
	if err := p.r.Refresh(ctx); err != nil {
		return p.report, err
	}
	ripe := slices.ContainsFunc(p.marks, func(m mark) bool { return m.ripe(p.runs) })
	var quarantined quarantine
	var err error
	if quarantined, err = p.r.readQuarantine(ctx); err != nil {
		return p.report, err
	}
	var n *needed
	if removed || ripe || len(p.over) > 0 || !quarantined.empty() {
		n = &needed{}
		if err := needs(n.add); err != nil {
			return p.report, err
		}
		u, err := p.r.use(ctx, n, markedPacks(p.marks), func(int, uint32) {})
		if err != nil {
			return p.report, err
		}
		p.report.Looked = true
		for _, step := range []func(context.Context, *usage) error{
			func(ctx context.Context, u *usage) error { return p.settle(ctx, u, progress) },
			func(ctx context.Context, u *usage) error { return p.repack(ctx, u, n, o, progress) },
			p.mark,
		} {
			if err := step(ctx, u); err != nil {
				return p.report, err
			}
		}
	}
	p.countWaiting()
	if err := p.leaveQuarantine(ctx, quarantined, n); err != nil {
		return p.report, err
	}
	return p.report, p.tidy(ctx)
}

// countWaiting counts what earlier marks still hold, and for whom they wait. New marks have been counted when they were made.
func (p *Prune) countWaiting() {
	for _, m := range p.marks {
		p.report.Waiting += int64(len(m.packs))
		for _, run := range p.runs {
			if run.UnderWay() && slices.Contains(m.runs, run.Name) && !slices.ContainsFunc(p.report.WaitingFor, func(s RunState) bool { return s.Name == run.Name }) {
				p.report.WaitingFor = append(p.report.WaitingFor, run)
			}
		}
	}
}

// tidy deletes the runs that are over and that no note names, and what was left behind.
func (p *Prune) tidy(ctx context.Context) error {
	noted := map[string]bool{}
	marks, err := p.r.readMarks(ctx)
	if err != nil {
		return err
	}
	for _, m := range marks {
		for _, name := range m.runs {
			noted[name] = true
		}
	}
	for _, run := range p.runs {
		if run.Ended && !noted[run.Name] {
			if err := p.deleteRun(ctx, run); err != nil {
				return err
			}
		}
	}
	for _, name := range p.over {
		if gone, err := p.Delete(ctx, name); err != nil {
			return err
		} else if !gone {
			p.report.Refused++
		}
	}
	return nil
}

// deleteRun deletes what is said of a run that is over. Where the run stays so does its end, or it would be under way again; it is as good
// where it is.
func (p *Prune) deleteRun(ctx context.Context, run RunState) error {
	suffixes := []string{"", endSuffix}
	if run.Expired {
		suffixes = append(suffixes, expiredSuffix)
	}
	for _, suffix := range suffixes {
		if gone, err := p.Delete(ctx, runsPrefix+run.Name+suffix); err != nil || !gone {
			return err
		}
	}
	return nil
}

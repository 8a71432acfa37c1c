package repo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gofrs/flock"

	"github.com/orthokeep/orthokeep/repo/storage"
)

// Repair is a repair under way (FORMAT.md, section 10). Its methods are for one goroutine, and are called in the order in which they stand here.
type Repair struct {
	r       *Repository
	run     *Run
	lock    *flock.Flock // of the run; nil without a cache folder
	started time.Time
	check   *Checking
	q       quarantine // to be
	report  RepairReport
}

// RepairReport is what a repair did. Sizes are in bytes.
type RepairReport struct {
	Check    *CheckReport
	Healed   int64 // objects, parity included, that are again what they were
	Parity   int64 // objects whose parity was missing and is written
	Found    int64 // packs that no segment listed, and one lists now
	Packs    int64 // in quarantine
	Moved    int64 // whole blobs of damaged packs, now in others
	InDanger int64 // blobs in damaged packs alone, of which nobody knows whether they are whole
	Lost     int64 // blobs that are whole nowhere
	Objects  []string
}

// BeginRepair announces a repair, after ending what crashes on this host left of repairs and readings. The repository has to be opened by OpenDamaged.
func (r *Repository) BeginRepair(ctx context.Context, host string, at time.Time) (*Repair, error) {
	run, lock, err := r.beginLocked(ctx, RunInfo{Kind: "repair", Host: host, Started: at})
	if err != nil {
		return nil, err
	}
	return &Repair{r: r, run: run, lock: lock, started: at, q: quarantine{packs: map[packID]bool{}, blobs: map[ID]bool{}, objects: map[string]bool{}}}, nil
}

// Objects reads every object and puts right what may be. With readData it opens the blobs, too, which needs the recovery key.
func (p *Repair) Objects(ctx context.Context, readData bool, progress CheckProgress) error {
	o := CheckOptions{ReadPacks: All()}
	if readData {
		o.ReadData = All()
	}
	var err error
	if p.check, err = p.r.BeginCheck(ctx); err != nil {
		return err
	}
	p.report.Check = p.check.Report()
	if err := p.check.ReadPacks(ctx, o, progress); err != nil {
		return err
	}
	for _, f := range p.report.Check.Findings {
		if f.Healed {
			p.report.Healed++
		}
	}
	return p.protectAll(ctx)
}

// protectAll writes the parity of objects that have none.
func (p *Repair) protectAll(ctx context.Context) error {
	percent := p.r.settings.Parity
	if percent == 0 {
		return nil
	}
	for name := range p.check.bare() {
		err := p.r.protectAgain(ctx, name, percent)
		switch {
		case err == nil:
			p.report.Parity++
		case isDamage(err), errors.Is(err, storage.ErrNotFound): // found already, or gone
		default:
			return err
		}
	}
	return nil
}

// Quarantine publishes what is not to be relied on any more, with blobs that snapshots need and that no segment lists, and objects that are to be given up. From
// here on backups store these blobs again where they come across them.
func (p *Repair) Quarantine(ctx context.Context, unlisted []ID, objects []string) error {
	for _, id := range unlisted {
		p.q.blobs[id] = true
	}
	for _, name := range objects {
		p.q.objects[name] = true
	}
	p.report.Packs, p.report.Lost = int64(len(p.q.packs)), int64(len(p.q.blobs))
	before, err := p.r.readQuarantine(ctx)
	if err != nil {
		return err
	}
	if p.q.empty() && before.empty() {
		return nil
	}
	if err := p.r.putQuarantine(ctx, p.q, p.started); err != nil {
		return err
	}
	return p.r.Refresh(ctx)
}

// Report is what the repair has done so far.
func (p *Repair) Report() RepairReport { return p.report }

// ReplaceObject puts a sealed object in the place of one that is unreadable.
func (p *Repair) ReplaceObject(ctx context.Context, kind Kind, name string, body []byte) error {
	if err := p.r.st.Replace(ctx, name, p.r.keys.sealObject(kind, name, nil, body)); err != nil {
		return fmt.Errorf("put back %s: %w", name, err)
	}
	return nil
}

// End closes the run of the repair.
func (p *Repair) End(ctx context.Context, done bool, at time.Time) error {
	outcome := Abandoned
	if done {
		outcome = Nothing
	}
	return endLocked(p.lock, p.run.End(ctx, outcome, at))
}

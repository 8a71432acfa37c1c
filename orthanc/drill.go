package orthanc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/orthokeep/orthokeep/repo"
	"github.com/orthokeep/orthokeep/snapshot"
)

// DrillOptions say how a drill is done.
type DrillOptions struct {
	Binary  string  // program of Orthanc, from FindOrthanc; a script must replace itself by it (exec)
	Scratch string  // folder, in which the drill makes one of its own; the system's place for temporary files when empty
	Sample  float64 // share of the attachments that are compared, over 0 and up to 1; 0 is all, and one at least is
	Seed    uint64  // of the sample
	Keep    bool    // leave the scratch folder behind
}

// DrillResult is what a drill has found.
type DrillResult struct {
	Orthanc     string          // version of the Orthanc that ran
	Folder      string          // of the drill; it is gone afterwards unless DrillOptions.Keep
	Alone       bool            // Orthanc had a network of its own, which nobody else could reach
	Counts      snapshot.Counts // what Orthanc says it holds; Attachments and Bytes are those that were compared
	Differing   int64           // differences: of counts and attachments, damaged ones included
	Damaged     int64           // attachments that are damaged in the repository and were not restored, in the sample or not
	Differences []DrillDifference
	Notes       []string      // one line each
	Start       time.Duration // from the start of the process to its first answer
	Total       time.Duration // with the restore, without the removal of the folder
}

// DrillDifference is something in which the restored server is not what the snapshot says. It holds no patient data.
type DrillDifference struct {
	Attachment string // UUID; empty for a count
	Resource   string // "instances/ID" by Orthanc's identifiers
	Detail     string
}

func (d DrillDifference) String() string {
	if d.Attachment == "" {
		return d.Detail
	}
	return fmt.Sprintf("attachment %s of %s: %s", d.Attachment, d.Resource, d.Detail)
}

// PointDrill is the point of a drill at which Orthanc runs, and nothing has been compared: see Hold.
const PointDrill = "drill"

const (
	drillNamed  = 20 // differences
	drillPrefix = "orthokeep-drill-"
)

// Drill restores a snapshot to scratch space, starts an Orthanc on it that nobody else can use, compares what it serves
// with the snapshot, and ends it: the counts, and of every attachment, or a sample, the length and the MD5 of its file, read through the
// REST API, with what index and manifest state. Four files are compared at once, and Orthanc holds each of them in memory.
//
// When something differs or is damaged the error, with the result, matches ErrDrill. A snapshot that cannot be restored is
// repo.ErrCorrupt, too little space storage.ErrNoSpace. The scratch folder is removed on every way out but a kill; that of a drill that
// was killed is removed by the next one in the same place.
func Drill(ctx context.Context, r *repo.Repository, root *snapshot.Root, o DrillOptions, p Progress) (res *DrillResult, err error) {
	d, err := newDrill(ctx, r, root, o)
	if err != nil {
		return nil, err
	}
	if o.Keep {
		p.Note("this folder is left behind, with patient data in clear: " + d.folder)
	}
	defer func() { err = errors.Join(err, d.close()) }()
	if err := d.restore(ctx, p); err != nil {
		return nil, err
	}
	if err := d.serve(ctx, p); err != nil {
		return nil, err
	}
	Hold(PointDrill)
	if err := d.compare(ctx, p); err != nil {
		return nil, err
	}
	return d.finish()
}

// A drill goes through restore, serve, compare and finish, and in any case close.
type drill struct {
	repo    *repo.Repository
	root    *snapshot.Root
	o       DrillOptions
	began   time.Time
	folder  string
	lock    *os.File
	plan    *RestorePlan
	damaged []UUID // at most 1000
	view    *View  // the index of the snapshot, apart from the one that Orthanc opens
	server  *drillServer
	shared  bool // of drillStart
	res     *DrillResult
}

func newDrill(ctx context.Context, r *repo.Repository, root *snapshot.Root, o DrillOptions) (*drill, error) {
	if root.Orthanc.Database != "sqlite" {
		return nil, fmt.Errorf("%w: a drill needs an index in SQLite, this one is in %q", ErrLayout, root.Orthanc.Database)
	}
	if o.Scratch == "" {
		o.Scratch = os.TempDir()
	}
	d := &drill{repo: r, root: root, o: o, began: time.Now(), res: &DrillResult{}}
	for _, path := range sweepScratch(ctx, o.Scratch, drillPrefix) {
		d.res.Notes = append(d.res.Notes, "removed what a drill that was killed had left: "+path)
	}
	var err error
	if d.folder, d.lock, err = newScratch(o.Scratch, drillPrefix); err != nil {
		return nil, err
	}
	d.res.Folder = d.folder
	return d, nil
}

// restore brings back the snapshot, and its index a second time, to compare with.
func (d *drill) restore(ctx context.Context, p Progress) (err error) {
	p.Phase("restore the index", "", 0, 0)
	if d.view, err = OpenView(ctx, d.repo, d.root, d.folder); err != nil {
		return err
	}
	restored, err := Restore(ctx, d.repo, d.root, RestoreOptions{Target: filepath.Join(d.folder, "server")}, p)
	if restored == nil {
		return err
	}
	d.plan = restored.Plan
	d.res.Damaged = restored.Restored.DamagedAll
	d.damaged = restored.Restored.Damaged
	return nil
}

// serve starts Orthanc.
func (d *drill) serve(ctx context.Context, p Progress) (err error) {
	p.Phase("start Orthanc", "", 0, 0)
	began := time.Now()
	start := drillStart{binary: d.o.Binary, dir: d.folder, storage: d.plan.Storage, index: d.plan.Index, shared: d.shared}
	if d.server, err = start.start(ctx); err != nil {
		return err
	}
	d.res.Start = time.Since(began)
	d.res.Alone = d.server.network != nil
	system, err := d.server.system(ctx)
	if err != nil {
		return err
	}
	d.res.Orthanc = oneLine(system.Version)
	if was := d.root.Orthanc.Version; was != "" && was != system.Version {
		d.res.Notes = append(d.res.Notes, fmt.Sprintf("the server had Orthanc %s", was))
	}
	return nil
}

// finish stops Orthanc and comes to the verdict.
func (d *drill) finish() (*DrillResult, error) {
	forced, err := d.server.stop()
	if forced {
		d.res.Notes = append(d.res.Notes, fmt.Sprintf("Orthanc did not stop within %v and was killed", drillStopBound))
	}
	d.res.Total = time.Since(d.began)
	if err == nil && d.res.Damaged+d.res.Differing > 0 {
		err = fmt.Errorf("%w: %d differences, %d attachments are damaged in the repository", ErrDrill, d.res.Differing, d.res.Damaged)
	}
	return d.res, err
}

// close ends what is left, and removes the folder unless it is to be kept.
func (d *drill) close() error {
	var errs []error
	if d.server != nil {
		_, err := d.server.stop()
		errs = append(errs, err)
	}
	if d.view != nil {
		errs = append(errs, d.view.Close())
	}
	if d.folder != "" {
		remove := os.RemoveAll
		if d.o.Keep {
			remove = func(dir string) error { return os.RemoveAll(filepath.Join(dir, scratchLock)) }
		}
		errs = append(errs, remove(d.folder))
	}
	if d.lock != nil {
		errs = append(errs, d.lock.Close())
	}
	return errors.Join(errs...)
}

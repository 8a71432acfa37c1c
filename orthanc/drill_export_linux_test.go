package orthanc

import (
	"context"

	"github.com/orthokeep/orthokeep/repo"
	"github.com/orthokeep/orthokeep/snapshot"
)

// DrillWith is Drill with two things done on the way: to the restored server before Orthanc starts, and to Orthanc once it runs.
// shared makes this process one that may not have a network of its own.
func DrillWith(ctx context.Context, r *repo.Repository, root *snapshot.Root, o DrillOptions, shared bool, restored func(*RestorePlan), serving func(pid, port int)) (*DrillResult, error) {
	d, err := newDrill(ctx, r, root, o)
	if err != nil {
		return nil, err
	}
	defer d.close()
	d.shared = shared
	if err := d.restore(ctx, NoProgress{}); err != nil {
		return nil, err
	}
	restored(d.plan)
	if err := d.serve(ctx, NoProgress{}); err != nil {
		return nil, err
	}
	serving(d.server.process.Pid, d.server.access.port)
	if err := d.compare(ctx, NoProgress{}); err != nil {
		return nil, err
	}
	return d.finish()
}

package main

import (
	"context"
	"os"
	"time"

	"github.com/orthokeep/orthokeep/repo"
	"github.com/orthokeep/orthokeep/snapshot"
)

// reading tells prune that a snapshot is being read, until end is called.
func (p *program) reading(ctx context.Context, r *repo.Repository, root *snapshot.Root, kind string) (end func(), err error) {
	end, err = p.announce(ctx, r, repo.RunInfo{Kind: kind, Server: root.Server, Parent: root.Name()})
	if err != nil {
		return nil, err
	}
	// It is announced: from here on prune keeps the snapshot. It may have gone just before.
	if _, err := snapshot.ReadRoot(ctx, r, root.Name()); err != nil {
		end()
		return nil, err
	}
	return end, nil
}

// announce tells prune of a run that reads, until end is called. Where the repository cannot be written it goes without, and says so.
func (p *program) announce(ctx context.Context, r *repo.Repository, info repo.RunInfo) (end func(), err error) {
	info.Host, _ = os.Hostname() // for people
	info.Started = time.Now()
	x, err := r.BeginReading(ctx, info)
	if err != nil {
		p.note("do not prune meanwhile: this %s cannot be announced (%v)", info.Kind, err)
		return func() {}, ctx.Err()
	}
	return func() {
		if err := x.End(context.WithoutCancel(ctx), time.Now()); err != nil {
			p.warn("prune waits for this %s until it is given up with --expire-runs: %v", info.Kind, err)
		}
	}, nil
}

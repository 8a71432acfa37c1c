package main

import (
	"context"
	"path/filepath"
	"time"

	"github.com/orthokeep/orthokeep/bench/cpu"
	"github.com/orthokeep/orthokeep/repo"
	"github.com/orthokeep/orthokeep/repo/storage"
	"github.com/orthokeep/orthokeep/snapshot"
)

// pruneResult is what one prune cost.
type pruneResult struct {
	CPU, Wall time.Duration
	Memory    int64 // bytes
	Removed   int64 // snapshots
	Freed     int64 // bytes
}

// pruneResults are those of three prunes in a row: the first one marks, the second one deletes, the third one has nothing to do.
type pruneResults struct{ mark, delete, nothing pruneResult }

func (p pruneResults) cpu() time.Duration  { return p.mark.CPU + p.delete.CPU }
func (p pruneResults) wall() time.Duration { return p.mark.Wall + p.delete.Wall }
func (p pruneResults) memory() int64       { return max(p.mark.Memory, p.delete.Memory) }

func prune(ctx context.Context, dir string, keep int) error {
	began := time.Now()
	st, err := storage.Open(filepath.Join(dir, "repository"))
	if err != nil {
		return err
	}
	r, err := open(ctx, st, dir, false)
	if err != nil {
		return err
	}
	s, err := snapshot.Prune(ctx, r, snapshot.PruneOptions{Policy: snapshot.Policy{Last: keep}, Location: time.UTC, Host: "scale", Started: time.Now(),
		Space: repo.SpaceOptions{MaxUnused: 0.05}, TakeOver: func(repo.PruneHolder) repo.Takeover { return repo.KeepOut }}, snapshot.NoProgress{})
	if err != nil {
		return err
	}
	return print(pruneResult{cpu.Used(), time.Since(began), peakMemory(), s.Removed, s.Space.Freed})
}

package snapshot

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/orthokeep/orthokeep/repo"
)

// readBack is how many packs are compared with what was to be written, before a snapshot is published: one, and one more for each
// GB that was written, three at most.
func readBack(written int64) int { return int(min(1+written>>30, 3)) }

// Session is one backup of one server. Its methods are for one goroutine; Store works with several inside.
type Session struct {
	repo     *repo.Repository
	run      *repo.Run
	journal  *Journal
	parent   *Root // nil for the first snapshot of the server
	server   string
	progress Progress
	added    Added
	contents *streamWriter // of extra files; nil before the first
	carry    carry

	headsHealed bool // what could be
}

// Begin announces a backup of a server, after ending the run that a crash may have left. The error matches ErrRolledBack
// when the repository's last snapshot of the server is older than the one this host published last.
func Begin(ctx context.Context, r *repo.Repository, j *Journal, server, host string, at time.Time, p Progress) (*Session, error) {
	if stale := j.run(); stale != "" {
		if err := r.EndStaleRun(ctx, stale, at); err != nil {
			return nil, err
		}
	}
	s := &Session{repo: r, journal: j, server: server, progress: p}
	parent, err := s.findParent(ctx)
	if err != nil {
		return nil, err
	}
	info := repo.RunInfo{Kind: "backup", Server: server, Host: host, Started: at.UTC()}
	if parent != nil {
		info.Parent = parent.name
	}
	name := repo.StampedName(at)
	if err := j.setRun(name); err != nil { // before it is announced: what ends here by a crash or an error is ended by the next session
		return nil, fmt.Errorf("note the run in the journal: %w", err)
	}
	if s.run, err = r.BeginNamed(ctx, name, info); err != nil {
		return nil, err
	}
	if err := s.validateJournal(); err != nil {
		return nil, err
	}
	// The run is announced: from here on prune keeps the parent. It may have gone just before.
	if parent != nil {
		if s.parent, err = ReadRoot(ctx, r, parent.name); err != nil {
			return nil, fmt.Errorf("snapshot %s, which this one builds on: %w", parent.Short(), err)
		}
	}
	s.carry, err = s.newCarry(ctx)
	if s.carry.doubtful != nil && (errors.Is(err, repo.ErrCorrupt) || errors.Is(err, repo.ErrNotFound)) {
		// Repair has found damage, and what the parent consists of is part of that: everything is looked at anew.
		s.parent = s.parent.without()
		s.carry, err = s.newCarry(ctx)
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

// validateJournal forgets what was stored provisionally if a head chunk of it may not be relied on any more. Bulk is looked
// for entry by entry.
func (s *Session) validateJournal() error {
	if !slices.ContainsFunc(s.journal.heads(), func(h headRef) bool { return !s.run.Has(h.id) }) {
		return nil
	}
	if err := s.journal.clear(); err != nil {
		return fmt.Errorf("write the journal: %w", err)
	}
	return nil
}

// findParent returns the server's last snapshot; nil when there is none. That is the one of the highest counter, whatever the
// clocks said.
func (s *Session) findParent(ctx context.Context) (*Root, error) {
	roots, bad := Roots(ctx, s.repo)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	var newest *Root
	for _, r := range roots {
		if r.Server == s.server && (newest == nil || r.Counter >= newest.Counter) {
			newest = r
		}
	}
	last := s.journal.last()
	if last == nil || last.Repository != s.repo.ID() {
		return newest, bad
	}
	if newest == nil || newest.Counter < last.Counter || (newest.Counter == last.Counter && newest.name != last.Name) {
		return nil, errors.Join(fmt.Errorf("snapshot %s of %s: %w", last.Name, s.server, ErrRolledBack), bad)
	}
	return newest, bad
}

// Parent is the server's snapshot before this one; nil when there is none.
func (s *Session) Parent() *Root { return s.parent }

// Report says where progress goes from here on.
func (s *Session) Report(p Progress) { s.progress = p }

// cost runs store and adds what it puts to a part of the sum.
func (s *Session) cost(part *int64, store func() error) error {
	before := s.run.BytesPut()
	err := store()
	*part += s.run.BytesPut() - before
	return err
}

// BytesAdded is the length of the packs that the session has written so far.
func (s *Session) BytesAdded() int64 { return s.run.BytesAdded() }

// Run is the name of the session's run.
func (s *Session) Run() string { return s.run.Name() }

// Publish completes the root and makes the snapshot exist. What r says of the server, the window, the counts and the
// files is the caller's; the rest is filled in here. Nothing may be stored afterwards.
func (s *Session) Publish(ctx context.Context, r *Root) error {
	r.Version, r.Server, r.Run, r.Counter = 1, s.server, s.run.Name(), 1
	r.Added = s.added
	if s.parent != nil {
		r.Counter, r.Previous = s.parent.Counter+1, s.parent.hash
		r.Parent = s.parent.name
	}
	if err := s.run.Checkpoint(ctx); err != nil {
		return err
	}
	if err := s.run.ReadBack(ctx, readBack(s.run.BytesAdded()), uint64(r.Time.UnixNano())); err != nil {
		return err
	}
	r.Added.Bytes = s.run.BytesAdded()
	r.name = repo.StampedName(r.Time)
	r.ID = r.name[strings.LastIndexByte(r.name, '-')+1:]
	body, err := r.marshal()
	if err != nil {
		return err
	}
	if err := s.run.Publish(ctx, r.name, body); err != nil {
		return err
	}
	if err := s.journal.published(lastRoot{s.repo.ID(), r.name, r.Counter}); err != nil {
		return fmt.Errorf("the snapshot is published; note it in the journal: %w", err)
	}
	return nil
}

// End closes the run. What was stored without a snapshot stays, and the next session goes on from there. The error matches
// repo.ErrExpired when the run was given up before it published.
func (s *Session) End(ctx context.Context, published bool, at time.Time) error {
	outcome := repo.Abandoned
	if published {
		outcome = repo.Published
	}
	err := s.run.End(ctx, outcome, at)
	if err != nil && !errors.Is(err, repo.ErrExpired) {
		return err // the journal still says so: the next session ends it
	}
	return errors.Join(err, s.journal.setRun(""))
}

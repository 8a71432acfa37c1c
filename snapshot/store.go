package snapshot

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"runtime"
	"time"
)

const (
	checkpointBytes   = 1 << 30
	checkpointEntries = 50_000
	checkpointEvery   = 5 * time.Minute
)

// Store reads attachments, each once, and stores them provisionally: durable, and found by the sessions that follow, but in
// no snapshot yet. It returns how many were not in the storage area any more. Memory is bounded by the number of cores
// times batchSize and a few of the largest chunks.
func (s *Session) Store(ctx context.Context, area Area, list iter.Seq2[UUID, error]) (vanished int64, err error) {
	if !s.headsHealed {
		if err := s.healHeads(ctx, area); err != nil {
			return 0, err
		}
		s.headsHealed = true
	}
	next := uint64(len(s.journal.heads()))
	heads := newHeadStream(context.WithoutCancel(ctx), s.run, s.repo.Polynomial(), next)
	reader := newBatchReader(s.run, s.repo.HashMD5, s.repo.Polynomial())
	read := func(ctx context.Context, batch []UUID) ([]stored, error) { return reader.store(ctx, area, batch) }
	var bytes int64
	var entries int
	last := time.Now()
	take := func(a stored) error {
		if a.vanished {
			vanished++
			return nil
		}
		s.added.Read += a.Size
		s.progress.Add(1, a.Size)
		if err := heads.add(a); err != nil {
			return err
		}
		bytes, entries = bytes+a.Size, entries+1
		if bytes < checkpointBytes && entries < checkpointEntries && time.Since(last) < checkpointEvery {
			return nil
		}
		bytes, entries, last = 0, 0, time.Now()
		return s.checkpoint(ctx, heads)
	}
	takeAll := func(batch []stored) error {
		for _, a := range batch {
			if err := take(a); err != nil {
				return err
			}
		}
		return nil
	}
	workers := runtime.GOMAXPROCS(0)
	err = ordered(ctx, workers, workers, batches(list, md5Lanes), read, takeAll)
	// What has been read is kept, also when this ends early: the next session goes on from there.
	if closeErr := heads.close(); closeErr != nil {
		return vanished, cmp.Or(err, closeErr)
	}
	return vanished, cmp.Or(err, s.checkpoint(context.WithoutCancel(ctx), heads))
}

// checkpoint makes what has been read durable and then notes it in the journal. A crash between the two leaves blobs that
// the next run finds and entries that it reads again.
func (s *Session) checkpoint(ctx context.Context, heads *headStream) error {
	if len(heads.chunks)+len(heads.ready) == 0 {
		return nil
	}
	if err := s.run.Checkpoint(ctx); err != nil {
		return err
	}
	if err := s.journal.commit(heads.chunks, heads.ready); err != nil {
		return fmt.Errorf("write the journal: %w", err) // they stay for the next try: those that follow go on from them
	}
	heads.noted()
	return nil
}

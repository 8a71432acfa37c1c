package repo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/orthokeep/orthokeep/repo/storage"
)

// Outcome says how a run ended.
type Outcome string

const (
	Published Outcome = "published"
	Nothing   Outcome = "nothing"
	Abandoned Outcome = "abandoned"
)

// readBackBlobs is how many blobs of a pack that is read back are opened: some of each pack were before it was written, see prove.
const readBackBlobs = 32

// ReadBack reads up to n of the packs that the run has written, 100 at most, chosen by seed, and compares them with their names and
// some of their blobs with their IDs: the run holds the key of its epoch, so that nobody needs the recovery key for this.
func (u *Run) ReadBack(ctx context.Context, n int, seed uint64) error {
	u.mu.Lock()
	packs := slices.Clone(u.sample)
	u.mu.Unlock()
	rnd := rand.New(rand.NewPCG(seed, 0))
	rnd.Shuffle(len(packs), func(i, j int) { packs[i], packs[j] = packs[j], packs[i] })
	c := newChecker(u.r)
	c.sample = readBackBlobs
	for _, p := range packs[:min(n, len(packs))] {
		if err := c.pack(ctx, p, true); err != nil {
			return err
		}
	}
	if len(c.report.Findings) == 0 {
		return nil
	}
	f := c.report.Findings[0]
	return fmt.Errorf("read back what was just written: %w", corrupt(f.Object, "%s", f.Detail))
}

// Publish makes a root count. All that it names must have been put before. Root is stored as pending first, where every prune from
// then on sees it. The error matches ErrExpired when the run was given up before that (prune --expire-runs): a prune that has not
// seen the root may be about to delete what it needs, so that nothing is published. The next run stores what is gone again.
func (u *Run) Publish(ctx context.Context, root string, body []byte) error {
	if err := u.Checkpoint(ctx); err != nil {
		return err
	}
	pending := "pending/" + root
	if err := u.r.PutObject(ctx, KindRoot, pending, body); err != nil {
		return err
	}
	expired, err := u.expired(ctx)
	if err != nil {
		return err
	}
	if expired {
		_ = u.r.st.Delete(ctx, pending) // else prune does it, once the run has ended
		return fmt.Errorf("publish: %w", ErrExpired)
	}
	// From here on the snapshot exists.
	if err := u.r.PutObject(ctx, KindRoot, "snapshots/"+root, body); err != nil {
		return err
	}
	_ = u.r.st.Delete(ctx, pending) // where deletion is not permitted, prune does it
	return nil
}

func (u *Run) expired(ctx context.Context) (bool, error) {
	if _, err := u.r.st.Size(ctx, u.object()); errors.Is(err, storage.ErrNotFound) {
		return true, nil
	} else if err != nil {
		return false, fmt.Errorf("look for %s: %w", u.object(), err)
	}
	_, err := u.r.st.Size(ctx, u.object()+".expired")
	if errors.Is(err, storage.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// End closes the run and, unless it was abandoned, puts the catalogue in order: a minute, now and then, where there are a hundred
// million blobs. The error matches ErrExpired when it was abandoned and had been given up: that may be why.
func (u *Run) End(ctx context.Context, how Outcome, at time.Time) error {
	_ = u.behind.Wait() // a failure was that of a Put or Checkpoint
	var given error
	if how == Abandoned {
		if expired, err := u.expired(ctx); err == nil && expired {
			given = ErrExpired
		}
	}
	if err := u.r.EndRun(ctx, u.name, how, at); err != nil {
		return err
	}
	if how != Abandoned {
		u.r.settle()
	}
	return given
}

// EndStaleRun ends a run that a crash or an error on this host left open, if it was announced at all.
func (r *Repository) EndStaleRun(ctx context.Context, name string, at time.Time) error {
	if _, err := r.st.Size(ctx, runsPrefix+name); errors.Is(err, storage.ErrNotFound) {
		return nil
	} else if err != nil {
		return fmt.Errorf("look for %s: %w", runsPrefix+name, err)
	}
	return r.EndRun(ctx, name, Abandoned, at)
}

// EndRun closes a run by name.
func (r *Repository) EndRun(ctx context.Context, name string, how Outcome, at time.Time) error {
	err := r.PutObject(ctx, KindEnd, runsPrefix+name+endSuffix, endBody(how, at))
	if errors.Is(err, storage.ErrExists) {
		return nil // it has an end already
	}
	return err
}

func endBody(how Outcome, at time.Time) []byte {
	body, err := json.Marshal(struct {
		Outcome Outcome   `json:"outcome"`
		Ended   time.Time `json:"ended"`
	}{how, at.UTC()})
	if err != nil {
		panic("repo: " + err.Error()) // plain fields
	}
	return body
}

package repo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/orthokeep/orthokeep/repo/storage"
)

const pruneName = "prune"

// PruneHolder says who holds the object prune.
type PruneHolder struct {
	Host    string    `json:"host"`
	Started time.Time `json:"started"`
	Token   string    `json:"token"` // its name, TIME-ID
}

// Takeover says what to do about another prune.
type Takeover int

const (
	KeepOut   Takeover = iota // leave it alone
	TakeOver                  // end it; it may live, and then notices before it does anything more
	WasKilled                 // end it; it does not live any more
)

// pruneLock is the object prune, held.
type pruneLock struct {
	r           *Repository
	host, token string
}

// lockPrune takes the object prune. Where another prune holds it, takeOver is asked what to do; where it says KeepOut, the error
// matches ErrPruning.
func (r *Repository) lockPrune(ctx context.Context, host string, at time.Time, takeOver func(PruneHolder) Takeover) (*pruneLock, error) {
	mine := PruneHolder{host, at.UTC(), StampedName(at)}
	body, err := json.Marshal(mine)
	if err != nil {
		panic("repo: " + err.Error()) // plain fields
	}
	for {
		err := r.st.PutNew(ctx, pruneName, r.keys.sealObject(KindPrune, pruneName, nil, body))
		if err == nil {
			return &pruneLock{r, host, mine.Token}, nil
		}
		if !errors.Is(err, storage.ErrExists) {
			return nil, fmt.Errorf("write %s: %w", pruneName, err)
		}
		holder, err := r.pruneHolder(ctx)
		if errors.Is(err, storage.ErrNotFound) {
			continue // it has just ended
		}
		if err != nil {
			return nil, err
		}
		if err := r.takeOver(ctx, holder, takeOver(holder), host, at); err != nil {
			return nil, err
		}
	}
}

// takeOver ends another prune. Its run, if it was announced, gets an end only if it does not live.
func (r *Repository) takeOver(ctx context.Context, holder PruneHolder, how Takeover, host string, at time.Time) error {
	if how == KeepOut {
		return fmt.Errorf("%w: on %s, since %s", ErrPruning, holder.Host, holder.Started.Format(time.RFC3339))
	}
	_, err := r.st.Size(ctx, runsPrefix+holder.Token)
	switch {
	case errors.Is(err, storage.ErrNotFound):
	case err != nil:
		return fmt.Errorf("look for the run of another prune: %w", err)
	case how == WasKilled:
		err = r.EndRun(ctx, holder.Token, Abandoned, at)
	default:
		err = r.ExpireRun(ctx, holder.Token, host, at)
	}
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return err
	}
	if err := r.st.Delete(ctx, pruneName); err != nil {
		return fmt.Errorf("take over from another prune: %w", err)
	}
	return nil
}

func (r *Repository) pruneHolder(ctx context.Context) (h PruneHolder, err error) {
	body, err := r.GetObject(ctx, KindPrune, pruneName)
	if err != nil {
		return h, err
	}
	if err := UnmarshalJSON(body, &h, maxValues); err != nil {
		return h, fmt.Errorf("%s: %w", pruneName, err)
	}
	return h, nil
}

// held sees that nobody has taken over. It is asked before each publication and each deletion.
func (l *pruneLock) held(ctx context.Context) error {
	holder, err := l.r.pruneHolder(ctx)
	if errors.Is(err, storage.ErrNotFound) || err == nil && holder.Token != l.token {
		return fmt.Errorf("%w: it has taken over from this one", ErrPruning)
	}
	return err
}

// release gives the object back, unless another prune has it now.
func (l *pruneLock) release(ctx context.Context) error {
	if err := l.held(ctx); errors.Is(err, ErrPruning) {
		return nil
	} else if err != nil {
		return err
	}
	return l.r.st.Delete(ctx, pruneName)
}

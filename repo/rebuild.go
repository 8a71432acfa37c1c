package repo

import (
	"context"
	"errors"
	"fmt"
)

// search runs look, and once more after building the catalogue anew when it turns out to be damaged.
func (r *Repository) search(ctx context.Context, look func() error) error {
	built := r.rebuilt.Load()
	err := look()
	if !errors.Is(err, errDerived) {
		return err
	}
	if err := r.rebuild(ctx, built); err != nil {
		return fmt.Errorf("build the catalogue anew: %w", err)
	}
	return look()
}

// rebuild builds the catalogue anew, unless that was done since it was built for the n-th time.
func (r *Repository) rebuild(ctx context.Context, n int64) error {
	r.refreshing.Lock()
	defer r.refreshing.Unlock()
	if r.rebuilt.Load() != n {
		return nil
	}
	r.rebuilt.Add(1)
	return r.refresh(ctx, true)
}

// known reports whether a blob is stored and may be relied on.
func (r *Repository) known(ctx context.Context, id ID) (known bool, err error) {
	err = r.search(ctx, func() error {
		known, err = r.blobs.known(id)
		return err
	})
	return known, err
}

// copies returns every copy of a blob that a segment lists.
func (r *Repository) copies(ctx context.Context, id ID) (found []blobCopy, err error) {
	err = r.search(ctx, func() error {
		found, err = r.blobs.copies(id)
		return err
	})
	return found, err
}

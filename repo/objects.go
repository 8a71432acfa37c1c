package repo

import (
	"cmp"
	"context"
	"fmt"
)

// GetObject reads and opens a sealed object. Where it is damaged its parity heals it in memory.
func (r *Repository) GetObject(ctx context.Context, kind Kind, name string) ([]byte, error) {
	var body []byte
	var first error // of the object as it is stored
	_, err := getWhole(ctx, r.st, name, maxObject, func(raw []byte) (err error) {
		body, err = r.keys.openObject(kind, name, raw)
		first = cmp.Or(first, err)
		return err
	})
	if err == nil && first != nil {
		r.healMu.Lock()
		defer r.healMu.Unlock()
		r.noteHealed(name)
	}
	return body, err
}

// PutObject seals and stores an object durably.
func (r *Repository) PutObject(ctx context.Context, kind Kind, name string, body []byte) error {
	if err := r.st.Put(ctx, name, r.keys.sealObject(kind, name, nil, body)); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

// ListObjects returns the names below a prefix, in no order.
func (r *Repository) ListObjects(ctx context.Context, prefix string) ([]string, error) {
	names, err := r.listNames(ctx, prefix)
	if err != nil {
		return nil, err
	}
	out := make([]string, 0, len(names))
	for name := range names {
		out = append(out, name)
	}
	return out, nil
}

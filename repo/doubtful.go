package repo

import "context"

// Doubtful returns a function that reports whether a blob lies in packs alone that prune wants to delete or that are in quarantine, or
// was found to be lost: a run stores such a blob again, also where it would take it over from its parent. It is cheap for all others. It is nil when
// there are no such packs and blobs.
func (u *Run) Doubtful(ctx context.Context) (func(ID) bool, error) {
	var marked map[packID]bool
	var gone map[ID]bool
	u.r.blobs.change(func(c *collection) { marked, gone = c.marked, c.gone })
	if len(marked)+len(gone) == 0 {
		return nil, nil
	}
	n, err := u.r.blobsOf(ctx, func(id packID) bool { return marked[id] })
	if err != nil || len(n.prefixes)+len(gone) == 0 {
		return nil, err
	}
	return func(id ID) bool { return (n.has(prefixOf(id)) || gone[id]) && !u.Has(id) }, nil
}

// blobsOf returns the blobs of some of the listed packs.
func (r *Repository) blobsOf(ctx context.Context, of func(packID) bool) (n *needed, err error) {
	err = r.search(ctx, func() error {
		n = &needed{}
		return r.blobs.walkSome(func(p packCell) bool { return of(p.id) }, blobsInto{n})
	})
	if n != nil {
		n.sort()
	}
	return n, err
}

// blobsInto adds all blobs to a set.
type blobsInto struct{ *needed }

func (blobsInto) pack(packCell) error { return nil }

func (b blobsInto) blob(e entry) error {
	b.add(e.id)
	return nil
}

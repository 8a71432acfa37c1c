package snapshot

import (
	"context"
	"fmt"

	"github.com/orthokeep/orthokeep/repo"
)

// shared stands for several snapshots in the place of one's number.
const shared = -1

// needs is told of every blob that snapshots need, and which one does: its number, or shared. A blob may come more than once; when it
// comes for different snapshots it is shared.
type needs func(id repo.ID, owner int) error

// HeadUse says how much of the head chunks is still needed, which prune cannot see: it drops a chunk only as a whole.
type HeadUse struct {
	Bytes int64 `json:"bytes"` // of chunks that any attachment needs, plain
	Dead  int64 `json:"dead"`  // of these, bytes that none needs
}

// findNeeds tells need of every blob that any of the snapshots needs. Snapshots share the layers of their manifests, and each layer
// is read once, however many snapshots have it. It holds one block of each layer of a manifest, and 16 bytes for each head chunk.
func findNeeds(ctx context.Context, from getter, roots []*Root, need needs) (HeadUse, error) {
	w := &needWalk{ctx: ctx, from: from, need: need, seen: map[string]int{}, numbers: map[*Root]int{}}
	for i, r := range roots {
		w.numbers[r] = i
		if err := w.streams(r, i); err != nil {
			return w.use, fmt.Errorf("snapshot %s: %w", r.Short(), err)
		}
	}
	for _, c := range chains(roots) {
		if err := w.chain(c); err != nil {
			return w.use, fmt.Errorf("manifest of snapshot %s: %w", c.manifests[0].root.Short(), err)
		}
	}
	return w.use, nil
}

// FindHeadUse adds up the head chunks of all snapshots.
func FindHeadUse(ctx context.Context, r *repo.Repository, roots []*Root) (HeadUse, error) {
	return findNeeds(ctx, r, roots, func(repo.ID, int) error { return nil })
}

// FindOwn returns for each snapshot the bytes of packs that it alone needs: what its removal would free.
func FindOwn(ctx context.Context, r *repo.Repository, roots []*Root) ([]int64, error) {
	return r.OwnBytes(ctx, len(roots), func(owns func(repo.ID, int)) error {
		_, err := findNeeds(ctx, r, roots, func(id repo.ID, owner int) error {
			owns(id, owner)
			return nil
		})
		return err
	})
}

type needWalk struct {
	ctx     context.Context
	from    getter
	need    needs
	numbers map[*Root]int
	seen    map[string]int // owners of streams, by their references
	use     HeadUse
}

// streams tells of the blobs of all streams of a root. What lies in its manifest is left to chain.
func (w *needWalk) streams(r *Root, owner int) error {
	for _, s := range r.streams() {
		key, as := s.class.String()+s.key(), owner
		if before, seen := w.seen[key]; seen {
			if before == shared || before == owner {
				continue
			}
			as = shared
		}
		w.seen[key] = as
		err := s.walk(w.ctx, w.from, s.class, func(_ repo.Class, it item, _ bool) error { return w.need(it.id, as) })
		if err != nil {
			return err
		}
	}
	return nil
}

// chunkUse is what attachments need of a head chunk.
type chunkUse struct {
	bytes int64
	owner int // meaningful when bytes is not 0
}

// chain tells of the blobs of all attachments that any of its snapshots has.
func (w *needWalk) chain(c *chain) error {
	heads, err := c.heads(w.ctx, w.from)
	if err != nil {
		return err
	}
	used := make([][]chunkUse, len(heads))
	for i := range heads {
		used[i] = make([]chunkUse, len(heads[i]))
	}
	byLength := w.owners(c)
	for p, err := range c.seen(w.ctx, w.from) {
		if err != nil {
			return err
		}
		if err := w.entry(p, p.owner(byLength), heads[p.layer], used[p.layer]); err != nil {
			return err
		}
	}
	for i := range heads {
		for n, h := range heads[i] {
			u := used[i][n]
			if u.bytes == 0 {
				continue
			}
			w.use.Bytes += int64(h.length)
			w.use.Dead += int64(h.length) - u.bytes
			if err := w.need(h.id, u.owner); err != nil {
				return err
			}
		}
	}
	return nil
}

// owners returns the owners of what is seen by the chain's snapshots of each number of layers.
func (w *needWalk) owners(c *chain) map[int]int {
	all := map[int]int{}
	for _, m := range c.manifests {
		n := len(m.Layers)
		if _, several := all[n]; several {
			all[n] = shared
		} else {
			all[n] = w.numbers[m.root]
		}
	}
	return all
}

// owner is the one snapshot that sees the entry, or shared.
func (p placed) owner(byLength map[int]int) int {
	found, owner := false, shared
	for layers, number := range byLength {
		if !p.seenBy(layers) {
			continue
		}
		if found {
			return shared
		}
		found, owner = true, number
	}
	return owner
}

// entry tells of the bulk of an attachment and notes the head chunks that it uses.
func (w *needWalk) entry(p placed, owner int, heads []headRef, used []chunkUse) error {
	for part, err := range p.headParts(heads) {
		if err != nil {
			return fmt.Errorf("attachment %s: %w", p.UUID, err)
		}
		u := &used[part.chunk]
		if u.bytes > 0 && u.owner != owner {
			u.owner = shared
		} else {
			u.owner = owner
		}
		u.bytes += part.size
	}
	for _, b := range p.bulk {
		if err := w.need(b.id, owner); err != nil {
			return err
		}
	}
	return nil
}

package snapshot

import (
	"context"
	"iter"
	"slices"
)

// A chain is the layers of a manifest and all manifests that it is, or that it begins with: one of n layers has the first n.
type chain struct {
	layers    []Layer
	manifests []rootManifest // the first has all layers
}

// chains joins manifests of snapshots that begin alike: of two where one continues the other, only the longer one is a chain of its own.
func chains(roots []*Root) (all []*chain) {
	var manifests []rootManifest
	for _, r := range roots {
		manifests = append(manifests, r.manifests()...)
	}
	groups := alike(manifests, func(m rootManifest) int { return len(m.Layers) }, func(long, short rootManifest) bool {
		return slices.EqualFunc(long.Layers[:len(short.Layers)], short.Layers, Layer.same)
	})
	for _, group := range groups {
		all = append(all, &chain{group[0].Layers, group})
	}
	return all
}

// alike groups what begins alike, the longest first: of two where one begins with the other, both are in the longer one's group.
func alike[T any](all []T, length func(T) int, begins func(long, short T) bool) (groups [][]T) {
	all = slices.Clone(all)
	slices.SortStableFunc(all, func(a, b T) int { return length(b) - length(a) })
	for _, t := range all {
		i := slices.IndexFunc(groups, func(g []T) bool { return begins(g[0], t) })
		if i < 0 {
			i = len(groups)
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], t)
	}
	return groups
}

// same reports whether two layers are one.
func (l Layer) same(o Layer) bool {
	return l.Entries.key() == o.Entries.key() && l.Heads.key() == o.Heads.key() && l.Count == o.Count && l.Deleted == o.Deleted
}

// lengths are the numbers of layers of the chain's manifests, each once.
func (c *chain) lengths() (all []int) {
	for _, m := range c.manifests {
		all = append(all, len(m.Layers))
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// heads returns the head chunks of each layer.
func (c *chain) heads(ctx context.Context, from getter) (all [][]headRef, err error) {
	all = make([][]headRef, len(c.layers))
	for i, l := range c.layers {
		if all[i], err = readHeads(ctx, from, l); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// seen yields every entry that one of the snapshots sees at least, with its until, valid until the next step.
func (c *chain) seen(ctx context.Context, from getter) iter.Seq2[placed, error] {
	lengths := c.lengths()
	return func(yield func(placed, error) bool) {
		for versions, err := range (Manifest{Layers: c.layers}).versions(ctx, from) {
			if err != nil {
				yield(placed{}, err)
				return
			}
			until := len(c.layers)
			for _, p := range slices.Backward(versions) {
				p.until, until = until, p.layer
				if p.deleted || !slices.ContainsFunc(lengths, p.seenBy) {
					continue
				}
				if !yield(p, nil) {
					return
				}
			}
		}
	}
}

// seenBy reports whether a snapshot of so many layers sees an entry of seen.
func (p placed) seenBy(layers int) bool { return p.layer < layers && layers <= p.until }

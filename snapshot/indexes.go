package snapshot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"github.com/orthokeep/orthokeep/repo"
)

// EachIndex writes the indexes of snapshots to the file at path, one after the other, compares each with its hash, and calls look: with the
// snapshots that have it, and with what is wrong with it; the file is meaningful when that is nil. Look must not change the file. Each layer is
// read once, however many snapshots have it. The file must not exist, and is removed in the end.
func EachIndex(ctx context.Context, r *repo.Repository, roots []*Root, path string, look func(of []*Root, damage error) error) (err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(path)) }()
	return eachIndex(ctx, r, roots, f, look)
}

// eachIndex is EachIndex with a file that is open.
func eachIndex(ctx context.Context, r *repo.Repository, roots []*Root, f hostFile, look func(of []*Root, damage error) error) error {
	for _, c := range indexChains(roots) {
		if err := f.Truncate(0); err != nil {
			return err
		}
		if err := c.each(ctx, r, f, look); err != nil {
			return err
		}
	}
	return nil
}

// An indexChain is an index and all that it begins with, by the layers: that of n layers has the first n.
type indexChain struct {
	Index
	roots []*Root
}

// indexChains joins the indexes of snapshots that begin alike.
func indexChains(roots []*Root) (all []*indexChain) {
	groups := alike(roots, func(r *Root) int { return len(r.Index.Layers) }, func(long, short *Root) bool {
		return long.Index.PageSize == short.Index.PageSize && slices.EqualFunc(long.Index.Layers[:len(short.Index.Layers)], short.Index.Layers, IndexLayer.same)
	})
	for _, group := range groups {
		all = append(all, &indexChain{group[0].Index, group})
	}
	return all
}

// same reports whether two layers are one.
func (l IndexLayer) same(o IndexLayer) bool {
	return l.Size == o.Size && l.Pages.same(o.Pages) && l.Hashes.same(o.Hashes)
}

// each makes an empty file grow by one layer after the other. Where a layer is damaged all that go on from it are.
func (c *indexChain) each(ctx context.Context, r *repo.Repository, f hostFile, look func([]*Root, error) error) error {
	var damage error
	for n := range len(c.Layers) + 1 {
		if n > 0 && damage == nil {
			if damage = applyLayer(ctx, r, f, c.Index, n-1); ctx.Err() != nil || isOf(damage, f) {
				return errors.Join(ctx.Err(), damage)
			}
		}
		for of := range byHash(c.roots, n) {
			found := damage
			if found == nil {
				if found = verifyLayers(ctx, r, f, of[0].Index); ctx.Err() != nil || isOf(found, f) {
					return errors.Join(ctx.Err(), found)
				}
			}
			if err := look(of, found); err != nil {
				return err
			}
		}
	}
	return nil
}

// isOf says that an error is of the file: it tells nothing of what is in the repository.
func isOf(err error, f hostFile) bool {
	var of *fs.PathError
	return errors.As(err, &of) && of.Path == f.Name()
}

// byHash yields the snapshots whose index has n layers, those together that say the same of it. No two should differ.
func byHash(roots []*Root, n int) func(func([]*Root) bool) {
	return func(yield func([]*Root) bool) {
		var left []*Root
		for _, r := range roots {
			if len(r.Index.Layers) == n {
				left = append(left, r)
			}
		}
		for len(left) > 0 {
			var of, others []*Root
			for _, r := range left {
				if r.Index.Hash == left[0].Index.Hash && r.Index.Size == left[0].Index.Size {
					of = append(of, r)
				} else {
					others = append(others, r)
				}
			}
			if !yield(of) {
				return
			}
			left = others
		}
	}
}

// verifyLayers compares the file with what an index says: its size, its hash, and the hashes of its pages, by which the next backup finds those
// that changed.
func verifyLayers(ctx context.Context, r *repo.Repository, f hostFile, x Index) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if len(x.Layers) == 0 || info.Size() != x.Size {
		return fmt.Errorf("the layers make a file of %d bytes instead of %d: %w", info.Size(), x.Size, repo.ErrCorrupt)
	}
	hashes, err := verifyIndex(ctx, r, f, x)
	if err != nil {
		return err
	}
	stored, err := pageHashes(ctx, r, x, len(hashes)/pageHashSize)
	if err == nil && !bytes.Equal(stored, hashes) {
		err = fmt.Errorf("the stored hashes of pages are of other pages: %w", repo.ErrCorrupt)
	}
	return err
}

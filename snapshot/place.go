package snapshot

import (
	"cmp"
	"fmt"
	"iter"
	"slices"

	"github.com/orthokeep/orthokeep/repo"
)

const (
	placeBatch = 1 << 17 // entries that wait to be sorted, some 200 bytes each
	placeBulk  = 1 << 20 // of these, references to bulk, 40 bytes each: large files have many
)

// byPlace yields entries that outlive the next step, in the order in which their bytes were stored, one batch sorted at a
// time: neighbours lie in the same head chunk, which is then decoded once, and in the same packs. A manifest whose attachments
// were read as the storage area lists them has its heads all over their stream otherwise.
func byPlace(seq iter.Seq2[placed, error], size int) iter.Seq2[placed, error] {
	return func(yield func(placed, error) bool) {
		batch, bulk := make([]placed, 0, size), 0
		flush := func() bool {
			slices.SortStableFunc(batch, func(a, b placed) int {
				return cmp.Or(cmp.Compare(a.layer, b.layer), cmp.Compare(a.headChunk, b.headChunk), cmp.Compare(a.headOffset, b.headOffset))
			})
			for _, p := range batch {
				if !yield(p, nil) {
					return false
				}
			}
			batch, bulk = batch[:0], 0
			return true
		}
		for p, err := range seq {
			if err != nil {
				yield(placed{}, err)
				return
			}
			e := *p.Entry
			e.bulk = slices.Clone(e.bulk)
			p.Entry = &e
			batch, bulk = append(batch, p), bulk+len(e.bulk)
			if (len(batch) == size || bulk >= placeBulk) && !flush() {
				return
			}
		}
		flush()
	}
}

// within yields entries as long as there are no more of them, and of their bytes, than the snapshot says: the disk was found to have room for these.
func within(seq iter.Seq2[placed, error], attachments, bytes int64) iter.Seq2[placed, error] {
	return func(yield func(placed, error) bool) {
		for p, err := range seq {
			if err == nil {
				attachments, bytes = attachments-1, bytes-p.Size
				if attachments < 0 || bytes < 0 {
					err = fmt.Errorf("manifest lists more than the snapshot says: %w", repo.ErrCorrupt)
				}
			}
			if !yield(p, err) || err != nil {
				return
			}
		}
	}
}

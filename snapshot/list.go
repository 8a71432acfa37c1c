package snapshot

import (
	"context"
	"iter"

	"github.com/orthokeep/orthokeep/repo"
)

// ListAttachments lists what the manifest of a snapshot says of each attachment, in the order of their keys. MD5 is the keyed
// hash that repo.Repository.HashMD5 makes of the file's MD5. An error ends the list. It holds one block of each layer in memory.
func ListAttachments(ctx context.Context, r *repo.Repository, root *Root) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for p, err := range root.Manifest.entries(ctx, r) {
			if err != nil {
				yield(Entry{}, err)
				return
			}
			e := *p.Entry
			e.bulk = nil // is the next entry's after this step
			if !yield(e, nil) {
				return
			}
		}
	}
}

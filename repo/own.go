package repo

import (
	"cmp"
	"context"
	"slices"
)

// owned is a needed blob by the first eight bytes of its ID, and who needs it.
type owned struct {
	prefix uint64
	owner  int32 // negative: several do
}

// OwnBytes returns the bytes of packs that each of n owners alone needs. Tell is to call owns for every blob that is needed, with the number of its
// owner, or with -1 when there are several; a blob that comes with different owners has several. It holds 16 bytes for each call, and
// some 150 for each pack.
func (r *Repository) OwnBytes(ctx context.Context, n int, tell func(owns func(ID, int)) error) ([]int64, error) {
	var all []owned
	if err := tell(func(id ID, owner int) { all = append(all, owned{prefixOf(id), int32(owner)}) }); err != nil {
		return nil, err
	}
	slices.SortFunc(all, func(a, b owned) int { return cmp.Or(cmp.Compare(a.prefix, b.prefix), cmp.Compare(a.owner, b.owner)) })
	need, owners := &needed{}, make([]int32, 0, len(all))
	for i := 0; i < len(all); {
		j, owner := i, all[i].owner
		for ; j < len(all) && all[j].prefix == all[i].prefix; j++ {
			if all[j].owner != owner {
				owner = -1
			}
		}
		need.prefixes, owners = append(need.prefixes, all[i].prefix), append(owners, owner)
		i = j
	}
	sums := make([]int64, n)
	_, err := r.use(ctx, need, nil, func(at int, sealed uint32) {
		if owner := owners[at]; owner >= 0 {
			sums[owner] += int64(sealed) + tableBlob
		}
	})
	return sums, err
}

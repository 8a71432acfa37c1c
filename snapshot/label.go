package snapshot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/orthokeep/orthokeep/repo"
)

const (
	labelsPrefix   = "labels/"
	maxLabelValues = 1 << 16
	maxLabels      = 1 << 31 // of one snapshot
)

// A Label is what was said of a snapshot after it was published. Its tags take the place of those of the root.
type Label struct {
	Tags []string `json:"tags"`
	Held bool     `json:"held"` // no policy removes the snapshot
}

func (l Label) marshal() []byte {
	body, err := json.Marshal(l)
	if err != nil {
		panic("snapshot: " + err.Error()) // plain fields
	}
	return body
}

// numberedLabel is the newest label of a root.
type numberedLabel struct {
	Label
	number int // 1, 2, 3 …; the highest counts
}

// labels returns the newest label of each root whose name begins with root, all where it is empty, by the root's name. A label that
// cannot be read is an error: it may say that its snapshot is held.
func labels(ctx context.Context, r *repo.Repository, root string) (map[string]numberedLabel, error) {
	names, err := r.ListObjects(ctx, labelsPrefix+root)
	if err != nil {
		return nil, err
	}
	newest := map[string]int{}
	for _, name := range names {
		if root, n, ok := parseLabelName(name); ok {
			newest[root] = max(newest[root], n)
		}
	}
	out := make(map[string]numberedLabel, len(newest))
	for root, n := range newest {
		body, err := r.GetObject(ctx, repo.KindLabel, labelName(root, n))
		if errors.Is(err, repo.ErrNoObject) {
			continue // a prune has just removed the snapshot
		}
		if err != nil {
			return nil, err
		}
		l := numberedLabel{number: n}
		if err := repo.UnmarshalJSON(body, &l.Label, maxLabelValues); err != nil {
			return nil, fmt.Errorf("label of snapshot %s: %w", root, err)
		}
		out[root] = l
	}
	return out, nil
}

func labelName(root string, n int) string { return fmt.Sprintf("%s%s.%04d", labelsPrefix, root, n) }

func parseLabelName(name string) (root string, n int, ok bool) {
	root, digits, ok := strings.Cut(strings.TrimPrefix(name, labelsPrefix), ".")
	n, err := strconv.Atoi(digits)
	return root, n, ok && err == nil && n > 0 && n < maxLabels && name == labelName(root, n)
}

// SetLabel changes tags and hold of a published snapshot, and the root in hand with it. Of two hosts at once one is tried again.
func SetLabel(ctx context.Context, r *repo.Repository, root *Root, change func(*Label)) error {
	const tries = 5
	for try := 1; ; try++ {
		all, err := labels(ctx, r, root.name)
		if err != nil {
			return err
		}
		now, ok := all[root.name]
		if !ok {
			now.Tags = root.Tags
		}
		next := Label{slices.Clone(now.Tags), now.Held}
		change(&next)
		if ok && next.Held == now.Held && slices.Equal(next.Tags, now.Tags) {
			root.Tags, root.Held = next.Tags, next.Held
			return nil
		}
		err = r.PutObject(ctx, repo.KindLabel, labelName(root.name, now.number+1), next.marshal())
		if errors.Is(err, repo.ErrObjectExists) && try < tries {
			continue
		}
		if err == nil {
			root.Tags, root.Held = next.Tags, next.Held
		}
		return err
	}
}

package snapshot

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/orthokeep/orthokeep/repo"
)

// Problem is something that Check found wrong with a snapshot.
type Problem struct {
	Snapshot string `json:"snapshot"` // short ID
	Detail   string `json:"detail"`
}

// A Loss is what of a snapshot cannot be restored.
type Loss struct {
	Root        *Root
	Attachments []UUID
	Parts       []string // the other parts that are damaged, and how
}

// Unreadable reports whether the list of attachments itself is lost, or the index.
func (l *Loss) Unreadable() bool { return len(l.Parts) > 0 }

// problemsNamed is how many problems of one snapshot are named.
const problemsNamed = 20

// Check sees that every reference of the given snapshots resolves to a blob that a segment lists, that manifests are in
// order, and that heads lie inside their stream. Layers that snapshots share are looked at once. It needs no recovery key. Segments are
// imported first: a snapshot may be newer than what is known of them.
func Check(ctx context.Context, r *repo.Repository, roots []*Root) ([]Problem, error) {
	if err := r.Refresh(ctx); err != nil {
		return nil, err
	}
	c := newRootChecker(ctx, r)
	if err := c.all(roots); err != nil {
		return nil, err
	}
	return c.problems(roots), nil
}

type rootChecker struct {
	ctx   context.Context
	r     *repo.Repository
	seen  map[string]error // by stream
	found map[*Root][]string
	lost  map[*Root]*Loss
	blobs map[repo.ID]bool // needed, and kept nowhere
	more  map[*Root]int    // that are not named
}

// problems are those that were found, in the order of the snapshots.
func (c *rootChecker) problems(roots []*Root) (out []Problem) {
	for _, root := range roots {
		for _, detail := range c.found[root] {
			out = append(out, Problem{root.Short(), detail})
		}
		if more := c.more[root]; more > 0 {
			out = append(out, Problem{root.Short(), fmt.Sprintf("and %d more", more)})
		}
	}
	return out
}

func newRootChecker(ctx context.Context, r *repo.Repository) *rootChecker {
	return &rootChecker{ctx: ctx, r: r, seen: map[string]error{}, found: map[*Root][]string{}, lost: map[*Root]*Loss{}, blobs: map[repo.ID]bool{}, more: map[*Root]int{}}
}

func (c *rootChecker) all(roots []*Root) error {
	for _, root := range roots {
		if err := c.streams(root); err != nil {
			return err
		}
	}
	for _, chain := range chains(roots) {
		if err := c.chain(chain); err != nil {
			return err
		}
	}
	return nil
}

// note takes an error down as a problem of a part of a snapshot, or returns it when it is none.
func (c *rootChecker) note(root *Root, what string, err error) error {
	if err == nil {
		return nil
	}
	if err := c.notDamage(err); err != nil {
		return err
	}
	c.losePart(root, what, err)
	return nil
}

// losePart takes damage down as a problem of a part of a snapshot.
func (c *rootChecker) losePart(root *Root, what string, damage error) {
	if loss := c.loss(root, what, damage); len(loss.Parts) < problemsNamed {
		loss.Parts = append(loss.Parts, what)
	}
}

// notDamage returns an error that says nothing of what is in the repository.
func (c *rootChecker) notDamage(err error) error {
	if c.ctx.Err() != nil || !isDamage(err) {
		return cmp.Or(c.ctx.Err(), err)
	}
	return nil
}

func (c *rootChecker) loss(root *Root, what string, damage error) *Loss {
	c.name(root, what, damage)
	if c.lost[root] == nil {
		c.lost[root] = &Loss{Root: root}
	}
	return c.lost[root]
}

// name takes an error down as a problem of a snapshot.
func (c *rootChecker) name(root *Root, what string, err error) {
	if len(c.found[root]) == problemsNamed {
		c.more[root]++
		return
	}
	c.found[root] = append(c.found[root], what+": "+err.Error())
}

// streams looks at all streams of a snapshot.
func (c *rootChecker) streams(root *Root) error {
	for _, s := range root.streams() {
		if err := c.note(root, s.what, c.stream(s)); err != nil {
			return err
		}
	}
	return nil
}

// stream sees that the blobs of a stream are listed.
func (c *rootChecker) stream(s rootStream) error {
	key := s.class.String() + s.key()
	if err, ok := c.seen[key]; ok {
		return err
	}
	err := s.walk(c.ctx, c.r, s.class, func(class repo.Class, it item, list bool) error {
		if list {
			return nil // walk reads it
		}
		return c.listed(class, it.id, it.length)
	})
	c.seen[key] = err
	return err
}

func (c *rootChecker) listed(class repo.Class, id repo.ID, length int64) error {
	plain, err := c.r.Look(c.ctx, class, id)
	if errors.Is(err, repo.ErrNotFound) {
		c.blobs[id] = true
	}
	if err != nil {
		return err
	}
	if plain != length {
		return fmt.Errorf("%s blob %.8s has %d bytes instead of %d: %w", class, id, plain, length, repo.ErrCorrupt)
	}
	return nil
}

// ofAll takes an error down as a problem of all snapshots of a chain, or returns it when it is none.
func (c *rootChecker) ofAll(ch *chain, err error) error {
	for _, m := range ch.manifests {
		if err := c.note(m.root, m.what, err); err != nil {
			return err
		}
	}
	return nil
}

// chain resolves what the attachments of the snapshots of a chain name.
func (c *rootChecker) chain(ch *chain) error {
	heads, err := ch.heads(c.ctx, c.r)
	if err != nil {
		return c.ofAll(ch, err)
	}
	looked := make([][]error, len(heads)) // of each chunk, once it was looked at
	for i := range heads {
		looked[i] = make([]error, len(heads[i]))
	}
	counts := make([]int64, len(ch.layers)+2) // how many more attachments a snapshot of so many layers has than one of one layer less
	for p, err := range ch.seen(c.ctx, c.r) {
		if err != nil {
			return c.ofAll(ch, err)
		}
		counts[p.layer+1]++
		counts[p.until+1]--
		damage := c.entry(p, heads[p.layer], looked[p.layer])
		if damage == nil {
			continue
		}
		if err := c.notDamage(damage); err != nil {
			return err
		}
		for _, m := range ch.manifests {
			if p.seenBy(len(m.Layers)) {
				loss := c.loss(m.root, m.what, damage)
				loss.Attachments = append(loss.Attachments, p.UUID)
			}
		}
	}
	c.counts(ch, counts)
	return nil
}

// counts compares the number of attachments with what each snapshot says.
func (c *rootChecker) counts(ch *chain, more []int64) {
	var n int64
	for layers, m := range more {
		n += m
		for _, m := range ch.manifests {
			if len(m.Layers) == layers && m.Attachments != n {
				c.losePart(m.root, m.what, fmt.Errorf("lists %d attachments instead of %d: %w", n, m.Attachments, repo.ErrCorrupt))
			}
		}
	}
}

// errListed stands for a head chunk that was found to be listed.
var errListed = errors.New("listed")

// entry sees that all blobs of an attachment are kept, and returns what is wrong with the first one that is not.
func (c *rootChecker) entry(p placed, heads []headRef, looked []error) (first error) {
	for part, err := range p.headParts(heads) {
		if err != nil {
			return fmt.Errorf("attachment %s: %w", p.UUID, err)
		}
		if looked[part.chunk] == nil {
			h := heads[part.chunk]
			looked[part.chunk] = cmp.Or(c.listed(repo.Content, h.id, int64(h.length)), errListed)
		}
		if err := looked[part.chunk]; err != errListed {
			first = cmp.Or(first, err)
		}
	}
	for _, b := range p.bulk {
		first = cmp.Or(first, c.listed(repo.Content, b.id, b.length))
	}
	if first != nil {
		return fmt.Errorf("attachment %s: %w", p.UUID, first)
	}
	return nil
}

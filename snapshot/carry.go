package snapshot

import (
	"context"
	"fmt"

	"github.com/orthokeep/orthokeep/repo"
)

// carry says what of the parent may be taken over as it is. Two things may not: what lies in packs alone that prune wants to delete, and
// heads of a chunk of which less than half is needed by now. These are stored again, so that prune, which cannot read the chunk, is
// rid of it one day.
type carry struct {
	doubtful func(repo.ID) bool // nil: no blob is
	heads    [][]headRef        // by layer of the parent's manifest
	leave    [][]bool           // by layer and number: entries with a head in this chunk are stored again
	manifest bool               // layers may be taken over
	index    bool
}

// newCarry looks at the parent. It goes through its manifest only when that is due to be written anew.
func (s *Session) newCarry(ctx context.Context) (c carry, err error) {
	if c.doubtful, err = s.run.Doubtful(ctx); err != nil || s.parent == nil {
		return c, err
	}
	m := s.parent.Manifest
	c.manifest, c.index = !m.renewalDue(), true
	for _, l := range m.Layers {
		heads, err := readHeads(ctx, s.repo, l)
		if err != nil {
			return c, err
		}
		leave := make([]bool, len(heads))
		for n, h := range heads {
			leave[n] = c.isDoubtful(h.id)
		}
		c.heads, c.leave = append(c.heads, heads), append(c.leave, leave)
	}
	if c.doubtful != nil {
		if err := s.lookAtStreams(ctx, &c); err != nil {
			return c, err
		}
	}
	if !c.manifest {
		err = s.findSparse(ctx, &c)
	}
	return c, err
}

// renewalDue reports whether a new base is to be written in any case.
func (m Manifest) renewalDue() bool {
	return len(m.Layers) > 0 && (len(m.Layers) >= maxLayers || m.deltaEntries()*5 > m.Layers[0].Count*2)
}

func (c *carry) isDoubtful(id repo.ID) bool { return c.doubtful != nil && c.doubtful(id) }

// lookAtStreams finds out whether manifest and index of the parent may be taken over.
func (s *Session) lookAtStreams(ctx context.Context, c *carry) error {
	for _, stream := range s.parent.streams() {
		var carried *bool
		switch stream.what {
		case whatManifest:
			carried = &c.manifest
		case whatIndex:
			carried = &c.index
		default:
			continue
		}
		err := stream.walk(ctx, s.repo, stream.class, func(_ repo.Class, it item, _ bool) error {
			*carried = *carried && !c.doubtful(it.id)
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// findSparse finds the head chunks of which less than half belongs to attachments that the parent has.
func (s *Session) findSparse(ctx context.Context, c *carry) error {
	live := make([][]int64, len(c.heads))
	for i, heads := range c.heads {
		live[i] = make([]int64, len(heads))
	}
	for e, err := range s.parent.Manifest.entries(ctx, s.repo) {
		if err != nil {
			return err
		}
		for part, err := range e.headParts(c.heads[e.layer]) {
			if err != nil {
				return fmt.Errorf("attachment %s: %w", e.UUID, err)
			}
			live[e.layer][part.chunk] += part.size
		}
	}
	for i, heads := range c.heads {
		for n, h := range heads {
			c.leave[i][n] = c.leave[i][n] || live[i][n]*2 < int64(h.length)
		}
	}
	return nil
}

// entry reports whether an entry of the parent may be taken over.
func (c *carry) entry(p placed) bool {
	if c.doubtful != nil {
		for _, b := range p.bulk {
			if c.doubtful(b.id) {
				return false
			}
		}
	}
	left := p.headLength
	for n := p.headChunk; left > 0 && n < uint64(len(c.heads[p.layer])); n++ {
		if c.leave[p.layer][n] {
			return false
		}
		length := int64(c.heads[p.layer][n].length)
		if n == p.headChunk {
			length -= p.headOffset
		}
		left -= length
	}
	return true
}

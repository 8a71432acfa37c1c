package repo

import (
	"context"
	"fmt"
)

// usage says what of every listed pack is needed. Of a blob with several copies one is chosen.
type usage struct {
	packs     []packUse
	numbers   map[packID]uint32
	again     []packCell    // packs that another segment lists too
	elsewhere map[ID]uint32 // number of the pack whose copy was chosen, of blobs with copies in several packs
}

// packUse is what is chosen of a pack.
type packUse struct {
	packCell
	marked  bool
	suspect bool   // in quarantine
	chosen  uint32 // blobs
	bytes   int64  // of these, sealed
}

// poor says that another copy of a blob is better.
func (use packUse) poor() bool { return use.marked || use.suspect }

// use finds out what is needed of which pack: one pass over all blobs that segments list, in the order of their IDs. Copies in packs
// that are neither marked nor in quarantine are preferred. It tells chosen of every copy: which of the needed blobs it is of, and its sealed bytes. The error matches ErrNotFound when a
// needed blob is in no pack. It holds some 150 bytes for each pack.
func (r *Repository) use(ctx context.Context, n *needed, marked map[packID]bool, chosen func(at int, sealed uint32)) (u *usage, err error) {
	n.sort()
	err = r.search(ctx, func() error {
		u = &usage{numbers: map[packID]uint32{}, elsewhere: map[ID]uint32{}}
		return u.count(ctx, r.blobs, n, marked, chosen)
	})
	return u, err
}

func (u *usage) count(ctx context.Context, l *lookup, n *needed, marked map[packID]bool, chosen func(at int, sealed uint32)) error {
	sources, dead, release := l.frozen()
	defer release()
	m := &merge{dead: dead}
	for _, s := range sources {
		from, err := u.number(s, dead, marked, l.c.suspect)
		if err != nil {
			return err
		}
		m.from = append(m.from, from)
	}
	wanted, found, missing := n.prefixes, 0, l.c.missing
	var group []copyOf // of one blob
	flush := func() {
		if len(group) > 0 {
			chosen(len(n.prefixes)-len(wanted), u.choose(group).sealed)
			group = group[:0]
		}
	}
	err := m.inOrder(func(s *mergeSource) error {
		id := ID(s.entry()[:32])
		if len(group) > 0 && group[0].id != id {
			flush()
		}
		for len(wanted) > 0 && wanted[0] < s.prefix {
			wanted = wanted[1:]
		}
		if len(wanted) == 0 || wanted[0] != s.prefix {
			return ctx.Err()
		}
		if len(group) == 0 {
			found++
		}
		e := parseEntry(s.entry())
		group = append(group, copyOf{id, s.pack, e.sealed, u.packs[s.pack].poor() || missing[e.epoch]})
		return nil
	})
	flush()
	if missing := len(n.prefixes) - found - n.unlisted(l); err == nil && missing > 0 {
		err = fmt.Errorf("%d blobs that snapshots need are in no pack: %w", missing, ErrNotFound)
	}
	return err
}

// unlisted counts the needed blobs that repair found to be lost, and that nobody lists.
func (n *needed) unlisted(l *lookup) (count int) {
	for id := range l.c.gone {
		if !n.has(prefixOf(id)) {
			continue
		}
		listed := false
		err := l.c.search(id, func(s searched, e entry) (more bool, err error) {
			listed, err = l.c.live(s, e)
			return !listed, err
		})
		if !listed && err == nil {
			count++
		}
	}
	return count
}

// number gives the packs of a source their numbers, the same one wherever a pack is listed.
func (u *usage) number(s source, dead map[uint32]bool, marked, suspect map[packID]bool) (*mergeSource, error) {
	from := &mergeSource{entries: s.allEntries()}
	for p, err := range packsOf(s) {
		if err != nil {
			return nil, err
		}
		if dead[p.segment] {
			from.moved = append(from.moved, leftOut)
			continue
		}
		n, known := u.numbers[p.id]
		if !known {
			n = uint32(len(u.packs))
			u.numbers[p.id] = n
			u.packs = append(u.packs, packUse{packCell: p, marked: marked[p.id], suspect: suspect[p.id]})
		} else {
			u.again = append(u.again, p)
		}
		from.moved = append(from.moved, n)
	}
	return from, nil
}

// bytesOf adds up the packs that are listed.
func (u *usage) bytesOf(packs []packID) (sum int64) {
	for _, id := range packs {
		if n, listed := u.numbers[id]; listed {
			sum += u.packs[n].size
		}
	}
	return sum
}

// listedBy returns the numbers of the segments that list a pack.
func (u *usage) listedBy(id packID) (segments []uint32) {
	n, listed := u.numbers[id]
	if !listed {
		return nil
	}
	segments = append(segments, u.packs[n].segment)
	for _, p := range u.again {
		if p.id == id {
			segments = append(segments, p.segment)
		}
	}
	return segments
}

// copyOf is a copy of a blob.
type copyOf struct {
	id     ID
	pack   uint32 // number
	sealed uint32 // bytes
	poor   bool   // its pack is marked or in quarantine, or the key of its epoch is not stored
}

// choose takes the first copy that is not poor, or else the first one.
func (u *usage) choose(copies []copyOf) copyOf {
	best := copies[0]
	for _, c := range copies[1:] {
		if c.pack != best.pack {
			u.elsewhere[c.id] = 0
			if best.poor && !c.poor {
				best = c
			}
		}
	}
	if _, several := u.elsewhere[best.id]; several {
		u.elsewhere[best.id] = best.pack
	}
	u.packs[best.pack].chosen++
	u.packs[best.pack].bytes += int64(best.sealed)
	return best
}

// chose reports whether the copy of a needed blob in a pack is the one that was chosen.
func (u *usage) chose(id ID, pack uint32) bool {
	n, several := u.elsewhere[id]
	return !several || n == pack
}

package repo

import (
	"context"
	"slices"
)

// settle deletes the packs of ripe marks that hold nothing chosen, takes them out of the segments, and then the marks away.
func (p *Prune) settle(ctx context.Context, u *usage, progress CheckProgress) error {
	var settled []mark
	deleted := map[packID]bool{}
	var rest []mark
	for _, m := range p.marks {
		if !m.ripe(p.runs) {
			rest = append(rest, m)
			p.report.WaitingBytes += u.bytesOf(m.packs)
			continue
		}
		refused := false
		for _, id := range m.packs {
			n, listed := u.numbers[id]
			if listed && u.packs[n].chosen > 0 {
				continue // needed after all: released
			}
			gone, err := p.Delete(ctx, id.object())
			if err != nil {
				return err
			}
			if !gone {
				p.report.Refused++
				p.report.WaitingBytes += u.bytesOf([]packID{id})
				refused = true
				continue
			}
			deleted[id] = true
			p.report.Deleted++
			if listed {
				p.report.Freed += u.packs[n].size
				progress.Add(1, u.packs[n].size)
			}
		}
		if refused {
			rest = append(rest, m)
		} else {
			settled = append(settled, m)
		}
	}
	if err := p.unlist(ctx, u, deleted); err != nil {
		return err
	}
	for _, m := range settled {
		for _, name := range []string{marksPrefix + m.name, marksPrefix + m.name + noteSuffix} {
			if gone, err := p.Delete(ctx, name); err != nil {
				return err
			} else if !gone {
				p.report.Refused++
			}
		}
		for _, id := range m.packs {
			if n, listed := u.numbers[id]; listed {
				u.packs[n].marked = false
			}
		}
	}
	p.marks = rest
	for id := range deleted {
		if n, listed := u.numbers[id]; listed {
			u.packs[n].marked = true // gone: not to be looked at again
		}
	}
	return nil
}

// smallSegment is the number of blobs below which a segment joins others when segments are rewritten.
const smallSegment = 4096

// unlist puts new segments in the place of those that list deleted packs, and of small ones, and deletes these.
func (p *Prune) unlist(ctx context.Context, u *usage, deleted map[packID]bool) error {
	left, err := p.deleteSuperseded(ctx)
	if err != nil || len(deleted) == 0 {
		return err
	}
	affected := map[uint32]bool{}
	for id := range deleted {
		for _, segment := range u.listedBy(id) {
			affected[segment] = true
		}
	}
	var old []string
	p.r.blobs.change(func(c *collection) {
		for name, s := range c.segments {
			if s.live && (affected[s.number] || s.blobs < smallSegment) {
				old = append(old, name)
			}
		}
	})
	slices.Sort(old)
	next, size := segment{}, 0
	flush := func() error {
		if len(next.supersedes) == 0 {
			return nil
		}
		if err := p.publishSegment(ctx, next); err != nil {
			return err
		}
		next, size = segment{}, 0
		return nil
	}
	for _, name := range old {
		s, err := p.r.readSegment(ctx, name)
		if err != nil {
			return err
		}
		s.packs = slices.DeleteFunc(s.packs, func(r packRecord) bool { return deleted[r.id] })
		s.supersedes = append(slices.DeleteFunc(s.supersedes, func(name string) bool { return !left[name] }), name)
		more := len(s.marshal())
		if size+more > segmentRoom || len(next.supersedes)+len(s.supersedes) > maxSuperseded {
			if err := flush(); err != nil {
				return err
			}
		}
		next.supersedes, next.packs, size = append(next.supersedes, s.supersedes...), append(next.packs, s.packs...), size+more
	}
	return flush()
}

// deleteSuperseded deletes the segments that others have taken the place of, which a prune that was cut off left. It returns those that
// cannot be deleted: they must stay superseded, or else they would be read again.
func (p *Prune) deleteSuperseded(ctx context.Context) (left map[string]bool, err error) {
	var names []string
	p.r.blobs.change(func(c *collection) {
		for name, s := range c.segments {
			if !s.live && !s.absent {
				names = append(names, name)
			}
		}
	})
	left = map[string]bool{}
	for _, name := range names {
		gone, err := p.Delete(ctx, name)
		if err != nil {
			return nil, err
		}
		if !gone {
			left[name] = true
		}
	}
	return left, nil
}

const maxSuperseded = 1<<16 - 1 // segments that one takes the place of

// publishSegment publishes a segment, makes it known here, and deletes those that it takes the place of.
func (p *Prune) publishSegment(ctx context.Context, s segment) error {
	if err := p.lock.held(ctx); err != nil {
		return err
	}
	if err := p.r.PutObject(ctx, KindSegment, p.move.nextSegment(), s.marshal()); err != nil {
		return err
	}
	// From here on the old ones are not read any more.
	for _, name := range s.supersedes {
		if gone, err := p.Delete(ctx, name); err != nil {
			return err
		} else if !gone {
			p.report.Refused++
		}
	}
	return nil
}

// markedPacks are the packs of all marks.
func markedPacks(marks []mark) map[packID]bool {
	all := map[packID]bool{}
	for _, m := range marks {
		for _, id := range m.packs {
			all[id] = true
		}
	}
	return all
}

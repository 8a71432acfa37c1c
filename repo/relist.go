package repo

import (
	"context"
	"slices"
	"strings"
)

// Segments lists the packs that no segment lists in a new one. Objects that are unreadable for good are then done without, as far as they may be.
func (p *Repair) Segments(ctx context.Context) error {
	found, err := p.unlisted(ctx)
	if err != nil {
		return err
	}
	for len(found) > 0 {
		n := segmentBatch(found)
		name := p.run.nextSegment()
		if err := p.r.PutObject(ctx, KindSegment, name, segment{packs: found[:n]}.marshal()); err != nil {
			return err
		}
		p.check.segments = append(p.check.segments, name)
		p.report.Found += int64(n)
		found = found[n:]
	}
	if err := p.doWithout(ctx); err != nil {
		return err
	}
	return p.r.Refresh(ctx)
}

// unlisted returns what a segment says of the packs that none lists, as far as their tables are whole.
func (p *Repair) unlisted(ctx context.Context) (found []packRecord, err error) {
	for id, at := range p.check.stored {
		if at.listed {
			continue
		}
		record, whole, err := p.r.recordOf(ctx, id)
		if err != nil {
			return nil, err
		}
		if record.table == nil {
			continue // nobody knows what it holds
		}
		if found = append(found, record); !whole {
			p.check.bad[id] = packDamaged
		}
	}
	slices.SortFunc(found, func(a, b packRecord) int { return slices.Compare(a.id[:], b.id[:]) })
	return found, nil
}

// doWithout decides what becomes of objects that are unreadable for good, or leaves it to the caller.
func (p *Repair) doWithout(ctx context.Context) error {
	for _, name := range p.report.Check.givenUp {
		p.q.objects[name] = true
	}
	for _, name := range p.report.Check.unreadable {
		switch {
		case strings.HasPrefix(name, segmentsPrefix), strings.HasPrefix(name, epochsPrefix): // of an epoch both copies are
			p.q.objects[name] = true
		case strings.HasPrefix(name, marksPrefix): // without its mark prune deletes nothing
			mark := strings.TrimSuffix(name, noteSuffix)
			p.q.objects[mark], p.q.objects[mark+noteSuffix] = true, true
		case strings.HasSuffix(name, endSuffix):
			// An end says nothing but that the run is over.
			if err := p.ReplaceObject(ctx, KindEnd, name, endBody(Abandoned, p.started)); err != nil {
				return err
			}
			p.report.Healed++
		default:
			p.report.Objects = append(p.report.Objects, name)
		}
	}
	return nil
}

// recordOf reads a pack and returns what a segment says of it: nothing when its table is damaged. whole is false when something else of it is.
func (r *Repository) recordOf(ctx context.Context, id packID) (record packRecord, whole bool, err error) {
	name := id.object()
	verify, limit := r.verifier(name)
	raw, err := getWhole(ctx, r.st, name, limit, verify)
	if whole = err == nil; !whole && ctx.Err() == nil {
		raw, err = r.st.Get(ctx, name, limit)
	}
	if err != nil { // gone, or beyond reading
		return packRecord{}, false, ctx.Err()
	}
	class, table, err := r.keys.parsePack(name, raw)
	if err != nil {
		return packRecord{}, false, nil
	}
	return packRecord{id, class, int64(len(raw)), table}, whole, nil
}

package repo

import (
	"context"
	"errors"
)

// Salvage moves what is whole in damaged packs to new ones, as far as it can be opened: structure always, content with the recovery key.
func (p *Repair) Salvage(ctx context.Context) error {
	if err := p.distrust(ctx); err != nil || len(p.q.packs) == 0 {
		return err
	}
	p.r.blobs.change(func(c *collection) { c.distrust(c.marked, p.q.packs, nil) })
	var suspects []ID // not whole, or not known to be, in a bad pack
	unopened := map[ID]bool{}
	for record, err := range p.check.listed(ctx) {
		if err != nil {
			return err
		}
		if !p.q.packs[record.id] {
			continue
		}
		var raw []byte
		if p.check.bad[record.id] == packDamaged {
			if raw, err = readDamaged(ctx, p.r.st, record.id.object(), record.size); err != nil {
				return err
			}
		}
		for i := range record.table.len() {
			e := record.table.entry(i)
			whole, err := p.salvage(ctx, record, e, raw)
			if err != nil && !errors.Is(err, ErrNeedKey) {
				return err
			}
			if unopened[e.id] = err != nil; !whole {
				suspects = append(suspects, e.id)
			}
		}
	}
	if err := p.run.Checkpoint(ctx); err != nil {
		return err
	}
	for _, id := range suspects {
		known, err := p.r.known(ctx, id)
		switch {
		case err != nil:
			return err
		case known:
		case unopened[id]:
			p.report.InDanger++
		default:
			p.q.blobs[id] = true
		}
	}
	return nil
}

// distrust puts the packs that are missing or damaged into quarantine, and those whose epoch key is lost.
func (p *Repair) distrust(ctx context.Context) error {
	if len(p.check.bad)+len(p.check.lostEpochs) == 0 {
		return nil
	}
	for record, err := range p.check.listed(ctx) {
		if err != nil {
			return err
		}
		for i := range record.table.epochs() {
			if p.check.lostEpochs[record.table.epoch(uint16(i))] && p.check.bad[record.id] == 0 {
				p.check.bad[record.id] = packDamaged
			}
		}
		if p.check.bad[record.id] != 0 {
			p.q.packs[record.id] = true
		}
	}
	return nil
}

// salvage moves a blob of a damaged pack, if it is whole and nowhere else.
func (p *Repair) salvage(ctx context.Context, record packRecord, e tableEntry, raw []byte) (whole bool, err error) {
	if raw == nil {
		return false, nil
	}
	epochID := record.table.epochOf(e)
	if p.check.lostEpochs[epochID] {
		return false, nil
	}
	key, err := p.r.blobKey(ctx, record.class, epochID)
	if err != nil {
		return false, err
	}
	sealed := raw[e.offset : e.offset+e.sealed]
	if _, err := p.r.openEntry(record.class, e.id, int(e.plain), key, sealed, nil); err != nil {
		if errors.Is(err, ErrCorrupt) || errors.Is(err, ErrUnsupported) {
			return false, ctx.Err()
		}
		return false, err
	}
	known, err := p.run.claim(ctx, e.id)
	if known || err != nil {
		return true, err
	}
	var epoch *[16]byte
	if record.class == Content {
		epoch = &epochID
	}
	p.report.Moved++
	if full := p.run.append(record.class, epoch, e.id, sealed, int(e.plain)); full != nil {
		return true, p.run.write(ctx, full)
	}
	return true, nil
}

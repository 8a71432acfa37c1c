package repo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/orthokeep/orthokeep/repo/storage"
)

const (
	smallPack = 4  // a pack below a quarter of the pack size is small
	manySmall = 32 // as many small packs of a class are repacked
)

// repack moves what is chosen of mostly unused packs, the worst first, until no more is unused than may be, and of small packs where
// there are many. The old packs have nothing chosen any more.
func (p *Prune) repack(ctx context.Context, u *usage, n *needed, o SpaceOptions, progress CheckProgress) error {
	moved := 0
	candidates := u.candidates(p.r.cfg.PackSize, o)
	if len(candidates) > 0 {
		if err := p.announce(ctx); err != nil {
			return err
		}
	}
	for _, number := range candidates {
		use := &u.packs[number]
		done, err := p.movePack(ctx, u, n, uint32(number))
		if err != nil {
			return err
		}
		if !done {
			continue
		}
		progress.Add(1, use.size)
		use.chosen, use.bytes = 0, 0
		moved++
	}
	if moved == 0 {
		return nil
	}
	if err := p.lock.held(ctx); err != nil {
		return err
	}
	err := p.move.Checkpoint(ctx)
	p.report.Moved = p.move.BytesAdded()
	return err
}

// candidates are the numbers of the packs to be moved.
func (u *usage) candidates(packSize int, o SpaceOptions) (numbers []int) {
	var total, unused int64
	small := map[Class][]int{}
	var partly []int
	for i, use := range u.packs {
		if use.poor() || use.chosen == 0 {
			continue
		}
		total += use.size
		if use.chosen < use.blobs {
			unused += use.unused()
			partly = append(partly, i)
		}
		if use.size < int64(packSize/smallPack) {
			small[use.class] = append(small[use.class], i)
		}
	}
	slices.SortFunc(partly, func(a, b int) int {
		return cmp.Compare(float64(u.packs[a].bytes)/float64(u.packs[a].size), float64(u.packs[b].bytes)/float64(u.packs[b].size))
	})
	chosen := map[int]bool{}
	var bytes int64
	take := func(i int) bool {
		if o.MaxMove > 0 && bytes+u.packs[i].bytes > o.MaxMove {
			return false
		}
		if !chosen[i] {
			chosen[i], bytes = true, bytes+u.packs[i].bytes
			numbers = append(numbers, i)
		}
		return true
	}
	for _, i := range partly {
		if float64(unused) <= o.MaxUnused*float64(total) || !take(i) {
			break
		}
		unused, total = unused-u.packs[i].unused(), total-u.packs[i].unused()
	}
	for _, class := range []Class{Structure, Content} {
		if len(small[class]) < manySmall {
			continue
		}
		for _, i := range small[class] {
			if !take(i) {
				break
			}
		}
	}
	return numbers
}

// unused is the bytes of a pack that nobody needs.
func (use packUse) unused() int64 {
	if use.chosen == use.blobs {
		return 0
	}
	return max(0, use.size-use.bytes-int64(use.chosen)*tableBlob)
}

// movePack copies the chosen blobs of a pack, sealed as they are, to the packs that are being written. A pack that is damaged or gone stays as
// it is: check names it.
func (p *Prune) movePack(ctx context.Context, u *usage, n *needed, number uint32) (done bool, err error) {
	id := u.packs[number].id
	raw, err := p.r.st.Get(ctx, id.object(), maxPack)
	if errors.Is(err, storage.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read pack %.8s: %w", id, err)
	}
	if hashPack(raw) != id {
		return false, nil
	}
	class, table, err := p.r.keys.parsePack(id.object(), raw)
	if errors.Is(err, ErrCorrupt) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	for i := range table.len() {
		e := table.entry(i)
		if !n.has(prefixOf(e.id)) || !u.chose(e.id, number) {
			continue
		}
		var epochID *[16]byte
		if e.epoch != structureEpoch {
			id := table.epoch(e.epoch)
			epochID = &id
		}
		if full := p.move.append(class, epochID, e.id, raw[e.offset:e.offset+e.sealed], int(e.plain)); full != nil {
			if err := p.move.write(ctx, full); err != nil {
				return false, err
			}
		}
	}
	return true, nil
}

// mark publishes a mark of the packs that hold nothing chosen, and then its note.
func (p *Prune) mark(ctx context.Context, u *usage) error {
	var packs []packID
	for _, use := range u.packs {
		switch {
		case use.marked:
		case use.chosen == 0:
			packs = append(packs, use.id)
			p.report.WaitingBytes += use.size
		default:
			p.report.Unused += use.unused()
		}
	}
	unlisted, err := p.unlisted(ctx, u)
	if err != nil {
		return err
	}
	for id, size := range unlisted {
		packs = append(packs, id)
		p.report.WaitingBytes += size
	}
	slices.SortFunc(packs, func(a, b packID) int { return slices.Compare(a[:], b[:]) })
	p.report.Waiting += int64(len(packs))
	for part := range slices.Chunk(packs, maxMarked) {
		if err := p.markAndNote(ctx, part); err != nil {
			return err
		}
	}
	return nil
}

func (p *Prune) markAndNote(ctx context.Context, packs []packID) error {
	if err := p.lock.held(ctx); err != nil {
		return err
	}
	name := StampedName(p.started)
	if err := p.r.putMark(ctx, name, packs, p.started); err != nil {
		return err
	}
	// The mark is there: every run that begins from here on reads it. Those that began before are noted.
	runs, err := p.r.Runs(ctx)
	if err != nil {
		return err
	}
	if err := p.lock.held(ctx); err != nil {
		return err
	}
	return p.r.putNote(ctx, name, underWay(p.others(runs)))
}

// unlisted returns the packs that are in no segment, and their sizes: none while there is a run without an end, whose packs may be listed in
// a moment. That holds for a run that was given up, too: if it lives after all it may list packs that are gone by then.
func (p *Prune) unlisted(ctx context.Context, u *usage) (map[packID]int64, error) {
	if p.anyWithoutEnd(p.runs) {
		return nil, nil
	}
	found, marked := map[packID]int64{}, markedPacks(p.marks)
	for o, err := range p.r.st.List(ctx, "packs/") {
		if err != nil {
			return nil, fmt.Errorf("list packs/: %w", err)
		}
		id, ok := parsePackName(o.Name)
		if _, listed := u.numbers[id]; ok && !listed && !marked[id] {
			found[id] = o.Size
		}
	}
	if len(found) == 0 {
		return nil, nil
	}
	// What was written meanwhile, by this prune or by others, is listed by now, or belongs to a run under way.
	runs, err := p.r.Runs(ctx)
	if err != nil || p.anyWithoutEnd(runs) {
		return nil, err
	}
	if err := p.r.Refresh(ctx); err != nil {
		return nil, err
	}
	return found, p.r.search(ctx, func() error { return p.r.blobs.walk(listedIn(found)) })
}

// listedIn takes the packs that are listed out of a map.
type listedIn map[packID]int64

func (all listedIn) pack(c packCell) error { delete(all, c.id); return nil }
func (listedIn) blob(entry) error          { return nil }

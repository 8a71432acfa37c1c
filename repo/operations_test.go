package repo

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
)

func checkOnce(ctx context.Context, p *place) error {
	r, err := p.open(ctx)
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = r.Check(ctx, CheckOptions{ReadData: All()}, noProgress{})
	return err
}

// repairOnce is a repair as package snapshot makes it.
func repairOnce(ctx context.Context, p *place) error {
	return repairWith(ctx, p, func() error { return nil })
}

// repairOverDamage is a repair whose catalogue is damaged meanwhile.
func repairOverDamage(ctx context.Context, p *place) error {
	return repairWith(ctx, p, func() error {
		paths, err := filepath.Glob(filepath.Join(p.cache, volumePrefix+"*"))
		for _, path := range paths {
			err = errors.Join(err, os.Truncate(path, 0))
		}
		return err
	})
}

// repairWith does something else before it salvages.
func repairWith(ctx context.Context, p *place, meanwhile func() error) error {
	r, err := p.open(ctx)
	if err != nil {
		return err
	}
	defer r.Close()
	x, err := r.BeginRepair(ctx, "h", p.later())
	if err != nil {
		return err
	}
	err = x.Objects(ctx, true, noProgress{})
	for _, step := range []func(context.Context) error{
		x.Segments,
		func(context.Context) error { return meanwhile() },
		x.Salvage,
		func(ctx context.Context) error { return x.Quarantine(ctx, nil, nil) },
	} {
		if err == nil {
			err = step(ctx)
		}
	}
	return errors.Join(err, x.End(context.WithoutCancel(ctx), err == nil, p.now))
}

// pruneOnce is a prune as package snapshot makes it. What must be readable is needed, and what must be nothing else.
func pruneOnce(ctx context.Context, p *place) error {
	r, err := Open(ctx, p.st, Credentials{Writer: p.keys.Writer}, p.cache)
	if err != nil {
		return err
	}
	defer r.Close()
	x, err := r.BeginPrune(ctx, "h", p.later(), func(PruneHolder) Takeover { return WasKilled })
	if err != nil {
		return err
	}
	err = x.ListRuns(ctx)
	if err == nil {
		x.Leftovers(p.over)
		_, err = x.Space(ctx, SpaceOptions{}, true, func(need func(ID)) error {
			for id := range p.must {
				need(id)
			}
			return nil
		}, noProgress{})
	}
	return errors.Join(err, x.End(context.WithoutCancel(ctx)))
}

func readOnce(ctx context.Context, p *place) error {
	r, err := p.open(ctx)
	if err != nil {
		return err
	}
	defer r.Close()
	x, err := r.BeginReading(ctx, RunInfo{Kind: "restore", Started: p.later()})
	if err != nil {
		return err
	}
	return x.End(context.WithoutCancel(ctx), p.now)
}

// changeOnce wants parity. Where it cannot have it, what is written has none.
func changeOnce(ctx context.Context, p *place) error {
	r, err := p.open(ctx)
	if err != nil {
		return err
	}
	defer r.Close()
	before := r.Settings()
	if before.Parity == 5 { // a change that was reported as failed
		return nil
	}
	if err := r.Change(ctx, Settings{Parity: 5}); err != nil {
		if r.Settings() != before {
			return errors.New("settings that were not changed are in use")
		}
		return err
	}
	return nil
}

// damagedSlightly has damage of every kind that a parity of the same length as the object heals, or a second copy.
func damagedSlightly(p *place) {
	for range 2 {
		p.store(Content, 5)
		p.store(Structure, 4)
	}
	for i, name := range p.names("packs/") {
		switch i % 4 {
		case 0:
			p.spoil(name, removed)
		case 1:
			p.spoil(name, cutOff)
		case 2:
			p.spoil(name, turned)
		default:
			p.spoil(parityPrefix+name, turned)
		}
	}
	segments := p.names(segmentsPrefix)
	p.spoil(segments[0], turned)
	p.spoil(segments[1], removed)
	for _, epoch := range p.names(epochsPrefix + "a/") {
		p.spoil(epoch, removed)
		p.spoil(parityPrefix+epoch, removed)
	}
	for _, name := range p.names(runsPrefix) {
		if strings.HasSuffix(name, endSuffix) {
			p.spoil(name, removed)
			break
		}
	}
	p.giveUp()
}

// giveUp has an object in quarantine: a label that nobody can read.
func (p *place) giveUp() {
	p.t.Helper()
	r := p.mustOpen()
	defer r.Close()
	const label = "labels/x"
	err := r.PutObject(p.t.Context(), KindLabel, label, []byte("{}"))
	if err == nil {
		err = r.putQuarantine(p.t.Context(), quarantine{objects: map[string]bool{label: true}}, p.later())
	}
	if err != nil {
		p.t.Fatal(err)
	}
	p.spoil(label, turned)
	if r.settings.Parity > 0 {
		p.spoil(parityPrefix+label, removed)
	}
}

// withoutAPack has lost a pack, and nothing else.
func withoutAPack(p *place) {
	p.losePack(p.store(Content, 8)[7])
	p.store(Structure, 3)
}

// damagedForGood has no parity, and damage that loses something: parts of packs, of which the rest fills another one, a whole pack, a segment, the
// end of a run, a mark.
func damagedForGood(p *place) {
	first := p.store(Content, 12)
	second := p.store(Structure, 7)
	p.store(Content, 5)
	p.lose(first[0])
	p.lose(first[4])
	p.lose(second[0])
	p.losePack(first[len(first)-1])
	r := p.mustOpen()
	defer r.Close()
	if err := r.putMark(p.t.Context(), "unreadable", nil, at); err != nil {
		p.t.Fatal(err)
	}
	for _, name := range []string{p.names(segmentsPrefix)[0], p.names(marksPrefix)[0]} {
		p.spoil(name, turned)
	}
	for _, name := range p.names(runsPrefix) {
		if strings.HasSuffix(name, endSuffix) {
			p.spoil(name, turned)
		}
	}
}

// muchToPrune leaves everything to a prune: a quarantine of which nothing is needed any more, objects in it, a mark that may be settled,
// segments that others have taken the place of, a root of a run that is over, and packs of which a part is needed.
func muchToPrune(p *place) {
	damagedForGood(p)
	if err := repairOnce(p.t.Context(), p); err != nil {
		p.t.Fatal(err)
	}
	p.forgetSome()
	if err := pruneOnce(p.t.Context(), p); err != nil {
		p.t.Fatal(err)
	}
	p.giveUp()
	p.forgetSome()
	p.leaveBehind()
	p.store(Content, 4)
	p.store(Structure, 4)
}

// forgetSome needs every third blob no more.
func (p *place) forgetSome() {
	for i, id := range p.inOrder() {
		if i%3 == 0 {
			delete(p.must, id)
		}
	}
}

// leftBehind is what prunes and runs that were cut off leave.
func leftBehind(p *place) {
	p.store(Content, 7)
	p.store(Structure, 3)
	p.forgetSome()
	p.leaveBehind()
}

// leaveBehind leaves a root that was not published, and segments that another one has taken the place of.
func (p *place) leaveBehind() {
	p.t.Helper()
	r := p.mustOpen()
	defer r.Close()
	p.over = []string{"pending/x"}
	if err := r.PutObject(p.t.Context(), KindRoot, p.over[0], nil); err != nil {
		p.t.Fatal(err)
	}
	var all segment
	for _, name := range p.names(segmentsPrefix) {
		s, err := r.readSegment(p.t.Context(), name)
		if err != nil {
			p.t.Fatal(err)
		}
		all.supersedes, all.packs = append(append(all.supersedes, s.supersedes...), name), append(all.packs, s.packs...)
	}
	if err := r.PutObject(p.t.Context(), KindSegment, segmentsPrefix+"merged", all.marshal()); err != nil {
		p.t.Fatal(err)
	}
}

// crashedReading leaves a reading that a crash has ended.
func crashedReading(p *place) {
	p.store(Content, 2)
	r := p.mustOpen()
	defer r.Close()
	x, err := r.BeginReading(p.t.Context(), RunInfo{Kind: "restore", Started: at})
	if err == nil {
		err = x.lock.Unlock() // as the end of its process does
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

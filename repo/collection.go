package repo

import (
	"cmp"
	"errors"
	"maps"
	"math/bits"
	"slices"
)

// collection is the packs that segments list, as far as they have been imported. The lock of its lookup guards it: to search
// it takes that for reading, all else needs it whole.
type collection struct {
	dir     string // where its volumes lie; empty: in private files
	volumes []*volume
	recent  *recent
	limit   int    // blobs that recent may hold
	most    uint64 // blobs of a volume that may be made
	manifest
	missing map[uint32]bool // numbers of epochs of packs here whose keys are not stored
	marked  map[packID]bool // packs that prune wants to delete, and those in quarantine
	suspect map[packID]bool // packs in quarantine: missing or damaged
	gone    map[ID]bool     // blobs that repair found whole nowhere
	broken  error           // a merge has found damage
}

const (
	recentLimit = 1 << 17 // blobs: 10 MB
	promptMerge = 1 << 20 // blobs of a volume that is made while somebody waits, half a second
	firstTier   = 12      // volumes below 1<<firstTier blobs are of the lowest tier
	tierBits    = 2
	perTier     = 1 << tierBits // volumes of a tier become one
)

func newCollection(dir string) *collection {
	return &collection{dir: dir, recent: &recent{}, limit: recentLimit, most: maxBlobs, manifest: newManifest(), missing: map[uint32]bool{}}
}

// searched is a volume, or what is recent.
type searched interface {
	find(id ID, visit func(entry) (more bool, err error)) (more bool, err error)
	pack(n uint32) (packCell, error)
}

// search calls visit for each copy of a blob, whoever lists it, until visit wants no more.
func (c *collection) search(id ID, visit func(searched, entry) (more bool, err error)) error {
	more, err := c.recent.find(id, func(e entry) (bool, error) { return visit(c.recent, e) })
	for i := 0; more && err == nil && i < len(c.volumes); i++ {
		v := c.volumes[i]
		more, err = v.find(id, func(e entry) (bool, error) { return visit(v, e) })
	}
	return err
}

// live reports whether the segment that lists a copy is not superseded.
func (c *collection) live(s searched, e entry) (bool, error) {
	if len(c.dead) == 0 {
		return true, nil
	}
	p, err := s.pack(e.pack)
	return err == nil && !c.dead[p.segment], err
}

// distrust replaces what is not to be relied on.
func (c *collection) distrust(marked, suspect map[packID]bool, gone map[ID]bool) {
	c.marked, c.suspect, c.gone = maps.Clone(marked), suspect, gone
	maps.Copy(c.marked, suspect)
}

// usable reports whether a copy may be relied on: its segment is live, its pack is not marked, and the key of its epoch is stored.
func (c *collection) usable(s searched, e entry) (bool, error) {
	if c.missing[e.epoch] {
		return false, nil
	}
	if len(c.dead)+len(c.marked) == 0 {
		return true, nil
	}
	p, err := s.pack(e.pack)
	return err == nil && !c.dead[p.segment] && !c.marked[p.id], err
}

// add takes over the packs of a segment, which then is live. Keys are the epochs whose keys are stored; nil says that all of these packs are.
func (c *collection) add(name string, packs []packRecord, keys map[[16]byte]bool) {
	state := segmentState{live: true}
	if len(packs) > 0 {
		state.number = c.number()
	}
	for _, p := range packs {
		var epochs []uint32
		for i := range p.table.epochs() {
			id := p.table.epoch(uint16(i))
			n := c.epochNumber(id)
			if keys != nil && !keys[id] {
				c.missing[n] = true
			}
			epochs = append(epochs, n)
		}
		c.recent.add(p, state.number, epochs)
		state.blobs += uint32(p.table.len())
	}
	c.set(name, state)
	if c.recent.blobs() >= c.limit {
		c.spill()
	}
}

// setKeys is told of all epochs whose keys are stored.
func (c *collection) setKeys(stored map[[16]byte]bool) {
	c.missing = map[uint32]bool{}
	for id, n := range c.epochs {
		if !stored[id] {
			c.missing[n] = true
		}
	}
}

// spill moves what is recent into a volume, together with the volumes that it is time to merge. Where there is no place for that, into
// a volume of its own; where dir does not take that either, into a private one, and then all that follow are private; and where nothing
// does it stays in memory, and is tried again when it has doubled.
func (c *collection) spill() {
	due := c.due()
	if len(due) == 0 && c.recent.blobs() == 0 {
		return
	}
	all := len(due) == len(c.volumes)
	err := c.merge(due)
	if err == nil && all {
		c.buried()
	}
	if errors.Is(err, errDerived) {
		c.broken = err
	}
	if err != nil && c.recent.blobs() > 0 {
		err = c.merge(nil)
	}
	if err != nil && c.recent.blobs() > 0 && c.dir != "" {
		c.dir = ""
		_ = c.merge(nil)
	}
	c.limit = max(recentLimit, 2*c.recent.blobs())
}

// due returns the volumes that are to be merged, together with what is recent: when there are enough of a tier, these and all that are
// smaller, and so on with what that makes. When much is dead, all of them.
func (c *collection) due() []*volume {
	if c.mostlyDead() {
		return slices.Clone(c.volumes)
	}
	first, merged := len(c.volumes), uint64(c.recent.blobs()) // from there on they are merged, to a volume of so many
	for i, tier := len(c.volumes), 0; i > 0; tier++ {
		same := i
		for ; i > 0 && tierOf(uint64(c.volumes[i-1].blobs)) == tier; i-- {
		}
		same -= i
		if merged > 0 && tierOf(merged) == tier {
			same++
		}
		if all := uint64(c.recent.blobs()) + blobsOf(c.volumes[i:]); same >= perTier && all <= c.most {
			first, merged = i, all
		}
	}
	return slices.Clone(c.volumes[first:])
}

func sourcesOf(volumes []*volume) (out []source) {
	for _, v := range volumes {
		out = append(out, v)
	}
	return out
}

// merge makes a volume of what is recent and of the volumes old, and puts it in their place.
func (c *collection) merge(old []*volume) error {
	sources := sourcesOf(old)
	if c.recent.blobs() > 0 {
		sources = append(sources, c.recent)
	}
	merged, err := writeVolume(c.dir, sources, c.dead)
	if err != nil {
		return err
	}
	c.recent.reset()
	c.volumes = slices.DeleteFunc(slices.Clone(c.volumes), func(v *volume) bool { return slices.Contains(old, v) })
	if merged != nil {
		c.volumes = append(c.volumes, merged)
	}
	c.sortVolumes()
	c.rearranged = true
	for _, v := range old {
		v.release()
	}
	return nil
}

// sortVolumes puts those first that are most likely to hold a blob.
func (c *collection) sortVolumes() {
	slices.SortFunc(c.volumes, func(a, b *volume) int { return cmp.Compare(b.blobs, a.blobs) })
}

// mostlyDead reports whether a quarter of the blobs belong to segments that are superseded.
func (c *collection) mostlyDead() bool {
	all, dead := blobsOf(c.volumes), uint64(0)
	if len(c.dead) == 0 || all > c.most {
		return false
	}
	for _, s := range c.segments {
		if s.number != 0 && !s.live {
			dead += uint64(s.blobs)
		}
	}
	return dead*4 >= all
}

func blobsOf(volumes []*volume) (n uint64) {
	for _, v := range volumes {
		n += uint64(v.blobs)
	}
	return n
}

// tierOf grows with the logarithm of a number of blobs to the base of perTier.
func tierOf(blobs uint64) int { return (bits.Len64(blobs>>firstTier) + tierBits - 1) / tierBits }

func (c *collection) close() {
	for _, v := range c.volumes {
		v.release()
	}
	c.volumes = nil
}

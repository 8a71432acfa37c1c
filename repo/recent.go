package repo

import (
	"bytes"
	"fmt"
	"io"
	"slices"
)

// recent is the packs that are in no volume yet, in memory: 80 bytes or less a blob. Its index has the order of prefixes, nearly: an
// entry stands in its home or in the first free place after it.
type recent struct {
	packs   []byte   // cells
	entries []byte   // in the order in which they came
	index   []uint32 // number of an entry, plus one; 0 is a free place. As many places follow the last home as there can be entries.
	homes   uint32
}

// newRecent returns an empty one, with room for as much as old has.
func newRecent(old *recent) *recent {
	return &recent{packs: make([]byte, 0, len(old.packs)), entries: make([]byte, 0, len(old.entries)), index: make([]uint32, len(old.index)), homes: old.homes}
}

func (r *recent) blobs() int { return len(r.entries) / entrySize }

func (r *recent) entry(i uint32) []byte { return r.entries[entrySize*int(i):][:entrySize] }

// maxFill is how many entries the index takes before it has to grow: half of the homes.
func (r *recent) maxFill() int { return int(r.homes / 2) }

// add takes over the blobs of a pack. Epochs are the numbers of its epochs.
func (r *recent) add(p packRecord, segment uint32, epochs []uint32) {
	first, pack := r.blobs(), uint32(len(r.packs)/packCellSize)
	r.packs = packCell{p.id, segment, p.size, uint32(p.table.len()), p.class}.appendTo(r.packs, 0, pack)
	for i := range p.table.len() {
		e := p.table.entry(i)
		var epoch uint32
		if e.epoch != structureEpoch {
			epoch = epochs[e.epoch]
		}
		r.entries = entry{e.id, pack, e.offset, e.sealed, e.plain, epoch}.appendTo(r.entries)
	}
	r.grow()
	for i := first; i < r.blobs(); i++ {
		r.place(uint32(i))
	}
}

// grow makes place for all entries.
func (r *recent) grow() {
	if r.blobs() <= r.maxFill() {
		return
	}
	old := r.index
	r.homes = max(r.homes, 1<<10)
	for r.maxFill() < r.blobs() {
		r.homes *= 2
	}
	r.index = make([]uint32, int(r.homes)+r.maxFill())
	for _, i := range old {
		if i != 0 {
			r.place(i - 1)
		}
	}
}

func (r *recent) place(i uint32) {
	at := homeOf(prefixOf(ID(r.entry(i)[:32])), r.homes)
	for r.index[at] != 0 {
		at++
	}
	r.index[at] = i + 1
}

func (r *recent) find(id ID, visit func(entry) (more bool, err error)) (bool, error) {
	if len(r.index) == 0 {
		return true, nil
	}
	for at := int(homeOf(prefixOf(id), r.homes)); at < len(r.index) && r.index[at] != 0; at++ {
		b := r.entry(r.index[at] - 1)
		if ID(b[:32]) != id {
			continue
		}
		if more, err := visit(parseEntry(b)); !more || err != nil {
			return false, err
		}
	}
	return true, nil
}

func (r *recent) pack(n uint32) (packCell, error) {
	if int(n) >= len(r.packs)/packCellSize {
		return packCell{}, fmt.Errorf("%w: a pack beyond the last", errDerived)
	}
	return parsePackCell(r.packs[packCellSize*int(n):][:packCellSize], 0, n)
}

func (r *recent) extent() shape {
	return shape{packs: uint32(len(r.packs) / packCellSize), blobs: uint32(r.blobs())}
}

func (r *recent) allPacks() io.Reader { return bytes.NewReader(r.packs) }

// allEntries sorts by insertion, since hardly anything is out of place.
func (r *recent) allEntries() entrySource {
	type ref struct {
		prefix uint64
		i      uint32
	}
	sorted := make([]ref, 0, r.blobs())
	for _, i := range r.index {
		if i == 0 {
			continue
		}
		e := ref{prefixOf(ID(r.entry(i - 1)[:32])), i - 1}
		sorted = append(sorted, e)
		for k := len(sorted) - 1; k > 0 && e.prefix < sorted[k-1].prefix; k-- {
			sorted[k], sorted[k-1] = sorted[k-1], e
		}
	}
	return entrySourceFunc(func() ([]byte, error) {
		if len(sorted) == 0 {
			return nil, io.EOF
		}
		i := sorted[0].i
		sorted = sorted[1:]
		return r.entry(i), nil
	})
}

// snapshot is what there is now, to be walked through while more is added: cells and entries never change.
func (r *recent) snapshot() *recent {
	return &recent{r.packs, r.entries, slices.Clone(r.index), r.homes}
}

package repo

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
)

// recent is the packs that are in no volume yet, in memory: 80 bytes or less a blob. Its index has the order of prefixes: an entry stands
// in its home, or behind others without a free place between.
type recent struct {
	packs   []byte   // cells
	entries []byte   // in the order in which they came
	index   []uint32 // number of an entry, plus one; 0 is a free place. As many places follow the last home as there can be entries.
	homes   uint32
}

// reset empties it, and keeps the room: whoever stores little night after night would else leave a megabyte of garbage each time.
func (r *recent) reset() {
	r.packs, r.entries = r.packs[:0], r.entries[:0]
	clear(r.index)
}

func (r *recent) blobs() int { return len(r.entries) / entrySize }

func (r *recent) entry(i uint32) []byte { return r.entries[entrySize*int(i):][:entrySize] }

func (r *recent) prefix(i uint32) uint64 { return binary.BigEndian.Uint64(r.entry(i)) }

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

// place puts an entry behind those that come before it, and moves those up that come after.
func (r *recent) place(i uint32) {
	prefix := r.prefix(i)
	at := homeOf(prefix, r.homes)
	for r.index[at] != 0 && r.prefix(r.index[at]-1) <= prefix {
		at++
	}
	for moved := i + 1; moved != 0; at++ {
		moved, r.index[at] = r.index[at], moved
	}
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

// allEntries follows the index.
func (r *recent) allEntries() entrySource { return &recentReader{r: r, rest: r.index} }

// recentReader reads what is recent in order.
type recentReader struct {
	r    *recent
	rest []uint32 // of the index
	some [32 * entrySize]byte
}

// next returns some entries: the processor fetches them from all over the memory at once, where one after the other would wait for each.
func (s *recentReader) next() ([]byte, error) {
	n := 0
	for len(s.rest) > 0 && n < len(s.some) {
		if i := s.rest[0]; i != 0 {
			*(*[entrySize]byte)(s.some[n:]) = [entrySize]byte(s.r.entry(i - 1))
			n += entrySize
		}
		s.rest = s.rest[1:]
	}
	if n == 0 {
		return nil, io.EOF
	}
	return s.some[:n], nil
}

// snapshot is a copy of what there is now, to be walked through while more is added.
func (r *recent) snapshot() *recent {
	return &recent{slices.Clone(r.packs), slices.Clone(r.entries), slices.Clone(r.index), r.homes}
}

package repo

import (
	"fmt"
	"io"
	"iter"
	"slices"
)

// packsOf yields the packs of a source in the order of their numbers.
func packsOf(s source) iter.Seq2[packCell, error] {
	return func(yield func(packCell, error) bool) {
		in := s.allPacks()
		var b [packCellSize]byte
		of := s.extent()
		for n := range of.packs {
			_, err := io.ReadFull(in, b[:])
			if err != nil {
				yield(packCell{}, fmt.Errorf("%w: read packs: %w", errDerived, err))
				return
			}
			p, err := parsePackCell(b[:], of.seed, n)
			if !yield(p, err) || err != nil {
				return
			}
		}
	}
}

// walker is told of packs, and then of their blobs.
type walker interface {
	pack(packCell) error
	blob(entry) error
}

// frozen returns the sources that there are now, and which segments are dead. They stay as they are until release.
func (l *lookup) frozen() (sources []source, dead map[uint32]bool, release func()) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	volumes := slices.Clone(l.c.volumes)
	for _, v := range volumes {
		v.acquire()
	}
	return append(sourcesOf(volumes), l.c.recent.snapshot()), l.c.dead, func() {
		for _, v := range volumes {
			v.release()
		}
	}
}

// walk tells w of every pack that a live segment lists, and of the blobs. It holds a byte for each pack.
func (l *lookup) walk(w walker) error {
	return l.walkSome(func(packCell) bool { return true }, w)
}

// walkSome is walk for some of the packs; where a source has none of them its blobs are not looked at.
func (l *lookup) walkSome(wanted func(packCell) bool, w walker) error {
	sources, dead, release := l.frozen()
	defer release()
	for _, s := range sources {
		if err := walkSource(s, func(p packCell) bool { return !dead[p.segment] && wanted(p) }, w); err != nil {
			return err
		}
	}
	return nil
}

func walkSource(s source, wanted func(packCell) bool, w walker) error {
	var want []bool // by number of the pack
	for p, err := range packsOf(s) {
		if err != nil {
			return err
		}
		want = append(want, wanted(p))
		if !want[len(want)-1] {
			continue
		}
		if err := w.pack(p); err != nil {
			return err
		}
	}
	if !slices.Contains(want, true) {
		return nil
	}
	entries := s.allEntries()
	for {
		b, err := entries.next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		for ; len(b) > 0; b = b[entrySize:] {
			e := parseEntry(b)
			if int(e.pack) >= len(want) {
				return fmt.Errorf("%w: an entry of a pack beyond the last", errDerived)
			}
			if want[e.pack] {
				if err := w.blob(e); err != nil {
					return err
				}
			}
		}
	}
}

package repo

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
)

// source is what a volume is made of: other volumes, or what is recent.
type source interface {
	extent() shape // packs and blobs at least
	allPacks() io.Reader
	allEntries() entrySource
}

// entrySource gives the bytes of entries in ascending order of their prefixes, one or several at once, which are valid until the next
// call, and io.EOF after the last ones.
type entrySource interface{ next() ([]byte, error) }

const (
	mergeBuffer = 64 << 10  // bytes, for each source and each part that is written
	leftOut     = 1<<32 - 1 // in the place of a pack's number: its segment is dead
)

func bufferedReader(in io.Reader) *bufio.Reader { return bufio.NewReaderSize(in, mergeBuffer) }

// writeVolume merges sources into a new volume in dir, without the packs of segments that are dead. It returns nil when nothing is left.
func writeVolume(dir string, sources []source, dead map[uint32]bool) (*volume, error) {
	file, path, seed, err := newVolumeFile(dir)
	if err != nil {
		return nil, err
	}
	m := &merge{shape: shape{seed: seed}, file: file, dead: dead}
	if err = m.run(sources); err == nil && m.blobs > 0 {
		return newVolume(file, path, m.shape), nil
	}
	err = errors.Join(err, file.Close())
	if path != "" {
		err = errors.Join(err, os.Remove(path))
	}
	return nil, err
}

// merge is the making of a volume. It holds four bytes for each pack.
type merge struct {
	shape
	file *os.File
	dead map[uint32]bool
	from []*mergeSource
}

// mergeSource is a source, and where its packs went.
type mergeSource struct {
	entries entrySource
	moved   []uint32 // by number, the number in the new volume
	rest    []byte   // what the source gave last, from the next entry on
	prefix  uint64   // of it
	pack    uint32   // of it, in the new volume
}

func (m *merge) run(sources []source) error {
	out := bufio.NewWriterSize(m.file, mergeBuffer)
	for _, s := range sources {
		if err := m.copyPacks(out, s); err != nil {
			return err
		}
	}
	if m.blobs == 0 {
		return nil
	}
	m.filterPages, m.homes = filterPages(m.blobs), homesFor(m.blobs)
	if _, err := out.Write(make([]byte, m.filterAt()-int64(m.packs)*packCellSize)); err != nil {
		return err
	}
	if err := out.Flush(); err != nil {
		return err
	}
	return m.mergeEntries()
}

// copyPacks copies the packs of a source that are not dead.
func (m *merge) copyPacks(out *bufio.Writer, s source) error {
	from := &mergeSource{entries: s.allEntries(), moved: make([]uint32, 0, s.extent().packs)}
	for p, err := range packsOf(s) {
		if err != nil {
			return err
		}
		if m.dead[p.segment] {
			from.moved = append(from.moved, leftOut)
			continue
		}
		from.moved = append(from.moved, m.packs)
		if _, err := out.Write(p.appendTo(out.AvailableBuffer(), m.seed, m.packs)); err != nil {
			return err
		}
		m.packs, m.blobs = m.packs+1, m.blobs+p.blobs
	}
	m.from = append(m.from, from)
	return nil
}

// entry returns the bytes of the next entry.
func (s *mergeSource) entry() []byte { return s.rest[:entrySize] }

// advance goes on to the next entry that is not left out, and reports whether there is one.
func (s *mergeSource) advance() (more bool, err error) {
	for {
		if len(s.rest) > entrySize {
			s.rest = s.rest[entrySize:]
		} else if s.rest, err = s.entries.next(); err == io.EOF {
			return false, nil
		} else if err != nil {
			return false, err
		}
		n := binary.LittleEndian.Uint32(s.rest[32:])
		if int(n) >= len(s.moved) {
			return false, fmt.Errorf("%w: an entry of a pack beyond the last", errDerived)
		}
		if s.pack = s.moved[n]; s.pack != leftOut {
			s.prefix = binary.BigEndian.Uint64(s.rest)
			return true, nil
		}
	}
}

// mergeEntries writes filter and entries, each in order.
func (m *merge) mergeEntries() error {
	filterOut := bufio.NewWriterSize(io.NewOffsetWriter(m.file, m.filterAt()), mergeBuffer)
	pagesOut := bufio.NewWriterSize(io.NewOffsetWriter(m.file, m.pagesAt()), mergeBuffer)
	filter := filterWriter{out: filterOut, pages: m.filterPages, seed: m.seed}
	pages := pageWriter{out: pagesOut, homes: m.homes, seed: m.seed}
	written := uint32(0)
	err := m.inOrder(func(s *mergeSource) error {
		written++
		if err := filter.add(s.prefix); err != nil {
			return err
		}
		return pages.add(s.prefix, s.entry(), s.pack)
	})
	if err != nil {
		return err
	}
	if written != m.blobs {
		return fmt.Errorf("%w: %d entries for %d blobs", errDerived, written, m.blobs)
	}
	if m.shape.pages, err = pages.close(); err != nil {
		return err
	}
	return errors.Join(filter.close(), filterOut.Flush(), pagesOut.Flush())
}

// inOrder calls visit with the source that has the next entry, for each entry of all sources.
func (m *merge) inOrder(visit func(*mergeSource) error) error {
	var from []*mergeSource
	for _, s := range m.from {
		more, err := s.advance()
		if err != nil {
			return err
		}
		if more {
			from = append(from, s)
		}
	}
	for len(from) > 0 {
		least, others := leastOf(from)
		more, err := visitBelow(from[least], others, visit)
		if err != nil {
			return err
		}
		if !more {
			from = slices.Delete(from, least, least+1)
		}
	}
	return nil
}

// leastOf returns the position of the first source whose next prefix is the least, and the least one of the others.
func leastOf(from []*mergeSource) (at int, others uint64) {
	least := from[0].prefix
	others = math.MaxUint64
	for i, s := range from[1:] {
		if s.prefix < least {
			at, least, others = i+1, s.prefix, least
		} else {
			others = min(others, s.prefix)
		}
	}
	return at, others
}

// visitBelow calls visit for the next entry of a source, and for those after it with a prefix below the one given. It reports whether
// the source has more.
func visitBelow(s *mergeSource, prefix uint64, visit func(*mergeSource) error) (more bool, err error) {
	for {
		if err := visit(s); err != nil {
			return false, err
		}
		if more, err = s.advance(); !more || err != nil || s.prefix >= prefix {
			return more, err
		}
	}
}

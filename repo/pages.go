package repo

import (
	"encoding/binary"
	"fmt"
	"io"
	"math/bits"
	"sync"
)

const (
	pageSize    = 2048
	pageHead    = 8
	pageEntries = 39
	pageFill    = 32 // entries of a page on the average: one page in seven is full, and one entry in seventy stands on the next
)

// entryPages are the entries of a volume, sorted: one read finds a blob, two where it did not fit on its page.
type entryPages struct {
	in    io.ReaderAt // the volume
	at    int64       // bytes from the start of the volume to the first page
	homes uint32      // pages over which the entries are spread
	pages uint32
	seed  uint32
}

// homesFor is the number of pages that n entries are spread over.
func homesFor(n uint32) uint32 { return max(1, uint32((uint64(n)+pageFill-1)/pageFill)) }

// homeOf is the page on which a prefix belongs.
func homeOf(prefix uint64, homes uint32) uint32 {
	h, _ := bits.Mul64(prefix, uint64(homes))
	return uint32(h)
}

var pageBuffers = sync.Pool{New: func() any { return new([pageSize]byte) }}

// find calls visit for each entry of an ID until visit wants no more, and reports whether it still does.
func (s *entryPages) find(id ID, visit func(entry) (more bool, err error)) (more bool, err error) {
	page := pageBuffers.Get().(*[pageSize]byte)
	defer pageBuffers.Put(page)
	prefix := prefixOf(id)
	for n := homeOf(prefix, s.homes); n < s.pages; n++ {
		if _, err := s.in.ReadAt(page[:], s.at+int64(n)*pageSize); err != nil {
			return false, fmt.Errorf("%w: read entries: %w", errDerived, err)
		}
		count, err := parsePage(page[:], s.seed, n)
		if err != nil {
			return false, err
		}
		for i := searchPage(page[:], count, prefix); i < count; i++ {
			b := entryOf(page[:], i)
			if binary.BigEndian.Uint64(b) != prefix {
				return true, nil
			}
			if ID(b[:32]) != id {
				continue // another one with the same beginning
			}
			if more, err := visit(parseEntry(b)); !more || err != nil {
				return false, err
			}
		}
		if count < pageEntries {
			break
		}
	}
	return true, nil
}

func entryOf(page []byte, i int) []byte { return page[pageHead+entrySize*i:][:entrySize] }

// searchPage returns the first of count entries whose prefix is not below the one given.
func searchPage(page []byte, count int, prefix uint64) int {
	low, high := 0, count
	for low < high {
		mid := (low + high) / 2
		if binary.BigEndian.Uint64(entryOf(page, mid)) < prefix {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low
}

// parsePage checks the page of a number and returns how many entries it has.
func parsePage(page []byte, seed, number uint32) (int, error) {
	count := int(binary.LittleEndian.Uint16(page[4:]))
	if checksum(seed, number, page[4:]) != binary.LittleEndian.Uint32(page) || count > pageEntries {
		return 0, fmt.Errorf("%w: a page of entries is not what was written", errDerived)
	}
	return count, nil
}

// pageReader reads all entries in order.
type pageReader struct {
	in    io.Reader // the pages and nothing else
	page  [pageSize]byte
	seed  uint32
	read  uint32 // pages, of
	pages uint32
}

// next returns the entries of the next page that has any.
func (r *pageReader) next() ([]byte, error) {
	for r.read < r.pages {
		if _, err := io.ReadFull(r.in, r.page[:]); err != nil {
			return nil, fmt.Errorf("%w: read entries: %w", errDerived, err)
		}
		count, err := parsePage(r.page[:], r.seed, r.read)
		if err != nil {
			return nil, err
		}
		if r.read++; count > 0 {
			return r.page[pageHead:][:entrySize*count], nil
		}
	}
	return nil, io.EOF
}

// pageWriter writes entries that come in ascending order.
type pageWriter struct {
	out   io.Writer
	homes uint32
	seed  uint32
	page  [pageSize]byte
	count int
	pages uint32 // written
}

// add takes an entry with another pack number in the place of its own.
func (w *pageWriter) add(prefix uint64, e []byte, pack uint32) error {
	for home := homeOf(prefix, w.homes); w.pages < home || w.count == pageEntries; {
		if err := w.flush(); err != nil {
			return err
		}
	}
	b := entryOf(w.page[:], w.count)
	*(*[entrySize]byte)(b) = [entrySize]byte(e)
	binary.LittleEndian.PutUint32(b[32:], pack)
	w.count++
	return nil
}

func (w *pageWriter) flush() error {
	clear(w.page[pageHead+entrySize*w.count:])
	binary.LittleEndian.PutUint16(w.page[4:], uint16(w.count))
	binary.LittleEndian.PutUint32(w.page[:], checksum(w.seed, w.pages, w.page[4:]))
	_, err := w.out.Write(w.page[:])
	w.count, w.pages = 0, w.pages+1
	return err
}

// close writes what is left, one page for each home at least, and returns how many there are.
func (w *pageWriter) close() (uint32, error) {
	for w.count > 0 || w.pages < w.homes {
		if err := w.flush(); err != nil {
			return 0, err
		}
	}
	return w.pages, nil
}

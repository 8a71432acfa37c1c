package repo

import (
	"encoding/binary"
	"fmt"
	"io"
	"math/bits"
	"sync"
	"sync/atomic"
)

const (
	filterPageSize  = 4096
	filterBlock     = 64 // bytes
	filterBlocks    = 63 // of a page
	filterSum       = filterPageSize - 4
	filterBits      = 12 // for each blob: one search in 250 reads a page for nothing
	filterPerPage   = filterBlocks * filterBlock * 8 / filterBits
	filterHashes    = 7 // bits of a blob; mayHold names them one by one
	filterHashBits  = 9
	filterSpreading = 0x9e3779b97f4a7c15
)

// filter is the Bloom filter of a volume: what it does not hold is not there. A page is read when it is first needed, and kept,
// so that a filter takes 1.6 bytes of memory for a blob at most. It is safe for use at once.
type filter struct {
	in    io.ReaderAt // of the volume
	at    int64       // bytes from its start to the first page
	count uint32      // pages
	seed  uint32

	mu     sync.Mutex
	ready  atomic.Bool     // pages and loaded have been made
	pages  []byte          // each is written once, with mu held, before its bit of loaded is set
	loaded []atomic.Uint32 // a bit for each page
}

// filterPages is how many pages n blobs need.
func filterPages(n uint32) uint32 { return uint32((uint64(n) + filterPerPage - 1) / filterPerPage) }

// filterPlace returns the page of a prefix, the offset of its block, and the bits, nine each from the lowest on.
func filterPlace(prefix uint64, pages uint32) (page, block, hash uint64) {
	page, rest := bits.Mul64(prefix, uint64(pages))
	block, _ = bits.Mul64(rest, filterBlocks)
	m := prefix * filterSpreading
	return page, block * filterBlock, m ^ m>>32
}

// mayHold reports whether a blob of the prefix may be in the volume.
func (f *filter) mayHold(prefix uint64) (bool, error) {
	n, at, hash := filterPlace(prefix, f.count)
	if !f.ready.Load() || f.loaded[n/32].Load()&(1<<(n%32)) == 0 {
		if err := f.load(n); err != nil {
			return false, err
		}
	}
	block := (*[filterBlock]byte)(f.pages[n*filterPageSize+at:])
	// The first three bits in one: nine blobs of ten that are not there end here, so that the processor guesses right and goes ahead to
	// the filter of the next volume. Bit by bit it would guess wrong every other time.
	const b = filterHashBits
	if filterBit(block, hash)&filterBit(block, hash>>b)&filterBit(block, hash>>(2*b))&1 == 0 {
		return false, nil
	}
	return filterBit(block, hash>>(3*b))&filterBit(block, hash>>(4*b))&filterBit(block, hash>>(5*b))&filterBit(block, hash>>(6*b))&1 != 0, nil
}

// filterBit returns a number whose lowest bit is the one that the lowest bits of a hash name.
func filterBit(block *[filterBlock]byte, hash uint64) uint64 {
	bit := hash % (filterBlock * 8)
	return binary.LittleEndian.Uint64(block[bit/64*8:]) >> (bit % 64)
}

// load reads a page, unless another goroutine was quicker.
func (f *filter) load(n uint64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.ready.Load() {
		f.pages, f.loaded = make([]byte, int(f.count)*filterPageSize), make([]atomic.Uint32, f.count/32+1)
		f.ready.Store(true)
		resident.Add(int64(len(f.pages)))
	}
	if f.loaded[n/32].Load()&(1<<(n%32)) != 0 {
		return nil
	}
	page := f.pages[n*filterPageSize:][:filterPageSize]
	if _, err := f.in.ReadAt(page, f.at+int64(n)*filterPageSize); err != nil {
		return fmt.Errorf("%w: read a filter: %w", errDerived, err)
	}
	if checksum(f.seed, uint32(n), page[:filterSum]) != binary.LittleEndian.Uint32(page[filterSum:]) {
		return fmt.Errorf("%w: a filter is not what was written", errDerived)
	}
	f.loaded[n/32].Or(1 << (n % 32))
	return nil
}

// close gives the memory back; nobody may ask any more.
func (f *filter) close() {
	resident.Add(-int64(len(f.pages)))
	f.pages = nil
}

// filterWriter writes a filter of prefixes that come in ascending order.
type filterWriter struct {
	out   io.Writer
	pages uint32
	seed  uint32
	page  [filterPageSize]byte
	next  uint64 // number of the page
}

func (w *filterWriter) add(prefix uint64) error {
	n, at, hash := filterPlace(prefix, w.pages)
	if err := w.flush(n); err != nil {
		return err
	}
	block := (*[filterBlock]byte)(w.page[at:])
	for range filterHashes {
		bit := hash % (filterBlock * 8)
		block[bit/8] |= 1 << (bit % 8)
		hash >>= filterHashBits
	}
	return nil
}

// flush writes the pages before page n.
func (w *filterWriter) flush(n uint64) error {
	for w.next < n {
		binary.LittleEndian.PutUint32(w.page[filterSum:], checksum(w.seed, uint32(w.next), w.page[:filterSum]))
		if _, err := w.out.Write(w.page[:]); err != nil {
			return err
		}
		w.page, w.next = [filterPageSize]byte{}, w.next+1
	}
	return nil
}

func (w *filterWriter) close() error { return w.flush(uint64(w.pages)) }

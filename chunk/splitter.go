package chunk

import (
	"fmt"
	"io"
	"slices"

	"github.com/restic/chunker"
)

// Pol is the irreducible polynomial that decides where the cuts are. Two repositories with different polynomials cut
// the same bytes at different places.
type Pol = chunker.Pol

// RandomPol returns a new random polynomial that fits a Splitter. Its error is that of the random source.
func RandomPol() (Pol, error) {
	p, err := chunker.RandomPolynomial()
	if err != nil {
		return 0, fmt.Errorf("choose a polynomial: %w", err)
	}
	return p, nil
}

// Bounds are the sizes of the chunks of one kind of stream, in bytes. They shape what is stored: changing them makes
// every stream of that kind new to a repository.
type Bounds struct {
	Min, Max    uint // every chunk but the last of a stream has at least Min bytes; none has more than Max
	AverageBits int  // past Min a cut comes every 1<<AverageBits bytes on average
}

// The bounds of the kinds of streams (DESIGN.md, section 4).
var (
	Bulk   = Bounds{Min: chunker.MinSize, Max: chunker.MaxSize, AverageBits: 20} // pixel data and files that are not DICOM
	Heads  = Bounds{Min: 256 << 10, Max: 2 << 20, AverageBits: 19}               // the heads of DICOM files, one after the other
	Stream = Bounds{Min: 16 << 10, Max: 256 << 10, AverageBits: 16}              // manifests, dumps and other streams
)

// A Splitter cuts streams into chunks, one stream after the other, and keeps its memory (64 KiB once a stream was as
// long as Min) for the next. It is for one goroutine.
//
// A chunk ends at the first place past Min where the lowest AverageBits of the fingerprint are zero, or at Max: the cuts are
// those of restic/chunker with the same polynomial and bounds, in less than half of its time.
type Splitter struct {
	rabin  *rabin
	bounds Bounds
	mask   uint64
	r      io.Reader
	ahead  []byte // nil until a stream as long as Min comes
	left   []byte // of ahead: read, and in no chunk yet
	err    error  // what every further Next returns
}

// stepSize is how many bytes are read at once past Min.
const stepSize = 64 << 10

// NewSplitter returns a Splitter without a stream: Next gives io.EOF until Reset. It panics if the degree of pol is
// not 8 to 53, which who reads it from a file has to see to, or the bounds are not 64 <= Min <= Max and 1 <= AverageBits <= 40.
func NewSplitter(pol Pol, b Bounds) *Splitter {
	if pol.Deg() < 8 || pol.Deg() > 53 || b.Min < rollSize || b.Max < b.Min || b.AverageBits < 1 || b.AverageBits > 40 {
		panic(fmt.Sprintf("chunk: bad polynomial of degree %d, or bounds %+v", pol.Deg(), b))
	}
	return &Splitter{rabin: rabinOf(pol), bounds: b, mask: 1<<b.AverageBits - 1, err: io.EOF}
}

// Reset begins a new stream. What was left of the one before is forgotten; r is not closed.
func (s *Splitter) Reset(r io.Reader) { s.r, s.left, s.err = r, nil, nil }

// Next returns the next chunk of the stream. The data lies in buf, from its start, when buf has room for it, and in new memory
// otherwise: pass the slice of the call before (or one from a pool) to save allocations, once its data is done with.
// After the last chunk comes io.EOF; an empty stream has no chunk. A reader's error comes back unchanged, without the
// bytes read before it since the last cut, and again on every further call.
func (s *Splitter) Next(buf []byte) ([]byte, error) {
	data, err := s.first(buf[:0])
	for from := len(data); err == nil && uint(len(data)) < s.bounds.Max; from = len(data) {
		if err = s.fill(); err != nil {
			break
		}
		more := s.left[:min(len(s.left), int(s.bounds.Max)-len(data))]
		if cap(data)-len(data) < len(more) {
			data = slices.Grow(data, len(data)) // to twice as much: append's steps are small ones
		}
		data = append(data, more...)
		cut := s.rabin.find(data, from, len(data), s.mask)
		s.left = s.left[cut-from:]
		if cut < len(data) {
			return data[:cut], nil
		}
	}
	if err != nil {
		s.end(err)
	}
	if err != nil && err != io.EOF || len(data) == 0 {
		return nil, s.err
	}
	return data, nil
}

// Cut returns the length of the first chunk of a stream that is all in memory: what Next would return of it, where it lies. What is left
// of data is the rest of that stream. It leaves the stream of Next alone.
func (s *Splitter) Cut(data []byte) int {
	return s.rabin.find(data, min(len(data), int(s.bounds.Min)), min(len(data), int(s.bounds.Max)), s.mask)
}

// end ends the stream with err and lets go of the reader.
func (s *Splitter) end(err error) { s.r, s.left, s.err = nil, nil, err }

// first appends the Min bytes that are in one chunk in any case. Fewer come with io.EOF.
func (s *Splitter) first(data []byte) ([]byte, error) {
	least := int(s.bounds.Min)
	data = append(slices.Grow(data, least), s.left[:min(len(s.left), least)]...)
	s.left = s.left[len(data):]
	if s.err != nil || len(data) == least {
		return data, s.err
	}
	n, err := readFull(s.r, data[len(data):least])
	return data[:len(data)+n], err
}

// fill makes sure that something is left, or returns why not.
func (s *Splitter) fill() error {
	if len(s.left) > 0 {
		return nil
	}
	if s.ahead == nil {
		s.ahead = make([]byte, stepSize)
	}
	n, err := readFull(s.r, s.ahead)
	s.left = s.ahead[:n]
	if n > 0 && err == io.EOF { // found again by the next call
		return nil
	}
	return err
}

// readFull is io.ReadFull, but for errors: each is the reader's, io.EOF at the end of the stream wherever it is.
func readFull(r io.Reader, p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		var k int
		k, err = r.Read(p[n:])
		n += k
	}
	if n == len(p) {
		err = nil
	}
	return n, err
}

package chunk

import (
	"cmp"
	"errors"
	"fmt"
	"io"

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

// maxMin bounds Bounds.Min: restic/chunker takes this much from its reader before it hands out anything, which is
// what lets the first bytes of a stream be read into the caller's buffer and cut from there.
const maxMin = 512 << 10

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

// A Splitter cuts streams into chunks, one stream after the other, and keeps its memory (512 KiB once a stream was
// longer than Min) for the next. It is for one goroutine.
type Splitter struct {
	pol    Pol
	bounds Bounds
	src    source
	roll   *chunker.Chunker // nil until a stream longer than Min comes
	state  splitState
	err    error // what every further Next returns, in state ended
}

type splitState int

const (
	ended   splitState = iota // Next returns err
	fresh                     // nothing was read of this stream
	rolling                   // the stream is longer than Min; roll reads from src
)

// NewSplitter returns a Splitter without a stream: Next gives io.EOF until Reset. It panics if the bounds are not
// 64 <= Min <= 512 KiB, Min <= Max, 1 <= AverageBits <= 40: they are constants of a program, not input.
func NewSplitter(pol Pol, b Bounds) *Splitter {
	if b.Min < 64 || b.Min > maxMin || b.Max < b.Min || b.AverageBits < 1 || b.AverageBits > 40 {
		panic(fmt.Sprintf("chunk: bad bounds %+v", b))
	}
	return &Splitter{pol: pol, bounds: b, err: io.EOF}
}

// Reset begins a new stream. What was left of the one before is forgotten; r is not closed.
func (s *Splitter) Reset(r io.Reader) {
	s.src = source{r: r}
	s.state, s.err = fresh, nil
}

// Next returns the next chunk of the stream. The data lies in buf, from its start, when buf has room for it, and in new memory
// otherwise: pass the slice of the call before (or one from a pool) to save allocations, once its data is done with.
// After the last chunk comes io.EOF; an empty stream has no chunk. A reader's error comes back unchanged, without the
// bytes read before it since the last cut, and again on every further call.
//
// The cuts are those of restic/chunker with the same polynomial and bounds, however the reader slices the stream.
func (s *Splitter) Next(buf []byte) ([]byte, error) {
	if s.state == fresh {
		data, long, err := s.readFirst(buf)
		if !long {
			s.end(cmp.Or(err, io.EOF))
			return data, err
		}
		s.startRolling(data)
		buf = data
	}
	if s.state == ended {
		return nil, s.err
	}
	c, err := s.roll.Next(buf[:0])
	if err != nil {
		if s.src.err != nil {
			err = s.src.err
		}
		s.end(err)
		return nil, err
	}
	return c.Data, nil
}

// end ends the stream with err and lets go of the reader and of the caller's buffer.
func (s *Splitter) end(err error) {
	s.state, s.err, s.src = ended, err, source{}
}

// readFirst reads up to Min bytes into buf and looks whether another byte follows. If so, long is true and the byte is
// in src.peeked; if not, data is the whole stream, one chunk, and there is nothing to search for a cut.
// Min is the size of a 512x512 slice of 16 bits for Bulk, so "exactly Min" is the common case.
func (s *Splitter) readFirst(buf []byte) (data []byte, long bool, err error) {
	if uint(cap(buf)) < s.bounds.Min {
		buf = make([]byte, s.bounds.Min)
	}
	data = buf[:s.bounds.Min]
	n, err := io.ReadFull(&s.src, data)
	if err == nil {
		if _, err = io.ReadFull(&s.src, s.src.peeked[:]); err == nil {
			return data, true, nil
		}
	}
	if s.src.err != nil {
		return nil, false, s.src.err
	}
	if n == 0 {
		return nil, false, io.EOF
	}
	return data[:n], false, nil
}

// startRolling hands the stream to restic/chunker, the bytes already read first.
func (s *Splitter) startRolling(read []byte) {
	s.src.first, s.src.hasPeeked = read, true
	if s.roll == nil {
		s.roll = chunker.NewWithBoundaries(&s.src, s.pol, s.bounds.Min, s.bounds.Max)
	} else {
		s.roll.ResetWithBoundaries(&s.src, s.pol, s.bounds.Min, s.bounds.Max)
	}
	s.roll.SetAverageBits(s.bounds.AverageBits)
	s.state = rolling
}

// source gives restic/chunker the bytes already read, then the reader's. It keeps the reader's error and ends the stream in its place:
// restic/chunker takes io.ErrUnexpectedEOF of a reader for the end of the stream.
//
// first lies in the caller's buffer, which the chunk is then written into. That is safe: the chunk begins with the
// very same bytes, and first is used up (it has at most maxMin bytes) before the chunk is returned.
type source struct {
	r         io.Reader
	first     []byte
	peeked    [1]byte
	hasPeeked bool
	err       error // the reader's, other than io.EOF
}

func (s *source) Read(p []byte) (int, error) {
	if len(s.first) > 0 {
		n := copy(p, s.first)
		s.first = s.first[n:]
		return n, nil
	}
	if s.hasPeeked && len(p) > 0 {
		s.hasPeeked = false
		return copy(p, s.peeked[:]), nil
	}
	if s.err != nil {
		return 0, errStopped
	}
	n, err := s.r.Read(p)
	if err != nil && err != io.EOF {
		s.err, err = err, errStopped
	}
	return n, err
}

// errStopped stands for source.err; it is not io.ErrUnexpectedEOF, so io.ReadFull and restic/chunker pass it on.
var errStopped = errors.New("chunk: the reader failed")

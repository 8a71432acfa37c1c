package chunk

import (
	"encoding/binary"
	"io"
	"strings"
	"sync"

	"github.com/orthokeep/orthokeep/chunk/pixel"
)

// MinSize is the size in bytes below which a file is never cut: it is all head.
const MinSize = 64 << 10

// Bounds on what Scan does for one file. Every step moves forward by at least eight bytes, so the number of elements
// is bounded by maxReads as well.
const (
	windowSize = 16 << 10 // bytes of one read: more than the header of a usual CT or MR instance
	maxReads   = 1024     // reads of one file: 16 MiB of header, values that lie outside a window not counted
	maxDepth   = 64       // sequences and items of undefined length inside each other
)

// Boundary is the place where the header of a DICOM file ends and its pixel data begins.
type Boundary struct {
	// Offset is the first byte of the value of Pixel Data (7FE0,0010), or of its Float and Double Float kinds, from the
	// start of the file. When Encapsulated it is the Item tag of the Basic Offset Table.
	Offset int64
	// Layout is that of the bytes from Offset on. It is zero unless these are native samples of 8 or 16 bits, one or
	// three to a pixel.
	Layout pixel.Layout
	// Encapsulated says that the value is a sequence of fragments (PS3.5 section A.4).
	Encapsulated bool
}

// Scan finds the pixel data of a DICOM file of size bytes (PS3.10 section 7.1: preamble, file meta information, data
// set). It reads the header through a small window, usually in one read, and skips large values; never the pixel data.
//
// When in doubt it says false, no boundary: files below MinSize, without preamble, truncated, deflated, with elements
// out of order, with lengths beyond the end, and all that is not DICOM. Any input is safe: memory, reads and time are
// bounded. A read that fails counts as the end of the file. Scan may be called from several goroutines at once.
func Scan(r io.ReaderAt, size int64) (Boundary, bool) {
	if size < MinSize {
		return Boundary{}, false
	}
	s := scanners.Get().(*scanner)
	s.window.reset(r, size)
	b, ok := s.scan()
	s.window.reset(nil, 0)
	scanners.Put(s)
	return b, ok
}

var scanners = sync.Pool{New: func() any { return new(scanner) }}

// The tags that Scan looks at. A tag is group<<16 | element.
const (
	tagTransferSyntax  = 0x00020010
	tagAfterFileMeta   = 0x00030000 // file meta information is group 2
	tagSamples         = 0x00280002
	tagPlanar          = 0x00280006
	tagColumns         = 0x00280011
	tagBitsAllocated   = 0x00280100
	tagFloatPixelData  = 0x7fe00008
	tagDoublePixelData = 0x7fe00009
	tagPixelData       = 0x7fe00010
	tagItem            = 0xfffee000
	tagItemEnd         = 0xfffee00d
	tagSequenceEnd     = 0xfffee0dd
)

const undefined = 0xffffffff // the length of a value that ends at a delimiter (PS3.5 section 7.1)

// A syntax is how a data set is encoded.
type syntax struct {
	order    binary.ByteOrder
	implicit bool // elements do not name their value representation
	native   bool // pixel data is not compressed
}

var (
	explicitLE = syntax{order: binary.LittleEndian}
	implicitLE = syntax{order: binary.LittleEndian, implicit: true}
)

// syntaxOf returns the encoding of a data set by its transfer syntax UID (PS3.5 section 10, annex A); false when the
// data set is deflated.
func syntaxOf(uid string) (syntax, bool) {
	switch uid {
	case "1.2.840.10008.1.2":
		return syntax{order: binary.LittleEndian, implicit: true, native: true}, true
	case "1.2.840.10008.1.2.1":
		return syntax{order: binary.LittleEndian, native: true}, true
	case "1.2.840.10008.1.2.2":
		return syntax{order: binary.BigEndian, native: true}, true
	case "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205": // deflated, JPIP referenced deflate
		return syntax{}, false
	}
	return explicitLE, true // PS3.5 section A.4: all encapsulated ones
}

// An element is the header of a data element or item.
type element struct {
	tag    uint32
	vr     uint16 // two letters, the first one high; 0 when implicit, and for items
	length uint32
	value  int64 // offset of the value
}

// A scanner walks one file. Only sequences and items of undefined length are entered, all else is skipped by its
// length, so no ends need to be remembered: depth counts the open ones, odd inside a sequence, even inside an item or
// in the data set itself.
type scanner struct {
	window window
	pos    int64 // offset of the next element
}

func (s *scanner) scan() (Boundary, bool) {
	magic := s.window.bytes(128, 4)
	if string(magic) != "DICM" {
		return Boundary{}, false
	}
	s.pos = 132
	uid, ok := s.fileMeta()
	if !ok {
		return Boundary{}, false
	}
	syn, ok := syntaxOf(uid)
	if !ok {
		return Boundary{}, false
	}
	return s.dataSet(syn)
}

// fileMeta walks group 2, always in Explicit VR Little Endian, and returns the transfer syntax UID.
func (s *scanner) fileMeta() (uid string, ok bool) {
	for {
		b := s.window.bytes(s.pos, 4)
		if b == nil {
			return "", false
		}
		if tagOf(explicitLE.order, b) >= tagAfterFileMeta {
			return uid, uid != ""
		}
		e, ok := s.next(explicitLE)
		if !ok || e.length == undefined {
			return "", false
		}
		if e.tag == tagTransferSyntax {
			if e.length > 64 {
				return "", false
			}
			uid = strings.TrimRight(string(s.window.bytes(e.value, int(e.length))), "\x00 ")
		}
		s.pos = e.value + int64(e.length)
	}
}

// dataSet walks the data set up to its pixel data.
func (s *scanner) dataSet(syn syntax) (Boundary, bool) {
	var (
		top   = syn // the encoding outside of a value of VR UN
		un    int   // depth of a UN of undefined length, all of which is implicit inside; 0 when there is none
		depth int
		last  uint32 // the tag before, at depth 0
		l     layoutTags
	)
	for {
		if depth%2 == 1 { // in a sequence: an item or the end
			e, ok := s.nextItem(syn)
			if !ok {
				return Boundary{}, false
			}
			switch {
			case e.tag == tagSequenceEnd:
				if depth == un {
					un, syn = 0, top
				}
				depth--
				s.pos = e.value
			case e.length == undefined:
				depth++
				s.pos = e.value
			default:
				s.pos = e.value + int64(e.length)
			}
			continue
		}

		e, ok := s.next(syn)
		if !ok {
			return Boundary{}, false
		}
		if e.tag == tagItemEnd && depth > 0 {
			depth--
			s.pos = e.value
			continue
		}
		if e.tag>>16 == 0xfffe {
			return Boundary{}, false
		}
		if depth == 0 {
			if e.tag <= last {
				return Boundary{}, false
			}
			last = e.tag
			switch e.tag {
			case tagPixelData, tagFloatPixelData, tagDoublePixelData:
				return s.boundary(e, syn, l)
			case tagSamples, tagPlanar, tagColumns, tagBitsAllocated:
				if e.length == 2 {
					l.set(e.tag, syn.order, s.window.bytes(e.value, 2))
				}
			}
		}
		if e.length != undefined {
			s.pos = e.value + int64(e.length)
			continue
		}
		if !syn.implicit {
			switch e.vr {
			case vrSQ, vrOB, vrOW: // OB and OW: pixel data of an icon, in fragments
			case vrUN: // PS3.5 section 6.2.2, note 4
				un, syn = depth+1, implicitLE
			default:
				return Boundary{}, false
			}
		}
		if depth++; depth > maxDepth {
			return Boundary{}, false
		}
		s.pos = e.value
	}
}

// boundary judges the pixel data element e of the data set itself.
func (s *scanner) boundary(e element, syn syntax, l layoutTags) (Boundary, bool) {
	b := Boundary{Offset: e.value}
	if e.length == undefined { // fragments, PS3.5 section A.4
		if e.tag != tagPixelData || e.vr != vrOB && e.vr != vrOW { // never in Implicit VR
			return Boundary{}, false
		}
		s.pos = e.value
		item, ok := s.nextItem(syn)
		if !ok || item.tag != tagItem || item.length == undefined {
			return Boundary{}, false
		}
		b.Encapsulated = true
		return b, true
	}
	if e.length == 0 || !syn.implicit && shortLength(e.vr) {
		return Boundary{}, false
	}
	if e.tag == tagPixelData && syn.native {
		b.Layout = l.layout(syn.order == binary.BigEndian)
	}
	return b, true
}

// layoutTags are the elements of group 28 that make a layout; zero when absent.
type layoutTags struct{ bits, columns, samples, planar uint16 }

func (l *layoutTags) set(tag uint32, order binary.ByteOrder, value []byte) {
	if len(value) != 2 {
		return
	}
	n := order.Uint16(value)
	switch tag {
	case tagSamples:
		l.samples = n
	case tagPlanar:
		l.planar = n
	case tagColumns:
		l.columns = n
	case tagBitsAllocated:
		l.bits = n
	}
}

func (l layoutTags) layout(bigEndian bool) pixel.Layout {
	if l.bits != 8 && l.bits != 16 || l.samples != 1 && l.samples != 3 || l.columns == 0 {
		return pixel.Layout{}
	}
	return pixel.Layout{
		Bits:      int(l.bits),
		Columns:   int(l.columns),
		Samples:   int(l.samples),
		Planar:    l.samples == 3 && l.planar == 1,
		BigEndian: bigEndian,
	}
}

package chunk

import (
	"encoding/binary"
	"io"
)

// Value representations with a meaning of their own here, and those whose length has 32 bits (PS3.5 section 7.1.2).
const (
	vrOB = 'O'<<8 | 'B'
	vrOW = 'O'<<8 | 'W'
	vrSQ = 'S'<<8 | 'Q'
	vrUN = 'U'<<8 | 'N'
)

// shortLength reports whether an element of this value representation has a length of 16 bits. Those not known have
// one of 32 bits, as PS3.5 section 6.2 promises for future ones.
func shortLength(vr uint16) bool {
	switch vr {
	case 'A'<<8 | 'E', 'A'<<8 | 'S', 'A'<<8 | 'T', 'C'<<8 | 'S', 'D'<<8 | 'A', 'D'<<8 | 'S', 'D'<<8 | 'T',
		'F'<<8 | 'D', 'F'<<8 | 'L', 'I'<<8 | 'S', 'L'<<8 | 'O', 'L'<<8 | 'T', 'P'<<8 | 'N', 'S'<<8 | 'H',
		'S'<<8 | 'L', 'S'<<8 | 'S', 'S'<<8 | 'T', 'T'<<8 | 'M', 'U'<<8 | 'I', 'U'<<8 | 'L', 'U'<<8 | 'S':
		return true
	}
	return false
}

func tagOf(order binary.ByteOrder, b []byte) uint32 {
	return uint32(order.Uint16(b))<<16 | uint32(order.Uint16(b[2:]))
}

// next reads the header of the element at s.pos. It is false at the end of the file, when the value representation is
// not two capital letters, and when the value would end beyond the file.
func (s *scanner) next(syn syntax) (element, bool) {
	b := s.window.bytes(s.pos, 8)
	if b == nil {
		return element{}, false
	}
	e := element{tag: tagOf(syn.order, b), value: s.pos + 8}
	switch {
	case syn.implicit || e.tag>>16 == 0xfffe: // items and delimiters have no value representation
		e.length = syn.order.Uint32(b[4:])
	case !capital(b[4]) || !capital(b[5]):
		return element{}, false
	default:
		e.vr = uint16(b[4])<<8 | uint16(b[5])
		if shortLength(e.vr) {
			e.length = uint32(syn.order.Uint16(b[6:]))
			break
		}
		b = s.window.bytes(s.pos+8, 4)
		if b == nil {
			return element{}, false
		}
		e.length = syn.order.Uint32(b)
		e.value += 4
	}
	return e, e.length == undefined || int64(e.length) <= s.window.size-e.value
}

// nextItem reads the header of the item, or of the end of the sequence, at s.pos.
func (s *scanner) nextItem(syn syntax) (element, bool) {
	b := s.window.bytes(s.pos, 8)
	if b == nil {
		return element{}, false
	}
	e := element{tag: tagOf(syn.order, b), length: syn.order.Uint32(b[4:]), value: s.pos + 8}
	if e.tag != tagItem && e.tag != tagSequenceEnd {
		return element{}, false
	}
	return e, e.length == undefined || int64(e.length) <= s.window.size-e.value
}

func capital(c byte) bool { return c >= 'A' && c <= 'Z' }

// A window is a part of a file that moves forward.
type window struct {
	r     io.ReaderAt
	size  int64 // of the file
	buf   [windowSize]byte
	start int64 // offset of buf[0] in the file
	n     int   // bytes of buf in use
	reads int
}

func (w *window) reset(r io.ReaderAt, size int64) {
	w.r, w.size, w.start, w.n, w.reads = r, size, 0, 0, 0
	if r != nil {
		w.fill(0)
	}
}

// bytes returns n bytes of the file at offset off, n being at most windowSize; nil when they cannot be read. They are
// valid until the next call.
func (w *window) bytes(off int64, n int) []byte {
	if i := off - w.start; i >= 0 && i <= int64(w.n-n) {
		return w.buf[i : int(i)+n]
	}
	if off+int64(n) > w.size || !w.fill(off) || n > w.n {
		return nil
	}
	return w.buf[:n]
}

// fill reads a window that begins at off.
func (w *window) fill(off int64) bool {
	if w.reads++; w.reads > maxReads {
		return false
	}
	w.start = off
	w.n, _ = w.r.ReadAt(w.buf[:min(windowSize, w.size-off)], off)
	return w.n > 0
}

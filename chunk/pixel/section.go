package pixel

import (
	"encoding/binary"
	"fmt"
	"math/bits"

	"github.com/klauspost/compress/huff0"
)

// A section is a run of bytes whose length the reader knows, coded in parts of sectionPart bytes (the last may be shorter),
// each as uvarint(length<<2 | kind) and length bytes.
const sectionPart = 1 << 17

const (
	kindRaw    = 0 // the bytes
	kindRepeat = 1 // one byte, repeated
	kindHuff   = 2 // a Huffman tree description and four bit streams (RFC 8878, 4.2)
	kindSparse = 3 // a section of flags, a bit for each word of four bytes, then a section of the words that are not zero
)

// maxDepth bounds sections within sections.
const maxDepth = 2

// sectionWriter holds what coding sections needs.
type sectionWriter struct {
	huffman huffmanWriter
	flags   [maxDepth][sectionPart / 32]byte
	kept    [maxDepth][]byte
}

// append codes data at the end of dst.
func (s *sectionWriter) append(dst, data []byte, depth int) []byte {
	for len(data) > sectionPart {
		dst = s.part(dst, data[:sectionPart], depth)
		data = data[sectionPart:]
	}
	if len(data) > 0 {
		dst = s.part(dst, data, depth)
	}
	return dst
}

func (s *sectionWriter) part(dst, data []byte, depth int) []byte {
	if depth < maxDepth && len(data)%4 == 0 && len(data) >= 64 {
		if flags, kept, ok := s.split(data, depth); ok {
			start := len(dst)
			dst = append(dst, make([]byte, binary.MaxVarintLen32)...)
			body := len(dst)
			dst = s.append(dst, flags, depth+1)
			dst = s.append(dst, kept, depth+1)
			n := len(dst) - body
			head := binary.AppendUvarint(dst[:start], uint64(n)<<2|kindSparse)
			copy(dst[len(head):], dst[body:])
			return dst[:len(head)+n]
		}
	}
	start := len(dst)
	dst = append(dst, make([]byte, binary.MaxVarintLen32)...)
	body := len(dst)
	coded, ok := s.huffman.append(dst, data)
	switch {
	case ok:
		n := len(coded) - body
		head := binary.AppendUvarint(coded[:start], uint64(n)<<2|kindHuff)
		copy(coded[len(head):], coded[body:])
		return coded[:len(head)+n]
	case repeated(data):
		dst = binary.AppendUvarint(dst[:start], 1<<2|kindRepeat)
		return append(dst, data[0])
	default:
		dst = binary.AppendUvarint(dst[:start], uint64(len(data))<<2|kindRaw)
		return append(dst, data...)
	}
}

func repeated(data []byte) bool {
	for _, v := range data {
		if v != data[0] {
			return false
		}
	}
	return true
}

// split separates the words of four bytes that are zero, or says that they are too few.
func (s *sectionWriter) split(data []byte, depth int) (flags, kept []byte, ok bool) {
	words := len(data) / 4
	some, used := min(words, 64), 0
	for k := range some { // which spares most sections the rest
		used += notZero(binary.LittleEndian.Uint32(data[4*pick(words, some, k):]))
	}
	if 2*used > some {
		return nil, nil, false
	}
	flags = s.flags[depth][:(words+7)/8]
	clear(flags)
	kept = resize(s.kept[depth], len(data))
	s.kept[depth] = kept
	used = 0
	for i := range words { // without a branch, which could not be foreseen
		w := binary.LittleEndian.Uint32(data[4*i:])
		binary.LittleEndian.PutUint32(kept[4*used:], w)
		flags[i/8] |= byte(notZero(w) << (i % 8))
		used += notZero(w)
	}
	return flags, kept[:4*used], used > 0 && 8*used <= 3*words
}

// notZero is 1, or 0 for 0.
func notZero(w uint32) int { return int(-uint64(w) >> 63) }

// sectionReader holds what decoding sections needs.
type sectionReader struct {
	huff  huff0.Scratch
	flags [maxDepth][sectionPart / 32]byte
}

// read decodes a section of len(dst) bytes from the start of src, and returns what follows it.
func (s *sectionReader) read(dst, src []byte, depth int) ([]byte, error) {
	var err error
	for len(dst) > 0 && err == nil {
		n := min(len(dst), sectionPart)
		src, err = s.part(dst[:n:n], src, depth)
		dst = dst[n:]
	}
	return src, err
}

func (s *sectionReader) part(dst, src []byte, depth int) ([]byte, error) {
	head, k := binary.Uvarint(src)
	if k <= 0 || head>>2 > uint64(len(src)-k) {
		return nil, fmt.Errorf("section is cut short: %w", ErrCorrupt)
	}
	n := int(head >> 2)
	body, rest := src[k:k+n], src[k+n:]
	switch head & 3 {
	case kindRaw:
		if n != len(dst) {
			return nil, fmt.Errorf("section holds %d bytes, not %d: %w", n, len(dst), ErrCorrupt)
		}
		copy(dst, body)
	case kindRepeat:
		if n != 1 {
			return nil, fmt.Errorf("repeated byte is %d bytes: %w", n, ErrCorrupt)
		}
		for i := range dst {
			dst[i] = body[0]
		}
	case kindHuff:
		if err := s.huffman(dst, body); err != nil {
			return nil, err
		}
	case kindSparse:
		return rest, s.sparse(dst, body, depth)
	}
	return rest, nil
}

func (s *sectionReader) huffman(dst, body []byte) error {
	scratch, streams, err := huff0.ReadTable(body, &s.huff)
	if err != nil {
		return fmt.Errorf("section's code table: %w", ErrCorrupt)
	}
	out, err := scratch.Decoder().Decompress4X(dst, streams)
	if err != nil || len(out) != len(dst) {
		return fmt.Errorf("section's code: %w", ErrCorrupt)
	}
	return nil
}

func (s *sectionReader) sparse(dst, body []byte, depth int) error {
	if depth >= maxDepth || len(dst)%4 != 0 {
		return fmt.Errorf("sparse section in the wrong place: %w", ErrCorrupt)
	}
	words := len(dst) / 4
	flags := s.flags[depth][:(words+7)/8]
	body, err := s.read(flags, body, depth+1)
	if err != nil {
		return err
	}
	n := 0
	for _, f := range flags {
		n += 4 * bits.OnesCount8(f)
	}
	if n > len(dst) {
		return fmt.Errorf("sparse section has too many words: %w", ErrCorrupt)
	}
	kept := dst[len(dst)-n:] // read from the end of dst, never behind what is written from its start
	if body, err = s.read(kept, body, depth+1); err != nil {
		return err
	}
	if len(body) != 0 {
		return fmt.Errorf("sparse section has %d bytes too many: %w", len(body), ErrCorrupt)
	}
	for i := range words {
		var g uint32
		if flags[i/8]>>(i%8)&1 != 0 {
			g = binary.LittleEndian.Uint32(kept)
			kept = kept[4:]
		}
		binary.LittleEndian.PutUint32(dst[4*i:], g)
	}
	return nil
}

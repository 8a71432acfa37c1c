package snapshot

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"github.com/orthokeep/orthokeep/repo"
)

const (
	headItem  = 36
	blockItem = 32
)

// headRef is a chunk of the head stream.
type headRef struct {
	id     repo.ID
	length uint32
}

func (h headRef) append(dst []byte) []byte {
	return binary.LittleEndian.AppendUint32(append(dst, h.id[:]...), h.length)
}

func parseHeadRef(b []byte) (headRef, error) {
	h := headRef{repo.ID(b[:32]), binary.LittleEndian.Uint32(b[32:])}
	if h.length == 0 || h.length > repo.MaxBlob {
		return h, fmt.Errorf("head chunk out of bounds: %w", repo.ErrCorrupt)
	}
	return h, nil
}

// MarshalText writes a chunk in hexadecimal, as a journal has it.
func (h headRef) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, h.append(nil)), nil }

// UnmarshalText reads what MarshalText wrote.
func (h *headRef) UnmarshalText(text []byte) (err error) {
	raw, err := hex.DecodeString(string(text))
	if err != nil || len(raw) != headItem {
		return fmt.Errorf("head chunk is not readable: %w", repo.ErrCorrupt)
	}
	*h, err = parseHeadRef(raw)
	return err
}

// blockRef says where a block of entries lies.
type blockRef struct {
	first   Key
	entries uint32
	offset  int64
	length  uint32
}

func (b blockRef) append(dst []byte) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, uint64(b.first.ID))
	dst = binary.LittleEndian.AppendUint32(dst, uint32(b.first.FileType))
	dst = binary.LittleEndian.AppendUint32(dst, b.entries)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(b.offset))
	dst = binary.LittleEndian.AppendUint32(dst, b.length)
	return append(dst, 0, 0, 0, 0)
}

// blockWriter writes entries in blocks to w and the list of blocks to index.
type blockWriter struct {
	w, index io.Writer
	buf      []byte // the block, with room for its length in front
	entries  uint32
	first    Key
	last     Key
	any      bool
	offset   int64
	scratch  []byte
}

func newBlockWriter(w, index io.Writer) *blockWriter {
	return &blockWriter{w: w, index: index, buf: make([]byte, blockPrefix)}
}

// write adds an entry; entries come in order.
func (w *blockWriter) write(e *Entry) error {
	if w.any && e.Key.Compare(w.last) <= 0 {
		return fmt.Errorf("attachments %d/%d and %d/%d are out of order", w.last.ID, w.last.FileType, e.ID, e.FileType)
	}
	previous := w.last.ID
	if w.entries == 0 {
		previous = 0
	}
	at := len(w.buf)
	w.buf = e.append(w.buf, previous)
	if len(w.buf)-blockPrefix > maxBlock && w.entries > 0 { // does not fit: begin a block with it
		w.buf = w.buf[:at]
		if err := w.flush(); err != nil {
			return err
		}
		w.buf = e.append(w.buf, 0)
	}
	if len(w.buf)-blockPrefix > maxBlock {
		return fmt.Errorf("attachment %s has too many chunks for a manifest", e.UUID)
	}
	if w.entries == 0 {
		w.first = e.Key
	}
	w.last, w.any = e.Key, true
	if w.entries++; w.entries == blockEntries {
		return w.flush()
	}
	return nil
}

// flush ends the block.
func (w *blockWriter) flush() error {
	if w.entries == 0 {
		return nil
	}
	binary.LittleEndian.PutUint32(w.buf, uint32(len(w.buf)-blockPrefix))
	if _, err := w.w.Write(w.buf); err != nil {
		return err
	}
	w.scratch = blockRef{w.first, w.entries, w.offset, uint32(len(w.buf))}.append(w.scratch[:0])
	if _, err := w.index.Write(w.scratch); err != nil {
		return err
	}
	w.offset += int64(len(w.buf))
	w.buf, w.entries = w.buf[:blockPrefix], 0
	return nil
}

// blockReader reads entries in order. It holds one block.
type blockReader struct {
	r     *bufio.Reader
	block []byte // what is left of it
	buf   []byte
	last  Key
	any   bool
	taken int // entries of the block that were read
}

func newBlockReader(r io.Reader) *blockReader { return &blockReader{r: bufio.NewReaderSize(r, 64<<10)} }

// read reads the next entry into e; io.EOF after the last.
func (r *blockReader) read(e *Entry) error {
	if len(r.block) == 0 {
		if err := r.next(); err != nil {
			return err
		}
	}
	previous := r.last.ID
	switch r.taken {
	case 0:
		previous = 0
	case blockEntries:
		return fmt.Errorf("manifest block has too many entries: %w", repo.ErrCorrupt)
	}
	rest, err := e.parse(r.block, previous)
	if err != nil {
		return err
	}
	if r.any && e.Key.Compare(r.last) <= 0 {
		return fmt.Errorf("manifest entries out of order: %w", repo.ErrCorrupt)
	}
	r.block, r.last, r.any = rest, e.Key, true
	r.taken++
	return nil
}

func (r *blockReader) next() error {
	var prefix [blockPrefix]byte
	if _, err := io.ReadFull(r.r, prefix[:]); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return fmt.Errorf("manifest is cut short: %w", repo.ErrCorrupt)
		}
		return err
	}
	n := binary.LittleEndian.Uint32(prefix[:])
	if n == 0 || n > maxBlock {
		return fmt.Errorf("manifest block out of bounds: %w", repo.ErrCorrupt)
	}
	if cap(r.buf) < int(n) {
		r.buf = make([]byte, n)
	}
	r.block, r.taken = r.buf[:n], 0
	if _, err := io.ReadFull(r.r, r.block); err != nil {
		if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) {
			return fmt.Errorf("manifest is cut short: %w", repo.ErrCorrupt)
		}
		return err
	}
	return nil
}

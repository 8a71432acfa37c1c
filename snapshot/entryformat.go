package snapshot

import (
	"encoding/binary"
	"fmt"

	"github.com/orthokeep/orthokeep/repo"
)

// Attachment is a line of the index's list of attachments.
type Attachment struct {
	ID           int64 // of the resource
	FileType     int
	UUID         UUID
	Size         int64 // bytes of the file in the storage area
	Uncompressed int64 // bytes
	Compression  int   // Orthanc's compressionType
	MD5          [16]byte
	HasMD5       bool // the index states the MD5 of the file
}

// Key orders attachments.
type Key struct {
	ID       int64
	FileType int
}

// Compare is negative, zero or positive as k comes before, is, or comes after o.
func (k Key) Compare(o Key) int {
	switch {
	case k.ID < o.ID, k.ID == o.ID && k.FileType < o.FileType:
		return -1
	case k == o:
		return 0
	}
	return 1
}

// Key returns the attachment's place in the order.
func (a Attachment) Key() Key { return Key{a.ID, a.FileType} }

// bulkRef is a chunk of pixel data, or of a file that is not DICOM.
type bulkRef struct {
	id     repo.ID
	length int64
}

// Entry is what a manifest says of one attachment: where its bytes lie.
type Entry struct {
	Key
	UUID         UUID
	Size         int64
	Uncompressed int64
	Compression  int
	Stated       bool     // the index stated an MD5
	MD5          [16]byte // keyed hash of the file's MD5
	deleted      bool     // in a delta: the key is gone
	headLength   int64
	headChunk    uint64 // number in the layer's heads
	headOffset   int64  // bytes from the start of that chunk
	bulk         []bulkRef
}

const (
	flagDeleted      = 1 << 0
	flagStated       = 1 << 1
	flagUncompressed = 1 << 2

	blockPrefix  = 4
	blockEntries = 512
	maxBlock     = 1 << 20
	maxFileType  = 65535
	maxFileSize  = 1 << 48
)

// append adds the entry's form in a manifest to dst; previous is the id of the entry before in the block, 0 at its start.
func (e *Entry) append(dst []byte, previous int64) []byte {
	dst = binary.AppendUvarint(dst, uint64(e.ID-previous))
	dst = binary.AppendUvarint(dst, uint64(e.FileType))
	if e.deleted {
		return append(dst, flagDeleted)
	}
	var flags byte
	if e.Stated {
		flags |= flagStated
	}
	if e.Uncompressed != e.Size {
		flags |= flagUncompressed
	}
	dst = append(append(dst, flags), e.UUID[:]...)
	dst = binary.AppendUvarint(dst, uint64(e.Size))
	if flags&flagUncompressed != 0 {
		dst = binary.AppendUvarint(dst, uint64(e.Uncompressed))
	}
	dst = binary.AppendUvarint(dst, uint64(e.Compression))
	dst = append(dst, e.MD5[:]...)
	dst = binary.AppendUvarint(dst, uint64(e.headLength))
	if e.headLength > 0 {
		dst = binary.AppendUvarint(dst, e.headChunk)
		dst = binary.AppendUvarint(dst, uint64(e.headOffset))
	}
	dst = binary.AppendUvarint(dst, uint64(len(e.bulk)))
	for _, b := range e.bulk {
		dst = append(dst, b.id[:]...)
		dst = binary.AppendUvarint(dst, uint64(b.length))
	}
	return dst
}

// entryReader takes fields from the front of b; after the first one that is out of bounds, bad is set and all are zero.
type entryReader struct {
	b   []byte
	bad bool
}

func (r *entryReader) number(limit uint64) uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || v > limit || (n > 1 && r.b[n-1] == 0) {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *entryReader) bytes(dst []byte) {
	if len(r.b) < len(dst) {
		r.bad, r.b = true, nil
		return
	}
	r.b = r.b[copy(dst, r.b):]
}

// parse reads the first entry of b into e, whose memory for bulk is used again, and returns what follows.
func (e *Entry) parse(b []byte, previous int64) ([]byte, error) {
	r := entryReader{b: b}
	bulk := e.bulk[:0]
	*e = Entry{}
	e.ID = previous + int64(r.number(1<<62))
	e.FileType = int(r.number(maxFileType))
	var flags [1]byte
	r.bytes(flags[:])
	e.deleted = flags[0]&flagDeleted != 0
	if e.ID < 0 || flags[0] > 7 || (e.deleted && flags[0] != flagDeleted) {
		r.bad = true
	}
	if !e.deleted && !r.bad {
		e.Stated = flags[0]&flagStated != 0
		bulk = e.parseBody(&r, flags[0], bulk)
	}
	if r.bad {
		return nil, fmt.Errorf("manifest entry out of bounds: %w", repo.ErrCorrupt)
	}
	e.bulk = bulk
	return r.b, nil
}

func (e *Entry) parseBody(r *entryReader, flags byte, bulk []bulkRef) []bulkRef {
	r.bytes(e.UUID[:])
	e.Size = int64(r.number(maxFileSize))
	e.Uncompressed = e.Size
	if flags&flagUncompressed != 0 {
		e.Uncompressed = int64(r.number(maxFileSize))
		r.bad = r.bad || e.Uncompressed == e.Size
	}
	e.Compression = int(r.number(1 << 31))
	r.bytes(e.MD5[:])
	e.headLength = int64(r.number(maxFileSize))
	if e.headLength > 0 {
		e.headChunk = r.number(1 << 48)
		e.headOffset = int64(r.number(repo.MaxBlob))
	}
	sum := e.headLength
	for n := r.number(uint64(len(r.b)) / 33); n > 0 && !r.bad; n-- {
		var b bulkRef
		r.bytes(b.id[:])
		b.length = int64(r.number(repo.MaxBlob))
		sum += b.length
		bulk = append(bulk, b)
	}
	if sum != e.Size {
		r.bad = true
	}
	return bulk
}

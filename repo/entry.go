package repo

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

const (
	entrySize    = 52
	packCellSize = 52
	packCellSum  = 48 // offset of the checksum
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksum is the CRC-32C of b, going on from what tells volumes, and parts of a volume, apart: b counts only where it was written.
func checksum(seed, number uint32, b []byte) uint32 {
	return crc32.Update(seed^number, castagnoli, b)
}

// entry is one copy of a blob as a volume has it (FORMAT.md section 14).
type entry struct {
	id     ID
	pack   uint32 // number in the volume
	offset uint32 // bytes from the start of the pack
	sealed uint32 // bytes
	plain  uint32 // bytes
	epoch  uint32 // number in the catalogue; 0: structure key
}

// class follows from what seals a blob.
func (e entry) class() Class {
	if e.epoch == 0 {
		return Structure
	}
	return Content
}

func prefixOf(id ID) uint64 { return binary.BigEndian.Uint64(id[:8]) }

func (e entry) appendTo(dst []byte) []byte {
	dst = append(dst, e.id[:]...)
	for _, n := range [...]uint32{e.pack, e.offset, e.sealed, e.plain, e.epoch} {
		dst = binary.LittleEndian.AppendUint32(dst, n)
	}
	return dst
}

func parseEntry(b []byte) entry {
	le := binary.LittleEndian
	return entry{ID(b[:32]), le.Uint32(b[32:]), le.Uint32(b[36:]), le.Uint32(b[40:]), le.Uint32(b[44:]), le.Uint32(b[48:])}
}

// packCell is a pack as a volume has it.
type packCell struct {
	id      packID
	segment uint32 // number of the segment that lists it
	size    int64  // bytes of the pack's file
	blobs   uint32
	class   Class
}

// appendTo appends the bytes of a pack with a number in the volume of a seed.
func (p packCell) appendTo(dst []byte, seed, number uint32) []byte {
	at := len(dst)
	dst = append(dst, p.id[:]...)
	dst = binary.LittleEndian.AppendUint32(dst, p.segment)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(p.size))
	dst = binary.LittleEndian.AppendUint32(dst, p.blobs)
	dst = append(dst, byte(p.class), 0, 0, 0)
	return binary.LittleEndian.AppendUint32(dst, checksum(seed, number, dst[at:]))
}

func parsePackCell(b []byte, seed, number uint32) (packCell, error) {
	le := binary.LittleEndian
	if checksum(seed, number, b[:packCellSum]) != le.Uint32(b[packCellSum:]) {
		return packCell{}, fmt.Errorf("%w: a pack is not what was written", errDerived)
	}
	return packCell{packID(b[:32]), le.Uint32(b[32:]), int64(le.Uint32(b[36:])), le.Uint32(b[40:]), Class(b[44])}, nil
}

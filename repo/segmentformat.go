package repo

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/orthokeep/orthokeep/repo/storage"
)

// packRecord is what a segment says of one pack.
type packRecord struct {
	id    packID
	class Class
	size  int64 // bytes of the pack's file
	table packTable
}

const recordHead = 44

func (p packRecord) appendTo(dst []byte) []byte {
	dst = append(dst, p.id[:]...)
	dst = append(dst, byte(p.class), 0, 0, 0)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(p.size))
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(p.table)))
	return append(dst, p.table...)
}

// parseRecord reads the first record of b and returns what follows it. The record shares b.
func parseRecord(b []byte) (p packRecord, rest []byte, err error) {
	if len(b) < recordHead {
		return p, nil, fmt.Errorf("pack record is cut short: %w", ErrCorrupt)
	}
	p.id, p.class = packID(b[:32]), Class(b[32])
	p.size = int64(binary.LittleEndian.Uint32(b[36:]))
	n := int64(binary.LittleEndian.Uint32(b[40:]))
	if !p.class.valid() || b[33]|b[34]|b[35] != 0 || p.size > maxPack || n > int64(len(b)-recordHead) {
		return p, nil, fmt.Errorf("pack record is out of bounds: %w", ErrCorrupt)
	}
	if p.table, err = parseTable(b[recordHead:recordHead+n], p.class); err != nil {
		return p, nil, err
	}
	if p.table.end()+n+sealOverhead+packTrailer != p.size {
		return p, nil, fmt.Errorf("pack record does not add up: %w", ErrCorrupt)
	}
	return p, b[recordHead+n:], nil
}

// segment is the tables of packs that one run added, and the segments that it takes the place of.
type segment struct {
	supersedes []string
	packs      []packRecord
}

// segmentRoom is the number of bytes from which on a segment takes no more packs. Tests lower it.
var segmentRoom = maxBody / 2

func (s segment) marshal() []byte {
	out := binary.LittleEndian.AppendUint16(nil, uint16(len(s.supersedes)))
	for _, name := range s.supersedes {
		out = append(binary.LittleEndian.AppendUint16(out, uint16(len(name))), name...)
	}
	out = append(out, 0, 0)
	out = binary.LittleEndian.AppendUint32(out, uint32(len(s.packs)))
	for _, p := range s.packs {
		out = p.appendTo(out)
	}
	return out
}

// openSegment opens a segment and reads what it says.
func (d *derived) openSegment(name string, raw []byte) (segment, error) {
	body, err := d.openObject(KindSegment, name, raw)
	if err != nil {
		return segment{}, err
	}
	return parseSegment(body)
}

// parseSegment reads what marshal wrote, bounded by the length of b. The result shares b.
func parseSegment(b []byte) (s segment, err error) {
	short := fmt.Errorf("segment is cut short: %w", ErrCorrupt)
	u16 := func() (int, bool) {
		if len(b) < 2 {
			return 0, false
		}
		n := int(binary.LittleEndian.Uint16(b))
		b = b[2:]
		return n, true
	}
	names, ok := u16()
	if !ok {
		return s, short
	}
	for range names {
		n, ok := u16()
		if !ok || n > len(b) {
			return segment{}, short
		}
		name := string(b[:n])
		if !strings.HasPrefix(name, segmentsPrefix) || storage.CheckName(name) != nil {
			return segment{}, fmt.Errorf("segment takes the place of what is none: %w", ErrCorrupt)
		}
		s.supersedes = append(s.supersedes, name)
		b = b[n:]
	}
	if zero, ok := u16(); !ok || zero != 0 || len(b) < 4 {
		return segment{}, short
	}
	packs := binary.LittleEndian.Uint32(b)
	b = b[4:]
	for range packs {
		var p packRecord
		if p, b, err = parseRecord(b); err != nil {
			return segment{}, err
		}
		s.packs = append(s.packs, p)
	}
	if len(b) != 0 {
		return segment{}, fmt.Errorf("segment has bytes left over: %w", ErrCorrupt)
	}
	return s, nil
}

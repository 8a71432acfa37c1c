package repo

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"

	"github.com/zeebo/blake3"
)

const (
	packMagic      = "OKPP"
	trailerMagic   = "OKPT"
	packVersion    = 1
	packHeader     = 32
	packTrailer    = 16
	maxPack        = 128 << 20
	maxBlobsInPack = 1 << 20
	structureEpoch = 65535 // in a table: sealed with the structure key
	tableHead      = 8
	tableEpoch     = 16
	tableBlob      = 48
	maxTable       = tableHead + tableEpoch*structureEpoch + tableBlob*maxBlobsInPack
)

// packID names a pack: the BLAKE3-256 of its file.
type packID [32]byte

func (p packID) String() string { return hex.EncodeToString(p[:]) }

func (p packID) object() string {
	h := p.String()
	return "packs/" + h[:2] + "/" + h
}

func parsePackName(object string) (p packID, ok bool) {
	const prefix = len("packs/ab/")
	if len(object) != prefix+64 {
		return p, false
	}
	if _, err := hex.Decode(p[:], []byte(object[prefix:])); err != nil {
		return p, false
	}
	return p, p.object() == object
}

// tableEntry is one blob of a pack.
type tableEntry struct {
	id     ID
	epoch  uint16 // position in the table's list of epochs, or structureEpoch
	offset uint32 // bytes from the start of the pack
	sealed uint32 // bytes
	plain  uint32 // bytes
}

// packTable is a checked table in its encoded form. It lists one blob at least.
type packTable []byte

func (t packTable) epochs() int { return int(binary.LittleEndian.Uint16(t)) }
func (t packTable) len() int    { return int(binary.LittleEndian.Uint32(t[4:])) }

func (t packTable) epoch(i uint16) (id [16]byte) {
	copy(id[:], t[tableHead+tableEpoch*int(i):])
	return id
}

// epochOf is the epoch of a blob; zero where the structure key seals it.
func (t packTable) epochOf(e tableEntry) (id [16]byte) {
	if e.epoch == structureEpoch {
		return id
	}
	return t.epoch(e.epoch)
}

func (t packTable) raw(i int) []byte {
	at := tableHead + tableEpoch*t.epochs() + tableBlob*i
	return t[at : at+tableBlob]
}

func (t packTable) entry(i int) tableEntry {
	b := t.raw(i)
	return tableEntry{ID(b[:32]), binary.LittleEndian.Uint16(b[32:]), binary.LittleEndian.Uint32(b[36:]),
		binary.LittleEndian.Uint32(b[40:]), binary.LittleEndian.Uint32(b[44:])}
}

// end is the offset at which the last blob ends.
func (t packTable) end() int64 {
	last := t.entry(t.len() - 1)
	return int64(last.offset) + int64(last.sealed)
}

func marshalTable(epochs [][16]byte, entries []tableEntry) packTable {
	out := make([]byte, 0, tableHead+tableEpoch*len(epochs)+tableBlob*len(entries))
	out = binary.LittleEndian.AppendUint16(out, uint16(len(epochs)))
	out = append(out, 0, 0)
	out = binary.LittleEndian.AppendUint32(out, uint32(len(entries)))
	for _, e := range epochs {
		out = append(out, e[:]...)
	}
	for _, e := range entries {
		out = append(out, e.id[:]...)
		out = binary.LittleEndian.AppendUint16(out, e.epoch)
		out = append(out, 0, 0)
		out = binary.LittleEndian.AppendUint32(out, e.offset)
		out = binary.LittleEndian.AppendUint32(out, e.sealed)
		out = binary.LittleEndian.AppendUint32(out, e.plain)
	}
	return out
}

// parseTable checks every field of a table of a pack of the given class. The result shares b.
func parseTable(b []byte, class Class) (packTable, error) {
	if len(b) < tableHead {
		return nil, fmt.Errorf("table is cut short: %w", ErrCorrupt)
	}
	epochs, n := int(binary.LittleEndian.Uint16(b)), int64(binary.LittleEndian.Uint32(b[4:]))
	if b[2]|b[3] != 0 || n == 0 || n > maxBlobsInPack || int64(epochs) > n || int64(len(b)) != tableHead+tableEpoch*int64(epochs)+tableBlob*n {
		return nil, fmt.Errorf("table has another length than stated: %w", ErrCorrupt)
	}
	t, next := packTable(b), uint64(packHeader)
	for i := range int(n) {
		e, raw := t.entry(i), t.raw(i)
		epochOK := int(e.epoch) < epochs
		if class == Structure {
			epochOK = e.epoch == structureEpoch
		}
		if !epochOK || raw[34]|raw[35] != 0 || uint64(e.offset) != next || e.plain > MaxBlob ||
			e.sealed < sealOverhead+1 || e.sealed > e.plain+1+sealOverhead {
			return nil, fmt.Errorf("table entry %d is out of bounds: %w", i, ErrCorrupt)
		}
		next += uint64(e.sealed)
	}
	if next > maxPack {
		return nil, fmt.Errorf("table describes a pack over the limit: %w", ErrCorrupt)
	}
	return t, nil
}

func marshalPackHeader(class Class, salt [24]byte) []byte {
	out := append(make([]byte, 0, packHeader), packMagic...)
	out = append(out, packVersion, byte(class), 0, 0)
	return append(out, salt[:]...)
}

func parsePackHeader(name string, b []byte) (Class, error) {
	if len(b) < packHeader || string(b[:4]) != packMagic {
		return 0, corrupt(name, "not a pack")
	}
	if b[4] != packVersion {
		return 0, fmt.Errorf("%s: pack version %d: %w", name, b[4], ErrUnsupported)
	}
	if c := Class(b[5]); c.valid() && b[6]|b[7] == 0 {
		return c, nil
	}
	return 0, corrupt(name, "pack header out of bounds")
}

// appendTrailer seals the table and appends it and the trailer to a pack that ends after its last blob.
func (d *derived) appendTrailer(pack []byte, nonce []byte, table packTable) []byte {
	at := len(pack)
	pack = seal(pack, d.table(pack[:packHeader]), nonce, table, nil)
	size := len(pack) - at
	pack = binary.LittleEndian.AppendUint32(pack, uint32(at))
	pack = binary.LittleEndian.AppendUint32(pack, uint32(size))
	return append(append(pack, 0, 0, 0, 0), trailerMagic...)
}

// parseTrailer returns where the sealed table of a pack of the given size lies.
func parseTrailer(name string, b []byte, size int64) (offset, length int64, err error) {
	if len(b) != packTrailer || !bytes.Equal(b[8:], []byte("\x00\x00\x00\x00"+trailerMagic)) {
		return 0, 0, corrupt(name, "pack trailer is missing")
	}
	offset, length = int64(binary.LittleEndian.Uint32(b)), int64(binary.LittleEndian.Uint32(b[4:]))
	if offset < packHeader || length < sealOverhead+tableHead || length > maxTable+sealOverhead || offset+length+packTrailer != size {
		return 0, 0, corrupt(name, "pack trailer out of bounds")
	}
	return offset, length, nil
}

// parsePack checks a whole pack, except its blobs, and returns its class and table.
func (d *derived) parsePack(name string, pack []byte) (Class, packTable, error) {
	class, err := parsePackHeader(name, pack)
	if err != nil {
		return 0, nil, err
	}
	if len(pack) < packHeader+packTrailer {
		return 0, nil, corrupt(name, "pack is cut short")
	}
	at, n, err := parseTrailer(name, pack[len(pack)-packTrailer:], int64(len(pack)))
	if err != nil {
		return 0, nil, err
	}
	plain, ok := unseal(nil, d.table(pack[:packHeader]), pack[at:at+n], nil)
	if !ok {
		return 0, nil, corrupt(name, "table is not genuine")
	}
	t, err := parseTable(plain, class)
	if err != nil {
		return 0, nil, fmt.Errorf("%s: %w", name, err)
	}
	if t.end() != at {
		return 0, nil, corrupt(name, "table does not describe the pack")
	}
	return class, t, nil
}

func hashPack(pack []byte) packID { return blake3.Sum256(pack) }

package repo

// packBuilder collects the sealed blobs of one pack in memory.
type packBuilder struct {
	class   Class
	buf     []byte
	epochs  [][16]byte
	entries []tableEntry
}

// newPackBuilder begins a pack in buf, whose contents do not matter.
func newPackBuilder(class Class, buf []byte) *packBuilder {
	var salt [24]byte
	fillRandom(salt[:])
	return packBuilderWithSalt(class, buf, salt)
}

func packBuilderWithSalt(class Class, buf []byte, salt [24]byte) *packBuilder {
	return &packBuilder{class: class, buf: append(buf[:0], marshalPackHeader(class, salt)...)}
}

func (b *packBuilder) len() int { return len(b.buf) }

// add appends a sealed blob. A nil epoch means the structure key.
func (b *packBuilder) add(epochID *[16]byte, id ID, sealed []byte, plain int) {
	e := tableEntry{id: id, epoch: structureEpoch, offset: uint32(len(b.buf)), sealed: uint32(len(sealed)), plain: uint32(plain)}
	if epochID != nil {
		e.epoch = b.epochIndex(*epochID)
	}
	b.entries = append(b.entries, e)
	b.buf = append(b.buf, sealed...)
}

func (b *packBuilder) epochIndex(id [16]byte) uint16 {
	for i, e := range b.epochs {
		if e == id {
			return uint16(i)
		}
	}
	b.epochs = append(b.epochs, id)
	return uint16(len(b.epochs) - 1)
}

// finish returns the pack. Data is the buffer, grown where it was too small.
func (b *packBuilder) finish(keys *derived) (record packRecord, data []byte) {
	return b.finishWithNonce(keys, nil)
}

func (b *packBuilder) finishWithNonce(keys *derived, nonce []byte) (record packRecord, data []byte) {
	table := marshalTable(b.epochs, b.entries)
	b.buf = keys.appendTrailer(b.buf, nonce, table)
	return packRecord{hashPack(b.buf), b.class, int64(len(b.buf)), table}, b.buf
}

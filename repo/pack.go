package repo

import "sync"

// packBuilder collects the sealed blobs of one pack in memory.
type packBuilder struct {
	class   Class
	buf     []byte
	epochs  [][16]byte
	entries []tableEntry
}

// packBuffers are the buffers of packs that have been written.
var packBuffers sync.Pool

func newPackBuilder(class Class, size int) *packBuilder {
	var salt [24]byte
	fillRandom(salt[:])
	return packBuilderWithSalt(class, size, salt)
}

func packBuilderWithSalt(class Class, size int, salt [24]byte) *packBuilder {
	b := &packBuilder{class: class}
	if old, ok := packBuffers.Get().(*[]byte); ok {
		b.buf = (*old)[:0]
	} else {
		b.buf = make([]byte, 0, size+size/8)
	}
	b.buf = append(b.buf, marshalPackHeader(class, salt)...)
	return b
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

// finish returns the pack. Data is valid until release.
func (b *packBuilder) finish(keys *derived) (record packRecord, data []byte) {
	return b.finishWithNonce(keys, nil)
}

func (b *packBuilder) finishWithNonce(keys *derived, nonce []byte) (record packRecord, data []byte) {
	table := marshalTable(b.epochs, b.entries)
	b.buf = keys.appendTrailer(b.buf, nonce, table)
	return packRecord{hashPack(b.buf), b.class, int64(len(b.buf)), table}, b.buf
}

// release gives the buffer to the next pack.
func (b *packBuilder) release() {
	buf := b.buf
	b.buf = nil
	packBuffers.Put(&buf)
}

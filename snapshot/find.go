package snapshot

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/orthokeep/orthokeep/repo"
)

// CopyAttachment writes one attachment of a snapshot to dst. It reads the manifest's list of blocks and the one block that
// may name it, not the manifest. The error matches ErrNoAttachment when the snapshot has none under this key, and
// repo.ErrCorrupt when it is damaged: dst may have got a part of it then.
func CopyAttachment(ctx context.Context, r *repo.Repository, root *Root, key Key, dst io.Writer) error {
	p, err := root.Manifest.find(ctx, r, key)
	if err != nil {
		return err
	}
	w := newAttachmentWriter(r, Destination{})
	w.heads = make([][]headRef, p.layer+1)
	if w.heads[p.layer], err = readHeads(ctx, r, root.Manifest.Layers[p.layer]); err != nil {
		return err
	}
	return w.copy(ctx, dst, p)
}

// find looks a key up, in the newest layer first.
func (m Manifest) find(ctx context.Context, from getter, key Key) (placed, error) {
	for i := len(m.Layers) - 1; i >= 0; i-- {
		e, err := m.Layers[i].find(ctx, from, key)
		if errors.Is(err, ErrNoAttachment) {
			continue
		}
		if err == nil && e.deleted {
			err = ErrNoAttachment
		}
		if err != nil {
			return placed{}, fmt.Errorf("attachment %d/%d: %w", key.ID, key.FileType, err)
		}
		return placed{e, i, 0}, nil
	}
	return placed{}, fmt.Errorf("attachment %d/%d: %w", key.ID, key.FileType, ErrNoAttachment)
}

// find looks a key up in one layer; a deletion of it counts as found.
func (l Layer) find(ctx context.Context, from getter, key Key) (*Entry, error) {
	b, err := l.block(ctx, from, key)
	if err != nil {
		return nil, err
	}
	s := newStreamReader(ctx, from, repo.Structure, l.Entries)
	if err := s.skip(b.offset); err != nil {
		return nil, err
	}
	r := newBlockReader(io.LimitReader(s, int64(b.length)))
	for e := new(Entry); ; {
		err := r.read(e)
		switch {
		case err == io.EOF:
			return nil, ErrNoAttachment
		case err != nil:
			return nil, err
		case e.Key == key:
			return e, nil
		}
	}
}

// block returns the last block that begins at or before a key.
func (l Layer) block(ctx context.Context, from getter, key Key) (found blockRef, err error) {
	r := newStreamReader(ctx, from, repo.Structure, l.Blocks)
	var raw [blockItem]byte
	for {
		_, err := io.ReadFull(r, raw[:])
		if errors.Is(err, io.ErrUnexpectedEOF) {
			err = fmt.Errorf("list of blocks is cut short: %w", repo.ErrCorrupt)
		}
		if err != nil && err != io.EOF {
			return blockRef{}, err
		}
		if err == io.EOF {
			break
		}
		b, err := parseBlockRef(raw)
		if err != nil {
			return blockRef{}, err
		}
		if b.offset != found.offset+int64(found.length) || found.entries > 0 && b.first.Compare(found.first) <= 0 {
			return blockRef{}, fmt.Errorf("blocks of a manifest are out of order: %w", repo.ErrCorrupt)
		}
		if b.first.Compare(key) > 0 {
			break
		}
		found = b
	}
	if found.entries == 0 {
		return blockRef{}, ErrNoAttachment
	}
	return found, nil
}

// parseBlockRef reads what append wrote.
func parseBlockRef(b [blockItem]byte) (blockRef, error) {
	r := blockRef{
		first:   Key{int64(binary.LittleEndian.Uint64(b[:])), int(binary.LittleEndian.Uint32(b[8:]))},
		entries: binary.LittleEndian.Uint32(b[12:]), offset: int64(binary.LittleEndian.Uint64(b[16:])), length: binary.LittleEndian.Uint32(b[24:]),
	}
	if r.first.ID < 0 || r.first.FileType > maxFileType || r.entries == 0 || r.entries > blockEntries || r.offset < 0 || r.offset > maxStreamSize ||
		r.length <= blockPrefix || r.length > blockPrefix+maxBlock || b[28]|b[29]|b[30]|b[31] != 0 {
		return blockRef{}, fmt.Errorf("block of a manifest out of bounds: %w", repo.ErrCorrupt)
	}
	return r, nil
}

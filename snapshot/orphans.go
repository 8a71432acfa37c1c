package snapshot

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"

	"github.com/orthokeep/orthokeep/repo"
)

// Orphan is a file of the storage area that the index does not name.
type Orphan struct {
	UUID UUID
	Size int64
}

// attachment gives an orphan the key of FORMAT.md section 3.1.
func (o Orphan) attachment() Attachment {
	first, second := binary.BigEndian.Uint64(o.UUID[:8]), binary.BigEndian.Uint64(o.UUID[8:])
	fileType := first<<14&0xffff | second>>50 // the last 2 bits of the first half, and 14 more
	return Attachment{ID: int64(first >> 2), FileType: int(fileType), UUID: o.UUID, Size: o.Size, Uncompressed: o.Size}
}

const orphanPasses = 3 // until none vanishes

// StoreOrphans stores the orphans of a list that is in the order of UUIDs and may be run through several times; those that the
// parent has too are not read again. Those that vanish meanwhile have to vanish from the list as well. The error matches
// ErrInconsistent when they cannot be stored as they are: nothing is lost but them. It is called after StoreManifest.
func (s *Session) StoreOrphans(ctx context.Context, area Area, list iter.Seq2[Orphan, error]) (*Orphans, error) {
	o := *s // a session whose parent's attachments are the parent's orphans
	if s.parent != nil {
		parent := *s.parent
		parent.Manifest = Manifest{}
		if parent.Orphans != nil {
			parent.Manifest = parent.Orphans.Manifest
		}
		o.parent = &parent
	}
	var err error
	if o.carry, err = o.newCarry(ctx); err != nil {
		return nil, err
	}
	defer func() { s.added.Read, s.added.Manifest = o.added.Read, o.added.Manifest }()
	attachments := func(yield func(Attachment, error) bool) {
		for orphan, err := range list {
			if !yield(orphan.attachment(), err) || err != nil {
				return
			}
		}
	}
	for range orphanPasses {
		var d Difference
		vanished, err := o.Store(ctx, area, o.Missing(ctx, attachments, &d))
		if err != nil {
			return nil, err
		}
		if vanished > 0 {
			continue
		}
		m, err := o.StoreManifest(ctx, attachments, d)
		if err != nil {
			return nil, err
		}
		return &Orphans{m, d.Bytes}, nil
	}
	return nil, fmt.Errorf("files vanish while they are stored: %w", ErrInconsistent)
}

// RestoreOrphans writes the stored orphans of a snapshot to a destination, as RestoreAttachments does with attachments.
func RestoreOrphans(ctx context.Context, r *repo.Repository, root *Root, to Destination, p Progress) (Restored, error) {
	if root.Orphans == nil {
		return Restored{}, errors.New("the snapshot has no orphans")
	}
	other := *root
	other.Manifest, other.Counts.Bytes = root.Orphans.Manifest, root.Orphans.Bytes
	return RestoreAttachments(ctx, r, &other, to, p)
}

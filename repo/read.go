package repo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/orthokeep/orthokeep/repo/storage"
)

// Get appends the plain bytes of a blob to dst and verifies them. Where one copy is damaged another one is tried. The
// error matches ErrNotFound when no segment lists the blob, ErrCorrupt when every copy is damaged, and ErrNeedKey when
// the blob is content and the recovery key was not given.
//
// Where no copy is found, or its pack is gone, segments are imported once more: a backup may have stored it, or a prune have moved it,
// since that was done last.
func (r *Repository) Get(ctx context.Context, class Class, id ID, dst []byte) ([]byte, error) {
	out, err := r.get(ctx, class, id, dst)
	if !errors.Is(err, ErrNotFound) && !errors.Is(err, errPackGone) || r.second.Add(1) > secondLooks {
		return out, err
	}
	if err := r.Refresh(ctx); err != nil {
		return nil, err
	}
	return r.get(ctx, class, id, dst)
}

// secondLooks is how often segments are imported because something is missing: where it stays so it is damage, and there may be much of it.
const secondLooks = 20

func (r *Repository) get(ctx context.Context, class Class, id ID, dst []byte) ([]byte, error) {
	copies, err := r.copies(ctx, id)
	if err != nil {
		return nil, err
	}
	if len(copies) == 0 {
		return nil, fmt.Errorf("%s blob %.8s: %w", class, id, ErrNotFound)
	}
	var first error
	for _, read := range []func(context.Context, Class, blobCopy, []byte) ([]byte, error){r.readCopy, r.readHealed} {
		for _, at := range copies {
			out, err := read(ctx, class, at, dst)
			if err == nil {
				r.read.Load().add(at)
			}
			if err == nil || ctx.Err() != nil || errors.Is(err, ErrNeedKey) {
				return out, err
			}
			first = cmp.Or(first, err)
		}
	}
	return nil, first
}

// readHealed reads one copy of a blob whose pack is damaged, as its parity heals it.
func (r *Repository) readHealed(ctx context.Context, class Class, at blobCopy, dst []byte) ([]byte, error) {
	pack, err := r.healPack(ctx, at.in.id)
	if err != nil {
		return nil, err
	}
	if int64(at.offset)+int64(at.sealed) > int64(len(pack)) {
		return nil, corrupt(at.in.id.object(), "a blob beyond its end")
	}
	key, err := r.blobKey(ctx, class, at.epochID)
	if err != nil {
		return nil, err
	}
	return r.openEntry(class, at.id, int(at.plain), key, pack[at.offset:at.offset+at.sealed], dst)
}

// readCopy reads one copy of a blob.
func (r *Repository) readCopy(ctx context.Context, class Class, at blobCopy, dst []byte) ([]byte, error) {
	name := at.in.id.object()
	if at.in.class != class {
		return nil, corrupt(name, "a blob of another class")
	}
	key, err := r.blobKey(ctx, class, at.epochID)
	if err != nil {
		return nil, err
	}
	buf := blobBuffers.Get().(*[]byte)
	defer blobBuffers.Put(buf)
	*buf = slices.Grow((*buf)[:0], int(at.sealed))[:at.sealed]
	sealed := *buf
	if err := r.st.ReadAt(ctx, name, sealed, int64(at.offset)); err != nil {
		if errors.Is(err, storage.ErrNotFound) || errors.Is(err, storage.ErrShort) {
			return nil, fmt.Errorf("%w%w", &CorruptError{name, int64(at.offset), "pack is missing or cut short"}, errPackGone)
		}
		if errors.Is(err, storage.ErrUnreadable) {
			return nil, &CorruptError{name, int64(at.offset), "the disk does not give it back"}
		}
		return nil, fmt.Errorf("read pack %.8s: %w", at.in.id, err)
	}
	out, err := r.openEntry(class, at.id, int(at.plain), key, sealed, dst)
	if errors.Is(err, ErrCorrupt) {
		return nil, &CorruptError{name, int64(at.offset), err.Error()}
	}
	return out, err
}

// openEntry opens a sealed blob and compares it with its ID.
func (r *Repository) openEntry(class Class, id ID, size int, key [32]byte, sealed, dst []byte) ([]byte, error) {
	out, err := r.codec.openBlob(dst, key, id, sealed, size)
	if err != nil {
		return nil, err
	}
	if r.keys.blobID(class, out[len(dst):]) != id {
		return nil, fmt.Errorf("blob is not what its ID says: %w", ErrCorrupt)
	}
	return out, nil
}

// blobKey returns the key of a blob of a class: the structure key, or that of its epoch.
func (r *Repository) blobKey(ctx context.Context, class Class, epoch [16]byte) ([32]byte, error) {
	if class == Structure {
		return r.keys.blobs, nil
	}
	return r.epochKey(ctx, epoch)
}

func (r *Repository) rememberEpoch(e epoch) {
	r.epochMu.Lock()
	defer r.epochMu.Unlock()
	r.epochs[e.id] = e
}

// epochKey opens the key of an epoch, from its second copy when the first is damaged.
func (r *Repository) epochKey(ctx context.Context, id [16]byte) ([32]byte, error) {
	r.epochMu.Lock()
	defer r.epochMu.Unlock()
	if e, ok := r.epochs[id]; ok {
		return e.key, nil
	}
	if r.recovery == nil {
		return [32]byte{}, ErrNeedKey
	}
	var first error
	for _, name := range epochNames(id) {
		var e epoch
		_, err := getWhole(ctx, r.st, name, maxEpoch, func(raw []byte) (err error) {
			e, err = parseEpoch(name, id, raw, r.recovery)
			return err
		})
		if err == nil {
			r.epochs[id] = e
			return e.key, nil
		}
		if errors.Is(err, storage.ErrNotFound) {
			err = corrupt(name, "epoch key is missing")
		}
		if first == nil {
			first = fmt.Errorf("read epoch key: %w", err)
		}
	}
	return [32]byte{}, first
}

// Look returns the plain length of a blob without reading it. The error matches ErrNotFound when no segment lists it, or repair found it
// whole nowhere and nobody has stored it again since; and ErrCorrupt when it lies in packs alone that repair found damaged: it may be whole.
func (r *Repository) Look(ctx context.Context, class Class, id ID) (plain int64, err error) {
	var is keeping
	err = r.search(ctx, func() error {
		is, plain, err = r.blobs.keeping(class, id)
		return err
	})
	switch {
	case err != nil:
		return 0, err
	case is == isLost:
		return 0, fmt.Errorf("%s blob %.8s: %w", class, id, ErrNotFound)
	case is == isInDanger:
		return 0, fmt.Errorf("%s blob %.8s lies in damaged packs alone: %w", class, id, ErrCorrupt)
	}
	return plain, nil
}

package repo

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/orthokeep/orthokeep/repo/storage"
)

// errNoParity means that an object has no parity, or none of use.
var errNoParity = errors.New("no parity heals it")

// getWhole reads an object that verify accepts: as it is stored or, where that is damaged or cannot be read, as its parity heals it.
// The error is that of the object itself when nothing heals it, and matches ErrCorrupt for one over the limit.
func getWhole(ctx context.Context, st storage.Storage, name string, limit int64, verify func([]byte) error) ([]byte, error) {
	raw, err := st.Get(ctx, name, limit)
	switch {
	case errors.Is(err, storage.ErrTooLong):
		err = corrupt(name, "longer than any object of its kind")
	case errors.Is(err, storage.ErrUnreadable):
		err = corrupt(name, "the disk does not give it back")
	case err != nil:
		err = fmt.Errorf("read %s: %w", name, err)
	default:
		if err = verify(raw); err == nil {
			return raw, nil
		}
	}
	if errors.Is(err, storage.ErrNotFound) || ctx.Err() != nil {
		return nil, err
	}
	return healedOr(ctx, st, name, verify, err)
}

// healedOr returns an object as its parity heals it, or the error of the object itself.
func healedOr(ctx context.Context, st storage.Storage, name string, verify func([]byte) error, err error) ([]byte, error) {
	healed, healErr := healObject(ctx, st, name)
	if healErr != nil || verify(healed) != nil {
		return nil, err
	}
	return healed, nil
}

// getKept is getWhole for what nobody ever deletes: it is healed also when it is gone.
func getKept(ctx context.Context, st storage.Storage, name string, limit int64, verify func([]byte) error) ([]byte, error) {
	raw, err := getWhole(ctx, st, name, limit, verify)
	if !errors.Is(err, storage.ErrNotFound) {
		return raw, err
	}
	return healedOr(ctx, st, name, verify, err)
}

// healObject returns what an object was, by its parity. The error matches errNoParity when it cannot be found out.
func healObject(ctx context.Context, st storage.Storage, name string) ([]byte, error) {
	raw, err := st.Get(ctx, parityPrefix+name, maxParityObject)
	if errors.Is(err, storage.ErrNotFound) || errors.Is(err, storage.ErrTooLong) {
		return nil, fmt.Errorf("%s: %w", name, errNoParity)
	}
	if err != nil {
		return nil, fmt.Errorf("read the parity of %s: %w", name, err)
	}
	p, _, err := parseParity(parityPrefix+name, raw)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNoParity, err)
	}
	object, err := readDamaged(ctx, st, name, p.length)
	if err != nil {
		return nil, err
	}
	if !p.heal(object) {
		return nil, fmt.Errorf("%s: more is damaged than its parity heals: %w", name, errNoParity)
	}
	return object, nil
}

// readDamaged returns length bytes of an object, zeros where it cannot be read or is gone.
func readDamaged(ctx context.Context, st storage.Storage, name string, length int64) ([]byte, error) {
	object := make([]byte, length)
	if err := st.ReadAt(ctx, name, object, 0); err == nil {
		return object, nil
	}
	for at := int64(0); at < length; at += shardSize {
		part := object[at:min(at+shardSize, length)]
		err := st.ReadAt(ctx, name, part, at)
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case errors.Is(err, storage.ErrNotFound):
			clear(object)
			return object, nil
		case errors.Is(err, storage.ErrShort):
			return object, readEnd(ctx, st, name, object, at)
		case err != nil:
			clear(part)
		}
	}
	return object, nil
}

// readEnd reads what an object that was cut short has from byte at on, and clears the rest.
func readEnd(ctx context.Context, st storage.Storage, name string, object []byte, at int64) error {
	clear(object[at:])
	size, err := st.Size(ctx, name)
	if err != nil || size <= at || size > int64(len(object)) {
		return ctx.Err()
	}
	if err := st.ReadAt(ctx, name, object[at:size], at); err != nil {
		clear(object[at:])
	}
	return ctx.Err()
}

// maxHealed is the number of healed packs that a repository keeps: blobs of a pack are asked for one after the other.
const maxHealed = 2

// healedPack is a pack that was damaged in the storage.
type healedPack struct {
	id  packID
	raw []byte // nil: nothing heals it
}

// healPack returns a damaged pack as it was. It keeps the last ones, also that nothing heals them. The error matches errNoParity then.
func (r *Repository) healPack(ctx context.Context, id packID) ([]byte, error) {
	r.healMu.Lock()
	defer r.healMu.Unlock()
	if i := slices.IndexFunc(r.healedPacks, func(h healedPack) bool { return h.id == id }); i >= 0 {
		if r.healedPacks[i].raw == nil {
			return nil, errNoParity
		}
		return r.healedPacks[i].raw, nil
	}
	raw, err := healObject(ctx, r.st, id.object())
	if err == nil && hashPack(raw) != id {
		raw, err = nil, fmt.Errorf("%s: its parity is of something else: %w", id.object(), errNoParity)
	}
	if err != nil && !errors.Is(err, errNoParity) {
		return nil, err
	}
	if err == nil {
		r.noteHealed(id.object())
	}
	if len(r.healedPacks) == maxHealed {
		r.healedPacks = slices.Delete(r.healedPacks, 0, 1)
	}
	r.healedPacks = append(r.healedPacks, healedPack{id, raw})
	return raw, err
}

// noteHealed takes down that an object was healed. r.healMu is held.
func (r *Repository) noteHealed(name string) {
	if !slices.Contains(r.healed, name) {
		r.healed = append(r.healed, name)
	}
}

// leaveOut takes down that an object is damaged and was done without.
func (r *Repository) leaveOut(name string) {
	r.healMu.Lock()
	defer r.healMu.Unlock()
	if !slices.Contains(r.leftOut, name) {
		r.leftOut = append(r.leftOut, name)
	}
}

// LeftOut returns the segments and marks that are damaged and were done without (OpenDamaged).
func (r *Repository) LeftOut() []string {
	r.healMu.Lock()
	defer r.healMu.Unlock()
	return slices.Clone(r.leftOut)
}

// Healed returns the objects that were damaged when they were read here, and that their parity healed in memory. They are still damaged
// where they are stored: check and repair put that right.
func (r *Repository) Healed() []string {
	r.healMu.Lock()
	defer r.healMu.Unlock()
	return slices.Clone(r.healed)
}

package repo

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/orthokeep/orthokeep/repo/storage"
)

// verifier returns what decides whether the object of a name is as it was written, and the bytes that it has at most; nil for a name that no object has.
// Whether the table of a whole pack makes sense is another question.
func (r *Repository) verifier(name string) (verify func([]byte) error, limit int64) {
	if id, ok := parsePackName(name); ok {
		return func(raw []byte) error {
			if hashPack(raw) != id {
				return corrupt(name, "checksum mismatch: the pack is not what its name says")
			}
			return nil
		}, maxPack
	}
	if kind := kindOf(name); kind != 0 {
		return func(raw []byte) (err error) {
			if kind == KindSegment {
				_, err = r.keys.openSegment(name, raw)
			} else {
				_, err = r.keys.openObject(kind, name, raw)
			}
			return err
		}, maxObject
	}
	switch {
	case strings.HasPrefix(name, epochsPrefix):
		return func(raw []byte) error {
			_, err := verifyEpoch(name, raw)
			return err
		}, maxEpoch
	case strings.HasPrefix(name, keysPrefix):
		return func(raw []byte) error { return verifyKeyFile(name, raw) }, maxKeyFile
	case name == configName:
		return func(raw []byte) error {
			_, err := parseConfig(raw)
			return err
		}, maxConfig
	}
	return nil, 0
}

// mending is what became of a damaged object.
type mending int

const (
	notMended  mending = iota // nothing says what it was
	mended                    // it is again what it was
	notWritten                // it is known what it was, but the storage does not permit to replace it
)

// mend puts a damaged or lost object right, if its parity says what it was; of an epoch key the other copy does, too.
func (r *Repository) mend(ctx context.Context, name string) (mending, error) {
	verify, limit := r.verifier(name)
	whole, err := healObject(ctx, r.st, name)
	if errors.Is(err, errNoParity) || err == nil && verify(whole) != nil {
		if whole, err = r.otherCopy(ctx, name, limit); errors.Is(err, errNoParity) {
			return notMended, nil
		}
	}
	if err != nil {
		return notMended, err
	}
	// Its parity is deleted before an object is: what is gone by now was not lost.
	if _, err := r.st.Size(ctx, name); errors.Is(err, storage.ErrNotFound) && isProtected(name) {
		if _, err := r.st.Size(ctx, parityPrefix+name); errors.Is(err, storage.ErrNotFound) && !strings.HasPrefix(name, epochsPrefix) {
			return notMended, nil
		}
	}
	err = r.st.Replace(ctx, name, whole)
	if errors.Is(err, storage.ErrRefused) {
		return notWritten, nil
	}
	if err != nil {
		return notMended, fmt.Errorf("put back %s: %w", name, err)
	}
	return mended, nil
}

// otherCopy returns the other copy of an epoch key.
func (r *Repository) otherCopy(ctx context.Context, name string, limit int64) ([]byte, error) {
	id, ok := parseEpochName(name)
	if !ok || !strings.HasPrefix(name, epochsPrefix) {
		return nil, errNoParity
	}
	for _, other := range epochNames(id) {
		if other == name {
			continue
		}
		raw, err := r.st.Get(ctx, other, limit)
		if err == nil {
			if _, err = verifyEpoch(other, raw); err == nil {
				return raw, nil
			}
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	return nil, errNoParity
}

// getVerified reads an object as it is stored. The error matches those of isDamage when it is damaged.
func (r *Repository) getVerified(ctx context.Context, name string) ([]byte, error) {
	verify, limit := r.verifier(name)
	raw, err := r.st.Get(ctx, name, limit)
	if err != nil {
		return nil, err
	}
	return raw, verify(raw)
}

// isDamage says whether the error of reading or verifying an object is damage of that object, and not of the way to it.
func isDamage(err error) bool {
	return errors.Is(err, ErrCorrupt) || errors.Is(err, ErrUnsupported) || errors.Is(err, storage.ErrTooLong) || errors.Is(err, storage.ErrUnreadable)
}

// protectAgain writes the parity of an object in the place of what there is, unless the object is damaged: its parity may be all that is left
// of it. The error is that of getVerified then.
func (r *Repository) protectAgain(ctx context.Context, name string, percent int) error {
	object, err := r.getVerified(ctx, name)
	if err != nil {
		return err
	}
	if err := r.st.Replace(ctx, parityPrefix+name, marshalParity(object, objectHash(name, object), percent)); err != nil {
		return fmt.Errorf("write the parity of %s: %w", name, err)
	}
	return nil
}

// objectHash is the hash of a whole object, which for a pack is its name.
func objectHash(name string, object []byte) [32]byte {
	if id, isPack := parsePackName(name); isPack {
		return id
	}
	return hashPack(object)
}

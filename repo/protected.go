package repo

import (
	"context"
	"fmt"
	"strings"

	"github.com/orthokeep/orthokeep/repo/storage"
)

// protected is a storage that writes the parity of each object beside it, and deletes it first. What it reads it passes on as
// it is: parity is looked at when damage was found.
type protected struct {
	storage.Storage
	percent int // 0 to 100; for 0 it only deletes the parity that there is
}

// isProtected says which objects have parity: all but parity itself, and what is there for moments only.
func isProtected(name string) bool {
	return name != pruneName && !strings.HasPrefix(name, "pending/") && !strings.HasPrefix(name, parityPrefix)
}

// Put writes the object, which counts from then on, and then its parity.
func (s protected) Put(ctx context.Context, name string, data []byte) error {
	if err := s.Storage.Put(ctx, name, data); err != nil || s.percent == 0 || !isProtected(name) || len(data) == 0 {
		return err
	}
	if err := s.Storage.Put(ctx, parityPrefix+name, marshalParity(data, objectHash(name, data), s.percent)); err != nil {
		return fmt.Errorf("parity: %w", err)
	}
	return nil
}

// Delete deletes the parity of the object, and then the object.
func (s protected) Delete(ctx context.Context, name string) error {
	if isProtected(name) {
		if err := s.Storage.Delete(ctx, parityPrefix+name); err != nil {
			return err
		}
	}
	return s.Storage.Delete(ctx, name)
}

package orthanc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/orthokeep/orthokeep/repo"
	"github.com/orthokeep/orthokeep/snapshot"
)

// View is the index of a snapshot, opened for looking things up. It lies in a private temporary folder, in clear, until Close.
type View struct {
	*Index
	dir string
}

// OpenView restores the index of a snapshot into a new folder below dir, the system's place for temporary files when dir is
// empty, and opens it.
func OpenView(ctx context.Context, r *repo.Repository, root *snapshot.Root, dir string) (*View, error) {
	if dir == "" {
		dir = os.TempDir()
	}
	if free, size := freeSpace(dir), root.Index.Largest(); free >= 0 && free < size {
		return nil, fmt.Errorf("the index takes %d bytes in %s, which has %d free: %w", size, dir, free, repo.ErrNoSpace)
	}
	tmp, err := os.MkdirTemp(dir, "orthokeep-view-") // 0700
	if err != nil {
		return nil, err
	}
	x, err := func() (*Index, error) {
		if err := snapshot.RestoreIndex(ctx, r, root, filepath.Join(tmp, "index")); err != nil {
			return nil, err
		}
		return OpenIndexCopy(ctx, tmp, CheckNone) // its hash was compared
	}()
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(tmp))
	}
	return &View{x, tmp}, nil
}

// Close closes the index and removes it.
func (v *View) Close() error { return errors.Join(v.Index.Close(), os.RemoveAll(v.dir)) }

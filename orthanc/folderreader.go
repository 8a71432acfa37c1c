package orthanc

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
)

// list appends the names in a folder below the root to names, in no order. A folder that is gone, or no folder, has none; the root,
// ".", has to be there.
func (f *folderReader) list(ctx context.Context, dir string, names []string) ([]string, error) {
	if ctx.Err() != nil {
		return names, fmt.Errorf("list storage area: %w", context.Cause(ctx))
	}
	out, err := f.read(dir, names)
	switch {
	case err == nil:
		return out, nil
	case dir != "." && (errors.Is(err, fs.ErrNotExist) || isNoFolder(err)):
		return names, nil
	}
	return names, fmt.Errorf("list storage area: %w", err)
}

package orthanc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

const scratchLock = ".lock" // in a scratch folder: the process that holds its lock is using it

// newScratch makes a private folder below dir, the system's place for temporary files when that is empty, for what is in clear for as long as it is
// needed. The lock says that it is in use, until it is closed or this process dies.
func newScratch(dir, prefix string) (folder string, lock *os.File, err error) {
	folder, err = os.MkdirTemp(dir, prefix) // 0700
	if err != nil {
		return "", nil, fmt.Errorf("make a scratch folder: %w", err)
	}
	if folder, err = filepath.Abs(folder); err == nil {
		lock, err = lockScratch(folder)
	}
	if err != nil {
		return "", nil, errors.Join(fmt.Errorf("make a scratch folder: %w", err), os.RemoveAll(folder))
	}
	return folder, lock, nil
}

// sweepScratch removes the folders below dir whose processes were killed, and returns them.
func sweepScratch(ctx context.Context, dir, prefix string) (removed []string) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if ctx.Err() == nil && strings.HasPrefix(e.Name(), prefix) && abandoned(path) && os.RemoveAll(path) == nil {
			removed = append(removed, path)
		}
	}
	return removed
}

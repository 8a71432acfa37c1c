package orthanc

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	youngMargin = 10 * time.Second // before a listing: for files that were being written then, and for coarse clocks
	maxLinks    = 50_000           // in one window; what is beyond is read afterwards, or in a further round
)

// linkYoung gives every attachment that was written since a listing began a second name in dir, which is on the same file
// system: what Orthanc deletes once it runs again can still be read there. It runs inside the window, where a second costs
// a second. So neither is the index opened, which would take seconds for a large one, nor are all folders listed again
// (0.7 s for the 65,536 of a large archive), nor is looked up what is stored already: a folder gets another time when a name
// is added to it, and asking all folders for their time takes 0.1 to 0.2 s on two cores; only young ones are listed, and only young
// files linked. A few of them are stored already, which does no harm.
//
// It stops at the first link that cannot be made. That is no reason to fail: without a link an attachment that has vanished
// costs a further round.
func (s StorageArea) linkYoung(ctx context.Context, dir string, listed time.Time) error {
	since := listed.Add(-youngMargin)
	folders, err := openFolderReader(s.Root)
	if err != nil {
		return err
	}
	top, err := folders.list(ctx, ".", nil)
	folders.close()
	if err != nil {
		return err
	}
	var links atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for _, first := range top {
		if hexPair(first) {
			g.Go(func() error { return s.linkBelow(ctx, first, dir, since, &links) })
		}
	}
	return g.Wait()
}

// linkBelow links the young attachments in one of the 256 folders.
func (s StorageArea) linkBelow(ctx context.Context, first, dir string, since time.Time, links *atomic.Int64) error {
	folders, err := openFolderReader(s.Root)
	if err != nil {
		return err
	}
	defer folders.close()
	seconds, err := folders.list(ctx, first, nil)
	if err != nil {
		return err
	}
	for _, second := range seconds {
		folder := filepath.Join(first, second)
		if !hexPair(second) || !s.young(folder, since) {
			continue
		}
		names, err := folders.list(ctx, folder, nil)
		if err != nil {
			return err
		}
		for _, name := range names {
			if _, err := ParseUUID(name); err != nil || !s.young(filepath.Join(folder, name), since) {
				continue
			}
			if links.Add(1) > maxLinks {
				return fmt.Errorf("more than %d attachments are new", maxLinks)
			}
			if err := os.Link(filepath.Join(s.Root, folder, name), filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrExist) {
				return err
			}
		}
	}
	return nil
}

// young says whether a folder or regular file below the root was changed since.
func (s StorageArea) young(name string, since time.Time) bool {
	info, err := os.Lstat(filepath.Join(s.Root, name))
	return err == nil && (info.IsDir() || info.Mode().IsRegular()) && !info.ModTime().Before(since)
}

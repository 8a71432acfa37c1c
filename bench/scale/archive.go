package main

import (
	"context"
	"crypto/md5"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"

	"golang.org/x/sync/errgroup"

	"github.com/orthokeep/orthokeep/chunk/dicomtest"
	"github.com/orthokeep/orthokeep/orthanc/orthanctest"
	"github.com/orthokeep/orthokeep/snapshot"
)

// An archive is a storage area with its index, as a stopped Orthanc leaves them.
type archive struct {
	dir     string
	rnd     *rand.Rand
	header  []byte  // of a generated file, which every attachment begins with
	studies int     // made so far
	db      *sql.DB // while it is edited
}

const fileSize = 1024 // bytes of an attachment: the beginning of a header, and its own UUID at the end

func (a *archive) storage() string { return filepath.Join(a.dir, "storage") }
func (a *archive) index() string   { return filepath.Join(a.dir, "storage", "index") }

// newArchive lets a real Orthanc make its index, with one series of two instances in it, the pattern of all others.
func newArchive(ctx context.Context, dir string) (*archive, error) {
	a := &archive{dir: dir, rnd: rand.New(rand.NewPCG(1, 2))}
	server, err := orthanctest.Run(ctx, orthanctest.Options{Dir: dir})
	if err != nil {
		return nil, err
	}
	for instance := range dicomtest.Study(dicomtest.Config{Seed: 1, Kind: dicomtest.CT, Instances: 2, Columns: 64}) {
		if a.header == nil {
			a.header = instance.Data[:fileSize]
		}
		if _, err := server.Upload(instance.Data); err != nil {
			return nil, errors.Join(err, server.Stop())
		}
	}
	if err := server.Stop(); err != nil {
		return nil, err
	}
	config, err := json.Marshal(map[string]any{"Name": "Scale", "StorageDirectory": a.storage(), "IndexDirectory": a.storage()})
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, "orthanc.json"), config, 0o600); err != nil {
		return nil, err
	}
	return a, nil
}

// file is an attachment to be written.
type file struct {
	uuid snapshot.UUID
	md5  string
}

// newFile makes up an attachment.
func (a *archive) newFile() file {
	var f file
	for i := range f.uuid {
		f.uuid[i] = byte(a.rnd.Uint32())
	}
	f.uuid[6], f.uuid[8] = f.uuid[6]&0x0f|0x40, f.uuid[8]&0x3f|0x80
	sum := md5.Sum(a.content(f.uuid))
	f.md5 = hex.EncodeToString(sum[:])
	return f
}

func (a *archive) content(u snapshot.UUID) []byte {
	return append(append(make([]byte, 0, fileSize), a.header[:fileSize-len(u)]...), u[:]...)
}

// write writes files where Orthanc would.
func (a *archive) write(ctx context.Context, files []file) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(4)
	for _, f := range files {
		g.Go(func() error {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			name := f.uuid.String()
			path := filepath.Join(a.storage(), name[:2], name[2:4], name)
			err := os.WriteFile(path, a.content(f.uuid), 0o644)
			if errors.Is(err, fs.ErrNotExist) {
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					return err
				}
				err = os.WriteFile(path, a.content(f.uuid), 0o644)
			}
			return err
		})
	}
	return g.Wait()
}

// edit opens the index for change, and closes it as Orthanc does when it stops.
func (a *archive) edit(change func() error) error {
	if err := a.openIndex(); err != nil {
		return err
	}
	return errors.Join(change(), a.db.Close())
}

// grow adds studies until there are n more attachments, or a few more.
func (a *archive) grow(ctx context.Context, n int) error {
	return a.edit(func() error { return a.add(ctx, n) })
}

func (a *archive) add(ctx context.Context, n int) error {
	const batch = 50
	for left := (n + instancesPerStudy - 1) / instancesPerStudy; left > 0; left -= batch {
		files, err := a.addStudies(ctx, min(left, batch))
		if err != nil {
			return err
		}
		if err := a.write(ctx, files); err != nil {
			return err
		}
	}
	return nil
}

// A day is what changed between two backups.
type day struct {
	added, deleted int
	pages          int64 // of the index, that changed
	compressed     int64 // bytes of these pages, one after the other, by zstd at its default
}

// passDay adds and deletes about so many instances, and compares the index with what it was.
func (a *archive) passDay(ctx context.Context, added, deleted int) (d day, err error) {
	before := filepath.Join(a.dir, "before")
	if err := copyFile(before, a.index()); err != nil {
		return d, err
	}
	if d, err = a.change(ctx, added, deleted); err != nil {
		return d, err
	}
	d.pages, d.compressed, err = changedPages(before, a.index())
	return d, errors.Join(err, os.Remove(before))
}

// change adds and deletes about so many instances.
func (a *archive) change(ctx context.Context, added, deleted int) (d day, err error) {
	d.added = (added + instancesPerStudy - 1) / instancesPerStudy * instancesPerStudy
	var gone []string
	err = a.edit(func() (err error) {
		if err := a.add(ctx, added); err != nil {
			return err
		}
		gone, err = a.deleteSeries(ctx, (deleted+instancesPerSeries-1)/instancesPerSeries)
		return err
	})
	if err != nil {
		return d, err
	}
	for _, name := range gone {
		if err := os.Remove(filepath.Join(a.storage(), name[:2], name[2:4], name)); err != nil {
			return d, err
		}
	}
	d.deleted = len(gone)
	return d, nil
}

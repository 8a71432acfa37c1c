package orthanc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"time"

	"github.com/orthokeep/orthokeep/repo"
	"github.com/orthokeep/orthokeep/snapshot"
)

// DefaultBound is how long a window may last before it is undone and tried again.
const DefaultBound = 30 * time.Second

// BackupOptions are the choices of Backup. All but FullCheck, Orphans and Tags are needed.
type BackupOptions struct {
	Server    string // under which the snapshots of this Orthanc follow each other
	Host      string
	Tags      []string
	CacheDir  string        // of this repository on this host
	Bound     time.Duration // of a window
	FullCheck bool          // PRAGMA integrity_check in the place of quick_check
	Orphans   bool          // store files of the storage area that the index does not name
	Clock     func() time.Time
}

// Summary is what a backup did.
type Summary struct {
	Root       *snapshot.Root
	Parent     *snapshot.Root // nil for the first
	Index      snapshot.IndexChange
	Difference snapshot.Difference
	LeftOut    []string // what the configuration names and a snapshot leaves out
	Warnings   []string // one line each; any of them makes exit code 3
}

// Backup takes one consistent snapshot of a site, or says exactly why not: an error that matches snapshot.ErrInconsistent
// means that index and attachments could not be brought together, and nothing was published. Earlier snapshots are
// untouched either way, and what was stored is found by the next backup.
func Backup(ctx context.Context, site *Site, r *repo.Repository, o BackupOptions, p Progress) (*Summary, error) {
	journal, err := snapshot.OpenJournal(filepath.Join(o.CacheDir, "servers", fileName(o.Server), "provisional.state"))
	if err != nil {
		return nil, err
	}
	defer journal.Close()
	staging, err := site.stagingFolder(r.ID()[:8]+"-"+fileName(o.Server), o.CacheDir)
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(staging)
	session, err := snapshot.Begin(ctx, r, journal, o.Server, o.Host, o.Clock(), p)
	if err != nil {
		return nil, err
	}
	area := storedFiles{StorageArea{site.Layout.Storage}, filepath.Join(staging, "links")}
	c := &coordinator{site: site, session: session, area: area, o: o, staging: staging, p: p}
	s, err := c.backup(ctx)
	end := session.End(context.WithoutCancel(ctx), err == nil, o.Clock())
	if err := errors.Join(err, c.dropCopy()); err != nil {
		return nil, err
	}
	return s, end
}

// storedFiles is a storage area as package snapshot reads it.
type storedFiles struct {
	StorageArea
	links string // folder of the links that linkYoung made; it need not be there
}

// Open implements snapshot.Area. An attachment that was deleted since it was linked is still read.
func (s storedFiles) Open(u UUID) (snapshot.File, error) {
	f, err := s.StorageArea.Open(u)
	if errors.Is(err, fs.ErrNotExist) && s.links != "" {
		f, err = openQuietly(filepath.Join(s.links, u.String()))
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("attachment %s: %w", u, snapshot.ErrVanished)
	}
	if err != nil {
		return nil, unreadable(err)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(unreadable(err), f.Close())
	}
	return sizedFile{f, info.Size()}, nil
}

// sizedFile is an open attachment and its length when it was opened.
type sizedFile struct {
	*os.File
	size int64
}

// Size implements snapshot.File.
func (f sizedFile) Size() int64 { return f.size }

// Read implements snapshot.File.
func (f sizedFile) Read(p []byte) (int, error) {
	n, err := f.File.Read(p)
	if err != nil && err != io.EOF {
		err = unreadable(err)
	}
	return n, err
}

// unreadable marks an error of reading what belongs to the snapshot: without it nothing can be published.
func unreadable(err error) error { return fmt.Errorf("%w: %w", snapshot.ErrInconsistent, err) }

// fileName makes a server's name fit for a path, without two names becoming one.
func fileName(server string) string {
	out := make([]byte, 0, len(server))
	for i := range len(server) {
		switch b := server[i]; {
		case b >= 'a' && b <= 'z', b >= 'A' && b <= 'Z', b >= '0' && b <= '9', b == '-':
			out = append(out, b)
		default:
			out = fmt.Appendf(out, "_%02x", b)
		}
	}
	return string(out)
}

func (c *coordinator) backup(ctx context.Context) (*Summary, error) {
	if err := c.collect(ctx); err != nil {
		return nil, err
	}
	Hold(PointStored)
	c.p.Phase("publish", "", 0, 0)
	root := &snapshot.Root{Time: c.taken, Host: c.o.Host, Tags: c.o.Tags, Window: c.window}
	version, plugins := c.site.version(ctx)
	root.Orthanc = snapshot.Orthanc{Version: version, Database: "sqlite", Schema: c.index.Schema, Plugins: plugins}
	root.Counts = snapshot.Counts{Patients: c.counts.Patients, Studies: c.counts.Studies, Series: c.counts.Series, Instances: c.counts.Instances,
		Attachments: c.diff.Attachments, Bytes: c.diff.Bytes}
	root.Verified = snapshot.Verified{Attachments: c.diff.New, Unstated: c.diff.Unstated, Index: "quick_check", Orphans: c.orphans}
	if c.o.FullCheck {
		root.Verified.Index = "integrity_check"
	}
	var err error
	if root.Manifest, err = c.session.StoreManifest(ctx, c.attachments(ctx), c.diff); err != nil {
		return nil, err
	}
	if root.Orphans, err = c.storeOrphans(ctx); err != nil {
		return nil, err
	}
	s := &Summary{Root: root, Parent: c.session.Parent(), Difference: c.diff, LeftOut: c.site.Extra.LeftOut}
	s.Warnings = append(append(append(s.Warnings, c.site.Layout.Warnings...), c.site.Extra.Warnings...), c.notes...)
	if err := c.index.Close(); err != nil { // from here on the copy is one clean file
		return nil, err
	}
	c.index = nil
	if root.Index, s.Index, err = c.session.StoreIndex(ctx, filepath.Join(c.folder, "index")); err != nil {
		return nil, err
	}
	var warnings []string
	if root.Files, warnings, err = c.storeFiles(ctx); err != nil {
		return nil, err
	}
	s.Warnings = append(s.Warnings, warnings...)
	return s, c.session.Publish(ctx, root)
}

// storeFiles stores the extra files. One that cannot be read is a warning; of the configuration it is an error.
func (c *coordinator) storeFiles(ctx context.Context) (snapshot.FileSet, []string, error) {
	named := c.site.Configuration
	doc := snapshot.Files{Configuration: named.Path, Storage: named.StorageDirectory, Index: named.IndexDirectory, Owner: c.site.areaOwner()}
	var warnings []string
	for _, p := range c.pending {
		e, err := c.storeFile(ctx, ExtraFile{Path: p.path, Kind: KindPending}, p.copy)
		if err != nil {
			return snapshot.FileSet{}, nil, fmt.Errorf("store %s: %w", p.path, err)
		}
		doc.Files = append(doc.Files, e)
	}
	for _, f := range c.site.Extra.Files {
		e, err := c.storeFile(ctx, f, c.site.sight.path(f.Path))
		switch {
		case err == nil:
			doc.Files = append(doc.Files, e)
		case ctx.Err() != nil:
			return snapshot.FileSet{}, nil, ctx.Err()
		case f.Kind == KindConfiguration || !errors.As(err, new(*os.PathError)):
			return snapshot.FileSet{}, nil, fmt.Errorf("store %s: %w", f.Path, err)
		default:
			warnings = append(warnings, fmt.Sprintf("%s (%s) is not in the snapshot: %v", f.Path, f.Kind, err))
		}
	}
	set, err := c.session.StoreFiles(ctx, doc)
	return set, warnings, err
}

// storeFile stores the bytes of the file content under the path, owner and mode of an extra file.
func (c *coordinator) storeFile(ctx context.Context, f ExtraFile, content string) (snapshot.ExtraFile, error) {
	info, err := os.Stat(c.site.sight.path(f.Path))
	if err != nil {
		return snapshot.ExtraFile{}, err
	}
	in, err := os.Open(content)
	if err != nil {
		return snapshot.ExtraFile{}, err
	}
	defer in.Close()
	e := snapshot.ExtraFile{Path: f.Path, Kind: f.Kind, Key: f.Key, Mode: uint32(info.Mode().Perm()), Modified: inRange(info.ModTime()), Link: f.Link}
	e.UID, e.GID = fileOwner(info)
	e.User, e.Group = c.site.names(e.UID, e.GID)
	e.Offset, e.Size, err = c.session.StoreContent(ctx, in)
	return e, err
}

// inRange is a time in UTC, or the nearest one that RFC 3339 can write: a file may be dated by a broken clock.
func inRange(t time.Time) time.Time {
	t = t.UTC()
	switch first, after := time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC); {
	case t.Before(first):
		return first
	case !t.Before(after):
		return after.Add(-time.Second)
	}
	return t
}

// areaOwner says who storage area and index belong to.
func (s *Site) areaOwner() (o snapshot.Owner) {
	if info, err := os.Stat(s.Layout.Storage); err == nil {
		o.UID, o.GID = fileOwner(info)
		o.DirMode = uint32(info.Mode().Perm())
	}
	o.FileMode = 0o644
	if info, err := os.Stat(s.Layout.Index); err == nil {
		o.IndexMode = uint32(info.Mode().Perm())
		o.FileMode = o.IndexMode
	}
	o.User, o.Group = s.names(o.UID, o.GID)
	return o
}

// names returns the names of a user and a group, empty where this machine knows none. Those of a container are not this machine's.
func (s *Site) names(uid, gid int) (userName, group string) {
	if s.sight != nil {
		return "", ""
	}
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		userName = u.Username
	}
	if g, err := user.LookupGroupId(strconv.Itoa(gid)); err == nil {
		group = g.Name
	}
	return userName, group
}

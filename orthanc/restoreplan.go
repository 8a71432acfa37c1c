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
	"slices"
	"strconv"
	"strings"

	"github.com/orthokeep/orthokeep/repo"
	"github.com/orthokeep/orthokeep/snapshot"
)

// RestoreOptions say where a snapshot goes.
type RestoreOptions struct {
	Target    string // folder; must not exist or be empty, unless Overwrite
	Overwrite bool   // replace files that are in the way
	Rewrite   bool   // let the restored configuration name the folders below Target
}

// RestorePlan is what a restore would do.
type RestorePlan struct {
	Target        string   // absolute
	Storage       string   // folder of the attachments, below Target
	Index         string   // folder of the index, the same where it was the same on the server
	Files         string   // folder below which configuration and extra files lie under their absolute paths
	Orphans       string   // folder of stored files that the index does not name; empty: there are none
	Configuration string   // where the file or folder lies that Orthanc is started with
	Attachments   int64    //
	Needed        int64    // bytes
	Free          int64    // bytes; -1 when not known
	Steps         []string // what a person does to start the result

	files     snapshot.Files
	rewritten map[string][]byte // configuration files by their path on the server, where they are to be other than they were
	o         RestoreOptions
}

// PlanRestore says what Restore would do, and refuses what it would refuse: a target that is not empty matches
// snapshot.ErrNotEmpty, too little space repo.ErrNoSpace.
func PlanRestore(ctx context.Context, r *repo.Repository, root *snapshot.Root, o RestoreOptions) (*RestorePlan, error) {
	target, err := filepath.Abs(o.Target)
	if err != nil {
		return nil, err
	}
	files, err := snapshot.ReadFiles(ctx, r, root)
	if err != nil {
		return nil, err
	}
	p := &RestorePlan{Target: target, Storage: filepath.Join(target, "storage"), Index: filepath.Join(target, "index"), Files: filepath.Join(target, "files"),
		Attachments: root.Counts.Attachments, files: files, o: o}
	if files.Storage == files.Index {
		p.Index = p.Storage
	}
	if root.Orphans != nil {
		p.Orphans = filepath.Join(target, "orphans")
	}
	p.Configuration = filepath.Join(p.Files, filepath.FromSlash(files.Configuration))
	if err := p.checkPending(); err != nil {
		return nil, err
	}
	p.Needed = needed(root, files.Files)
	p.Steps = p.steps()
	if err := p.vacant(); err != nil {
		return nil, err
	}
	if p.rewritten, err = p.rewrite(ctx, r, root); err != nil {
		return nil, fmt.Errorf("rewrite the configuration: %w", err)
	}
	if p.Free = freeSpace(target); p.Free >= 0 && p.Free < p.Needed {
		return nil, fmt.Errorf("%s needs %d bytes and has %d free: %w", target, p.Needed, p.Free, repo.ErrNoSpace)
	}
	return p, nil
}

// needed is what a snapshot takes up on a disk with blocks of 4 KiB: a file fills the last of its blocks by half on average, each
// folder of the storage area has a block, and the file system needs some of its own.
func needed(root *snapshot.Root, files []snapshot.ExtraFile) int64 {
	const block = 4096
	n := root.Counts.Attachments
	bytes := root.Counts.Bytes + root.Index.Largest() + n*block/2 + (min(n, 256)+min(n, 256*256))*block
	for _, f := range files {
		bytes += f.Size + block
	}
	if o := root.Orphans; o != nil {
		bytes += o.Bytes + o.Attachments*block*2
	}
	return bytes + bytes/100
}

// maxConfigurations bounds the files of a configuration together, in bytes.
const maxConfigurations = 4 * maxConfiguration

// rewrite returns the configuration's files as they are to be, by path; none when they are to be as they were.
func (p *RestorePlan) rewrite(ctx context.Context, r *repo.Repository, root *snapshot.Root) (map[string][]byte, error) {
	if !p.o.Rewrite {
		return nil, nil
	}
	var old []ConfigurationFile
	var size int64
	for _, f := range p.files.Files {
		if f.Kind != KindConfiguration {
			continue
		}
		if size += f.Size; size > maxConfigurations {
			return nil, fmt.Errorf("%w: larger than %d bytes", ErrConfiguration, maxConfigurations)
		}
		data, err := io.ReadAll(snapshot.OpenContent(ctx, r, root, f))
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", f.Path, err)
		}
		old = append(old, ConfigurationFile{Path: f.Path, Data: data})
	}
	if len(old) == 0 {
		return nil, fmt.Errorf("%w: the snapshot has none", ErrConfiguration)
	}
	slices.SortFunc(old, func(a, b ConfigurationFile) int { return strings.Compare(a.Path, b.Path) })
	pending, err := p.pendingByPath(old)
	if err != nil {
		return nil, err
	}
	changed, err := Rewrite(old, p.Storage, p.Index, pending, nil)
	if err != nil {
		return nil, err
	}
	out := map[string][]byte{}
	for _, f := range changed {
		out[f.Path] = f.Data
	}
	return out, nil
}

// pendingPlace is where a list of pending deletions goes: into the storage directory, where it lay there, else below Files.
func (p *RestorePlan) pendingPlace(path string) string {
	if rel, err := filepath.Rel(p.files.Storage, path); err == nil && filepath.IsLocal(rel) {
		return filepath.Join(p.Storage, rel)
	}
	return filepath.Join(p.Files, path)
}

// checkPending refuses lists of pending deletions in the place of the index, of its log, or of an attachment: they would be what Orthanc reads.
func (p *RestorePlan) checkPending() error {
	for _, f := range p.files.Files {
		rel, err := filepath.Rel(p.Storage, p.pendingPlace(f.Path))
		if f.Kind != KindPending || err != nil || !filepath.IsLocal(rel) {
			continue
		}
		_, err = ParseUUID(filepath.Base(rel))
		if err == nil || slices.Contains([]string{"index", "index-wal", "index-shm", "index-journal"}, strings.ToLower(rel)) {
			return fmt.Errorf("%s is no list of pending deletions: %w", f.Path, repo.ErrCorrupt)
		}
	}
	return nil
}

// pendingByPath is where the list goes that the configuration names; empty where it names none.
func (p *RestorePlan) pendingByPath(files []ConfigurationFile) (string, error) {
	c, err := parseConfiguration(nil, p.files.Configuration, files, nil)
	if err != nil {
		return "", err
	}
	path := text(c.members("DelayedDeletion")["Path"])
	if path == "" {
		return "", nil
	}
	path = c.Resolve(path)
	for _, f := range p.files.Files {
		if f.Kind == KindPending && filepath.Base(f.Path) == filepath.Base(path) {
			path = f.Path // relative to the working directory that Orthanc had
		}
	}
	return p.pendingPlace(path), nil
}

// steps says how the result is started.
func (p *RestorePlan) steps() []string {
	if p.o.Rewrite {
		return []string{"Orthanc " + quoted(p.Configuration)}
	}
	steps := []string{fmt.Sprintf("with Orthanc stopped, put the contents of %s in the place of %s", p.Storage, p.files.Storage)}
	if p.Index != p.Storage {
		steps = append(steps, fmt.Sprintf("and the contents of %s in the place of %s", p.Index, p.files.Index))
	}
	for _, f := range p.files.Files {
		if place := p.pendingPlace(f.Path); f.Kind == KindPending && filepath.Dir(place) != p.Storage {
			steps = append(steps, fmt.Sprintf("and %s in the place of %s", place, f.Path))
		}
	}
	return append(steps, "or restore with --rewrite-configuration, and start Orthanc on the copy as it is")
}

// vacant sees that nothing is in the way.
func (p *RestorePlan) vacant() error {
	entries, err := os.ReadDir(p.Target)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case len(entries) > 0 && !p.o.Overwrite:
		return fmt.Errorf("%s: %w", p.Target, snapshot.ErrNotEmpty)
	}
	for _, index := range p.indices() {
		if held, err := FindProcess(index); err == nil {
			return fmt.Errorf("%w: %s: process %d", ErrHeld, index, held.PID)
		}
	}
	return nil
}

// folders are those that a restore makes below the target.
func (p *RestorePlan) folders() []string {
	all := []string{p.Storage, p.Index, p.Files}
	if p.Orphans != "" {
		all = append(all, p.Orphans)
	}
	return all
}

// indices are the places where this restore or an earlier one to the same target puts the index.
func (p *RestorePlan) indices() []string {
	return []string{filepath.Join(p.Target, "storage", "index"), filepath.Join(p.Target, "index", "index")}
}

// quoted returns a path as a shell takes it.
func quoted(path string) string {
	if strings.Trim(path, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+:@%") == "" {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}

// ids returns the numbers of an owner on this machine: by name where the name is known here.
func ids(userName, group string, uid, gid int) (int, int) {
	if u, err := user.Lookup(userName); err == nil {
		if n, err := strconv.Atoi(u.Uid); err == nil {
			uid = n
		}
	}
	if g, err := user.LookupGroup(group); err == nil {
		if n, err := strconv.Atoi(g.Gid); err == nil {
			gid = n
		}
	}
	return uid, gid
}

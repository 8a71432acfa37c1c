package snapshot

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"path"
	"strings"
	"time"

	"github.com/orthokeep/orthokeep/chunk"
	"github.com/orthokeep/orthokeep/repo"
)

const (
	maxFilesDocument = 64 << 20
	maxExtraFiles    = 1 << 17
	maxFilesValues   = 32 * maxExtraFiles // of the document: a file has 13 fields, and each of these two
)

// ExtraFile is a configuration file, script or certificate that belongs to a snapshot.
type ExtraFile struct {
	Path     string    `json:"path"` // absolute and clean, on the server that was backed up
	Kind     string    `json:"kind"`
	Key      string    `json:"key"` // of the configuration that names it
	Mode     uint32    `json:"mode"`
	UID      int       `json:"uid"`
	GID      int       `json:"gid"`
	User     string    `json:"user,omitempty"`
	Group    string    `json:"group,omitempty"`
	Modified time.Time `json:"modified"`
	Offset   int64     `json:"offset"`         // of its first byte in the stream of contents
	Size     int64     `json:"size"`           // bytes
	Link     string    `json:"link,omitempty"` // what Path pointed to, when it was a symbolic link; the content is that file's
}

// FileSet is where the extra files of a snapshot lie: the document that lists them, and their contents one after the other.
type FileSet struct {
	List     Stream `json:"list"`
	Contents Stream `json:"contents"`
}

// Files is what a snapshot says of the server's files besides attachments and index. It is content.
type Files struct {
	Configuration string      `json:"configuration"` // the file or folder that Orthanc is started with
	Storage       string      `json:"storage"`
	Index         string      `json:"index"`
	Owner         Owner       `json:"owner"` // of the storage area
	Files         []ExtraFile `json:"files"`
}

// Owner is who the files of an Orthanc belong to.
type Owner struct {
	UID       int    `json:"uid"`
	GID       int    `json:"gid"`
	User      string `json:"user,omitempty"`
	Group     string `json:"group,omitempty"`
	FileMode  uint32 `json:"file_mode"`
	IndexMode uint32 `json:"index_mode"`
	DirMode   uint32 `json:"dir_mode"`
}

// StoreContent stores what r gives as the content of an extra file, and returns where it lies. After an error of r's the next
// file may be stored.
func (s *Session) StoreContent(ctx context.Context, r io.Reader) (offset, size int64, err error) {
	if s.contents == nil {
		s.contents = newStreamWriter(ctx, s.run, s.repo.Polynomial(), chunk.Stream, repo.Content)
	}
	offset = s.contents.length
	size, err = io.Copy(s.contents, r)
	return offset, size, err
}

// StoreFiles stores the list of extra files, whose contents have been stored by StoreContent.
func (s *Session) StoreFiles(ctx context.Context, files Files) (set FileSet, err error) {
	b, err := json.Marshal(files)
	if err != nil {
		return set, err
	}
	if len(b) > maxFilesDocument || len(files.Files) > maxExtraFiles {
		return set, fmt.Errorf("%d extra files are more than a snapshot has room for: %w", len(files.Files), ErrInconsistent)
	}
	if s.contents != nil {
		if set.Contents, err = s.contents.finish(); err != nil {
			return set, err
		}
	}
	set.List, err = storeStream(ctx, s.run, s.repo.Polynomial(), chunk.Stream, repo.Content, bytes.NewReader(b))
	return set, err
}

// ReadFiles returns the extra files of a snapshot. Every path in it has been checked: absolute, clean, and safe to be
// put below a target.
func ReadFiles(ctx context.Context, r *repo.Repository, root *Root) (Files, error) {
	var f Files
	if root.Files.List.length > maxFilesDocument {
		return f, fmt.Errorf("list of extra files out of bounds: %w", repo.ErrCorrupt)
	}
	raw, err := io.ReadAll(newStreamReader(ctx, r, repo.Content, root.Files.List))
	if err != nil {
		return f, fmt.Errorf("read the list of extra files: %w", err)
	}
	if f, err = parseFiles(raw, root.Files.Contents.length); err != nil {
		return Files{}, fmt.Errorf("list of extra files: %w", err)
	}
	return f, nil
}

// parseFiles reads the list of extra files, whose contents have the given length.
func parseFiles(raw []byte, contents int64) (Files, error) {
	var doc struct {
		Files
		List []json.RawMessage `json:"files"` // read one by one: a file without a path takes up a hundred times its text
	}
	if err := repo.UnmarshalJSON(raw, &doc, maxFilesValues); err != nil {
		return Files{}, err
	}
	if len(doc.List) > maxExtraFiles {
		return Files{}, fmt.Errorf("too many: %w", repo.ErrCorrupt)
	}
	for _, p := range []string{doc.Configuration, doc.Storage, doc.Index} {
		if p != "" && !safePath(p) {
			return Files{}, fmt.Errorf("a folder of the server has a path that is not clean: %w", repo.ErrCorrupt)
		}
	}
	f, seen := doc.Files, map[string]bool{}
	f.Files = nil
	var sum int64
	for _, raw := range doc.List {
		var e ExtraFile
		if err := json.Unmarshal(raw, &e); err != nil {
			return Files{}, fmt.Errorf("not readable: %w", repo.ErrCorrupt)
		}
		if !safePath(e.Path) {
			return Files{}, fmt.Errorf("a path that is not clean: %w", repo.ErrCorrupt)
		}
		if seen[e.Path] {
			return Files{}, fmt.Errorf("a path that comes twice: %w", repo.ErrCorrupt)
		}
		seen[e.Path] = true
		if e.Offset < 0 || e.Size < 0 || e.Size > contents-e.Offset || e.Size > contents-sum {
			return Files{}, fmt.Errorf("a file outside of the contents: %w", repo.ErrCorrupt)
		}
		sum += e.Size
		f.Files = append(f.Files, e)
	}
	for _, e := range f.Files {
		for dir := path.Dir(e.Path); dir != "/"; dir = path.Dir(dir) {
			if seen[dir] {
				return Files{}, fmt.Errorf("a file below a file: %w", repo.ErrCorrupt)
			}
		}
	}
	return f, nil
}

const (
	maxPath     = 4096 // bytes, as in Linux
	maxPathPart = 255
)

// safePath says whether a path may be put below a target: absolute, clean, and no longer than a system takes.
func safePath(p string) bool {
	if len(p) < 2 || len(p) > maxPath || p[0] != '/' || path.Clean(p) != p || strings.ContainsRune(p, 0) {
		return false
	}
	for part := range strings.SplitSeq(p[1:], "/") {
		if len(part) > maxPathPart {
			return false
		}
	}
	return true
}

// OpenContent reads the content of an extra file. Reading it fails where it is damaged.
func OpenContent(ctx context.Context, r *repo.Repository, root *Root, f ExtraFile) io.Reader {
	s := newStreamReader(ctx, r, repo.Content, root.Files.Contents)
	return &contentReader{s: s, skip: f.Offset, r: io.LimitReader(s, f.Size)}
}

// contentReader goes to the place of a file at its first read.
type contentReader struct {
	s    *streamReader
	skip int64
	r    io.Reader
}

func (c *contentReader) Read(p []byte) (int, error) {
	if skip := c.skip; skip > 0 {
		c.skip = 0
		if err := c.s.skip(skip); err != nil {
			return 0, err
		}
	}
	return c.r.Read(p)
}

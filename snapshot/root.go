package snapshot

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/zeebo/blake3"

	"github.com/orthokeep/orthokeep/repo"
)

const rootsPrefix = "snapshots/"

// Orthanc says which server a snapshot is of.
type Orthanc struct {
	Version  string   `json:"version"`
	Database string   `json:"database"` // sqlite
	Schema   int      `json:"schema"`
	Plugins  []string `json:"plugins,omitempty"`
}

// Counts are the numbers of things in a snapshot.
type Counts struct {
	Patients    int64 `json:"patients"`
	Studies     int64 `json:"studies"`
	Series      int64 `json:"series"`
	Instances   int64 `json:"instances"`
	Attachments int64 `json:"attachments"`
	Bytes       int64 `json:"bytes"` // of all attachments, as Orthanc stores them
}

// Added says what a snapshot cost.
type Added struct {
	Attachments int64 `json:"attachments"` // new since the parent
	Read        int64 `json:"read"`        // bytes of attachments
	Bytes       int64 `json:"bytes"`       // of packs written
	Index       int64 `json:"index"`       // of these, for the index
	Manifest    int64 `json:"manifest"`    // of these, for the manifest
}

// Window says how the instant was taken.
type Window struct {
	Mode        string  `json:"mode"`      // freeze, stop, none
	Mechanism   string  `json:"mechanism"` // ptrace, sigstop, systemd, …
	Seconds     float64 `json:"seconds"`   // the longest, when there were several
	Count       int     `json:"count"`
	Rounds      int     `json:"rounds"`      // of reading attachments that were still missing
	Retries     int     `json:"retries"`     // windows that were undone and opened again
	Checkpoints int     `json:"checkpoints"` // windows before which Orthanc had written to the index since the copying of it began
	Reason      string  `json:"reason,omitempty"`
}

// Verified says what was compared before the snapshot was published.
type Verified struct {
	Attachments int64  `json:"attachments"` // new ones whose size, and MD5 where stated, equal the index's
	Unstated    int64  `json:"unstated"`    // of these, without an MD5 in the index
	Index       string `json:"index"`       // quick_check or integrity_check
	Orphans     int64  `json:"orphans"`     // files that the index does not name; -1 when they were not counted
}

// Orphans are stored files of the storage area that the index does not name.
type Orphans struct {
	Manifest
	Bytes int64 `json:"bytes"`
}

// Root publishes a snapshot. It is structure: nothing about patients stands in it.
type Root struct {
	Version  int       `json:"version"`
	ID       string    `json:"id"` // 32 hexadecimal digits
	Time     time.Time `json:"time"`
	Server   string    `json:"server"`
	Host     string    `json:"host"`
	Counter  int64     `json:"counter"`
	Previous string    `json:"previous,omitempty"` // hash of the body of the server's root before
	Parent   string    `json:"parent,omitempty"`   // name of the root that layers are shared with
	Run      string    `json:"run"`
	Tags     []string  `json:"tags,omitempty"`
	Orthanc  Orthanc   `json:"orthanc"`
	Counts   Counts    `json:"counts"`
	Added    Added     `json:"added"`
	Window   Window    `json:"window"`
	Verified Verified  `json:"verified"`
	Manifest Manifest  `json:"manifest"`
	Orphans  *Orphans  `json:"orphans,omitempty"` // nil: none are stored
	Index    Index     `json:"index"`
	Files    FileSet   `json:"files"`

	Held bool `json:"-"` // by a label: no policy removes it

	name string // TIME-ID
	hash string // of the body
}

// Name is TIME-ID, the name of the root's object below snapshots/.
func (r *Root) Name() string { return r.name }

// Short is the beginning of the ID that people use.
func (r *Root) Short() string { return r.ID[:8] }

// What a stream of a root may be for; these are taken over by the snapshot after it.
const (
	whatManifest = "manifest"
	whatIndex    = "index"
)

// rootStream is a stream that a root names, and what it is for.
type rootStream struct {
	Stream
	class repo.Class
	what  string
}

// streams are all streams that the root names.
func (r *Root) streams() []rootStream {
	all := []rootStream{{r.Files.List, repo.Content, "extra files"}, {r.Files.Contents, repo.Content, "extra files"}}
	for _, m := range r.manifests() {
		for _, l := range m.Layers {
			all = append(all, rootStream{l.Entries, repo.Structure, m.what}, rootStream{l.Blocks, repo.Structure, m.what}, rootStream{l.Heads, repo.Structure, m.what})
		}
	}
	for _, l := range r.Index.Layers {
		all = append(all, rootStream{l.Pages, repo.Content, whatIndex}, rootStream{l.Hashes, repo.Structure, whatIndex})
	}
	return all
}

// rootManifest is a manifest of a root, and what it is of.
type rootManifest struct {
	Manifest
	root *Root
	what string
}

// manifests are those of the attachments and, where they are stored, of the orphans.
func (r *Root) manifests() []rootManifest {
	all := []rootManifest{{r.Manifest, r, whatManifest}}
	if r.Orphans != nil {
		all = append(all, rootManifest{r.Orphans.Manifest, r, "orphans"})
	}
	return all
}

const (
	maxRootValues = 1 << 16 // of the JSON: 64 layers of all streams are a fifth of it
	maxCount      = 1 << 40 // of anything but bytes
	maxBytes      = 1 << 60
)

// check sees that the root is in bounds. What is not could not be read again.
func (r *Root) check() error {
	if err := r.Counts.check(); err != nil {
		return err
	}
	if err := r.Index.check(); err != nil {
		return err
	}
	for _, m := range r.manifests() {
		if err := m.check(); err != nil {
			return fmt.Errorf("%s: %w", m.what, err)
		}
	}
	if r.Orphans != nil && (r.Orphans.Bytes < 0 || r.Orphans.Bytes > maxBytes) {
		return fmt.Errorf("orphans out of bounds: %w", repo.ErrCorrupt)
	}
	return nil
}

func (c Counts) check() error {
	for _, n := range []int64{c.Patients, c.Studies, c.Series, c.Instances, c.Attachments} {
		if n < 0 || n > maxCount {
			return fmt.Errorf("a count out of bounds: %w", repo.ErrCorrupt)
		}
	}
	if c.Bytes < 0 || c.Bytes > maxBytes {
		return fmt.Errorf("a count out of bounds: %w", repo.ErrCorrupt)
	}
	return nil
}

func (r *Root) marshal() ([]byte, error) {
	if err := r.check(); err != nil {
		return nil, fmt.Errorf("write snapshot %s: %w", r.name, err)
	}
	body, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("write snapshot %s: %w", r.name, err)
	}
	sum := blake3.Sum256(body)
	r.hash = hex.EncodeToString(sum[:])
	return body, nil
}

func parseRoot(name string, body []byte) (*Root, error) {
	var head struct {
		Version int `json:"version"`
	}
	if err := repo.UnmarshalJSON(body, &head, maxRootValues); err != nil {
		return nil, fmt.Errorf("snapshot %s: %w", name, err)
	}
	if head.Version != 1 {
		return nil, fmt.Errorf("snapshot %s has version %d: %w", name, head.Version, repo.ErrUnsupported)
	}
	r := &Root{name: name}
	if err := json.Unmarshal(body, r); err != nil {
		return nil, fmt.Errorf("snapshot %s is not readable: %w", name, repo.ErrCorrupt)
	}
	if len(r.ID) != 32 || !strings.HasSuffix(name, "-"+r.ID) {
		return nil, fmt.Errorf("snapshot %s has another name inside: %w", name, repo.ErrCorrupt)
	}
	if err := r.check(); err != nil {
		return nil, fmt.Errorf("snapshot %s: %w", name, err)
	}
	sum := blake3.Sum256(body)
	r.hash = hex.EncodeToString(sum[:])
	return r, nil
}

// without returns a root that has the name, the counter and the hash of this one, and nothing to build on.
func (r *Root) without() *Root {
	bare := *r
	bare.Manifest, bare.Index, bare.Orphans = Manifest{}, Index{}, nil
	return &bare
}

// ReadRoot reads one published snapshot by its full name.
func ReadRoot(ctx context.Context, r *repo.Repository, name string) (*Root, error) {
	body, err := r.GetObject(ctx, repo.KindRoot, rootsPrefix+name)
	if err != nil {
		return nil, err
	}
	return parseRoot(name, body)
}

// Roots returns the published snapshots with their labels, oldest first. Snapshots that cannot be read are left out; the error
// then joins what was found wrong with each, beside the rest.
func Roots(ctx context.Context, r *repo.Repository) ([]*Root, error) {
	names, err := r.ListObjects(ctx, rootsPrefix)
	if err != nil {
		return nil, err
	}
	var roots []*Root
	var bad []error
	for _, name := range names {
		root, err := ReadRoot(ctx, r, strings.TrimPrefix(name, rootsPrefix))
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if errors.Is(err, repo.ErrNoObject) {
			continue // a prune has removed it since it was listed
		}
		if err != nil {
			bad = append(bad, err)
			continue
		}
		roots = append(roots, root)
	}
	said, err := labels(ctx, r, "")
	if err != nil {
		bad = append(bad, err)
	}
	for _, root := range roots {
		if l, ok := said[root.name]; ok {
			root.Tags, root.Held = l.Tags, l.Held
		}
	}
	slices.SortFunc(roots, func(a, b *Root) int {
		if c := a.Time.Compare(b.Time); c != 0 {
			return c
		}
		return strings.Compare(a.name, b.name)
	})
	return roots, errors.Join(bad...)
}

// Resolve finds the snapshot that a user means: "latest", the beginning of an ID, a full name, or a time, which means
// the last one before. Times are RFC 3339, or a date with or without hours and minutes in loc. Server, when not empty, is the
// only one looked at.
func Resolve(roots []*Root, what, server string, loc *time.Location) (*Root, error) {
	if server != "" {
		roots = slices.DeleteFunc(slices.Clone(roots), func(r *Root) bool { return r.Server != server })
	}
	if what == "latest" && len(roots) > 0 {
		return roots[len(roots)-1], nil
	}
	var found []*Root
	for _, r := range roots {
		if r.name == what || strings.HasPrefix(r.ID, what) && what != "" {
			found = append(found, r)
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return nil, fmt.Errorf("%q: %w", what, ErrAmbiguous)
	}
	if at, ok := parseTime(what, loc); ok {
		for _, r := range slices.Backward(roots) {
			if !r.Time.After(at) {
				return r, nil
			}
		}
	}
	return nil, fmt.Errorf("%q: %w", what, ErrNoSnapshot)
}

func parseTime(s string, loc *time.Location) (time.Time, bool) {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02T15:04", "2006-01-02 15:04"} {
		if t, err := time.ParseInLocation(layout, s, loc); err == nil {
			return t, true
		}
	}
	if t, err := time.ParseInLocation("2006-01-02", s, loc); err == nil {
		return t.AddDate(0, 0, 1).Add(-time.Nanosecond), true // the whole day
	}
	return time.Time{}, false
}

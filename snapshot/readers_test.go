package snapshot

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/orthokeep/orthokeep/repo"
	"github.com/orthokeep/orthokeep/repo/storage"
	"github.com/orthokeep/orthokeep/repo/storage/faulty"
)

// A reader is a command that shows or returns something. It returns what it read, as text.
type reader struct {
	name string
	read func(context.Context, *trial, *repo.Repository) (string, error)
}

func text(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// newest is the last snapshot that must be there, read anew.
func (tr *trial) newest(ctx context.Context, r *repo.Repository) (*Root, error) {
	return ReadRoot(ctx, r, tr.must[len(tr.must)-1].root.Name())
}

// of is a reader of the newest snapshot.
func of(name string, read func(context.Context, *trial, *repo.Repository, *Root) (string, error)) reader {
	return reader{name, func(ctx context.Context, tr *trial, r *repo.Repository) (string, error) {
		root, err := tr.newest(ctx, r)
		if err != nil {
			return "", err
		}
		return read(ctx, tr, r, root)
	}}
}

// all is a reader of all snapshots.
func all(name string, read func(context.Context, *repo.Repository, []*Root) (any, error)) reader {
	return reader{name, func(ctx context.Context, _ *trial, r *repo.Repository) (string, error) {
		roots, err := Roots(ctx, r)
		if err != nil {
			return "", err
		}
		v, err := read(ctx, r, roots)
		return text(v), err
	}}
}

var readers = []reader{
	all("snapshots", func(_ context.Context, _ *repo.Repository, roots []*Root) (any, error) { return roots, nil }),
	all("check", func(ctx context.Context, r *repo.Repository, roots []*Root) (any, error) {
		problems, err := Check(ctx, r, roots)
		if len(problems) > 0 {
			err = errors.Join(err, repo.ErrCorrupt)
		}
		return nil, err
	}),
	all("check data", func(ctx context.Context, r *repo.Repository, roots []*Root) (any, error) {
		_, problems, err := CheckData(ctx, r, roots, repo.All(), NoProgress{})
		if len(problems) > 0 {
			err = errors.Join(err, repo.ErrCorrupt)
		}
		return nil, err
	}),
	all("each index", func(ctx context.Context, r *repo.Repository, roots []*Root) (any, error) {
		dir, err := os.MkdirTemp(memoryFolder(), "orthokeep")
		if err != nil {
			return nil, err
		}
		defer os.RemoveAll(dir)
		sums := map[string]string{}
		err = EachIndex(ctx, r, roots, filepath.Join(dir, "index"), func(of []*Root, damage error) error {
			sum, err := contents(dir)
			for _, root := range of {
				sums[root.ID] = sum
			}
			return errors.Join(damage, err)
		})
		return sums, err
	}),
	all("own", func(ctx context.Context, r *repo.Repository, roots []*Root) (any, error) {
		return FindOwn(ctx, r, roots)
	}),
	all("head use", func(ctx context.Context, r *repo.Repository, roots []*Root) (any, error) {
		return FindHeadUse(ctx, r, roots)
	}),
	{"decide", func(ctx context.Context, tr *trial, r *repo.Repository) (string, error) {
		d, err := Decide(ctx, r, PruneOptions{Policy: Policy{Last: 1}, Location: time.UTC})
		return text(d), err
	}},
	{"stats", func(ctx context.Context, tr *trial, r *repo.Repository) (string, error) {
		s, err := r.Stats(ctx)
		return text(s), err
	}},
	of("ls", func(ctx context.Context, _ *trial, r *repo.Repository, root *Root) (string, error) {
		var out []string
		for e, err := range ListAttachments(ctx, r, root) {
			if err != nil {
				return "", err
			}
			out = append(out, fmt.Sprint(e.UUID, e.Size, e.MD5))
		}
		return text(out), nil
	}),
	of("one file", func(ctx context.Context, tr *trial, r *repo.Repository, root *Root) (string, error) {
		var out bytes.Buffer
		for _, i := range []int{0, len(tr.list) - 1} {
			if err := CopyAttachment(ctx, r, root, tr.list[i].Key(), &out); err != nil {
				return "", err
			}
		}
		return out.String(), nil
	}),
	of("restore", func(ctx context.Context, tr *trial, r *repo.Repository, root *Root) (string, error) {
		s := tr.must[len(tr.must)-1]
		return "", restores(ctx, r, s)
	}),
	of("restore orphans", func(ctx context.Context, tr *trial, r *repo.Repository, root *Root) (string, error) {
		dir, err := os.MkdirTemp(memoryFolder(), "orthokeep")
		if err != nil {
			return "", err
		}
		defer os.RemoveAll(dir)
		if _, err := RestoreOrphans(ctx, r, root, Destination{Dir: dir, Place: UUID.String, Mode: 0o600}, NoProgress{}); err != nil {
			return "", err
		}
		return contents(dir)
	}),
	of("configuration", func(ctx context.Context, _ *trial, r *repo.Repository, root *Root) (string, error) {
		files, err := ReadFiles(ctx, r, root)
		if err != nil {
			return "", err
		}
		b, err := io.ReadAll(OpenContent(ctx, r, root, files.Files[0]))
		return string(b), err
	}),
	{"reading", func(ctx context.Context, tr *trial, r *repo.Repository) (string, error) {
		x, err := r.BeginReading(ctx, repo.RunInfo{Kind: "restore", Parent: tr.must[0].root.Name(), Started: now})
		if err != nil {
			return "", err
		}
		return "", x.End(ctx, now)
	}},
}

// contents is the names and bytes of a folder's files.
func contents(dir string) (string, error) {
	sum := sha256.New()
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		fmt.Fprintln(sum, path[len(dir):], len(b))
		sum.Write(b)
		return err
	})
	return fmt.Sprintf("%x", sum.Sum(nil)), err
}

// nightsToRead has snapshots of several layers, one with labels and orphans, and one that was removed.
func nightsToRead(tr *trial) error {
	tr.more = func(ctx context.Context, s *Session, root *Root) (err error) {
		list := slices.Clone(tr.list[:3])
		root.Orphans, err = s.StoreOrphans(ctx, tr.world, func(yield func(Orphan, error) bool) {
			slices.SortFunc(list, func(a, b Attachment) int { return bytes.Compare(a.UUID[:], b.UUID[:]) })
			for _, a := range list {
				if !yield(Orphan{UUID: a.UUID, Size: a.Size}, nil) {
					return
				}
			}
		})
		return err
	}
	return muchToPrune(tr)
}

// TestReadersOfDamage: each read of each reader fails, or is short, torn or has one bit turned round. What it returns is what it returns
// without that, or an error.
func TestReadersOfDamage(t *testing.T) {
	tr, st := toRead(t)
	for _, reader := range readers {
		open := func() (string, error) {
			r, err := repo.Open(t.Context(), st, repo.Credentials{Recovery: tr.keys.Recovery}, "")
			if err != nil {
				return "", err
			}
			defer r.Close()
			return reader.read(t.Context(), tr, r)
		}
		first := st.Reads()
		want, err := open()
		if err != nil {
			t.Fatalf("%s: %v", reader.name, err)
		}
		reads := st.Reads() - first
		failed := 0
		for _, how := range []faulty.Fault{faulty.NotStored, faulty.Short, faulty.Torn, faulty.Flipped} {
			for k := 0; k < reads; k += faultStride() {
				st.FailRead(st.Reads()+k, how)
				got, err := open()
				if err != nil {
					failed++
				} else if got != want {
					t.Errorf("%s, fault %d of read %d: it returns something else, and no error", reader.name, how, k)
				}
			}
		}
		if again, err := open(); err != nil || again != want {
			t.Errorf("%s, after all: %v", reader.name, err)
		}
		t.Logf("%s: %d reads, %d faults reported", reader.name, reads, failed)
		if failed == 0 {
			t.Errorf("%s never fails", reader.name)
		}
	}
}

// TestCheckFindsEveryDamagedRead: a check that reads all data finds whatever one of its reads returns short, torn or with one bit turned
// round; but for marks and epoch keys, of which it reads each again, or the second copy.
func TestCheckFindsEveryDamagedRead(t *testing.T) {
	tr, st := toRead(t)
	check := func(k int, how faulty.Fault) (damaged bool, reads int) {
		r, err := repo.Open(t.Context(), st, repo.Credentials{Recovery: tr.keys.Recovery}, "")
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		first := st.Reads()
		if k >= 0 {
			st.FailRead(first+k, how)
		}
		report, err := r.Check(t.Context(), repo.CheckOptions{ReadData: repo.All()}, NoProgress{})
		noticed := err != nil || slices.ContainsFunc(report.Findings, func(f repo.Finding) bool { return f.Damage || f.Healed }) // read again, it was right
		return noticed, st.Reads() - first
	}
	damaged, reads := check(-1, 0)
	if damaged {
		t.Fatal("damaged without a fault")
	}
	for k := range reads { // what is gone since it was listed is damage only where something needs it
		check(k, faulty.Missing)
	}
	for _, how := range []faulty.Fault{faulty.NotStored, faulty.Short, faulty.Torn, faulty.Flipped} {
		found := 0
		for k := 0; k < reads; k += faultStride() {
			if damaged, _ := check(k, how); damaged {
				found++
				continue
			}
			spoilt := st.Spoilt()
			name := spoilt[len(spoilt)-1]
			again := strings.HasPrefix(name, "marks/") || strings.HasPrefix(name, "epochs/")
			if !again && (how == faulty.NotStored || !strings.HasSuffix(name, "*")) {
				t.Errorf("fault %d of read %d, of %s, is not found", how, k, name)
			}
		}
		if found < reads/2/faultStride() {
			t.Errorf("fault %d: only %d of %d reads were found", how, found, reads)
		}
	}
}

// toRead returns a repository to be read, behind a storage that spoils nothing yet.
func toRead(t *testing.T) (*trial, *faulty.Storage) {
	t.Helper()
	tr, disk, err := prepared(t, operation{prepare: nightsToRead}, testKeys(t))
	if err != nil {
		t.Fatal(err)
	}
	local, err := storage.CreateOn(disk, "/repo")
	if err != nil {
		t.Fatal(err)
	}
	st := faulty.Wrap(local)
	tr.st = st
	return tr, st
}

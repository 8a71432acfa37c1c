package orthanc_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/orthokeep/orthokeep/chunk/dicomtest"
	"github.com/orthokeep/orthokeep/orthanc"
	"github.com/orthokeep/orthokeep/orthanc/orthanctest"
	"github.com/orthokeep/orthokeep/repo"
	"github.com/orthokeep/orthokeep/repo/storage"
	"github.com/orthokeep/orthokeep/snapshot"
)

// site is a real Orthanc and a repository for it.
type site struct {
	t      *testing.T
	server *orthanctest.Server
	st     storage.Storage
	keys   repo.Keys
	cache  string
	state  string
}

func newSite(t *testing.T, o orthanctest.Options) *site {
	t.Helper()
	s := newRepository(t)
	s.server = orthanctest.Start(t, o)
	return s
}

// newRepository is a site without a server.
func newRepository(t *testing.T) *site {
	t.Helper()
	s := &site{t: t, cache: t.TempDir(), state: filepath.Join(t.TempDir(), "run")}
	var err error
	if s.st, err = storage.Create(filepath.Join(t.TempDir(), "repo")); err != nil {
		t.Fatal(err)
	}
	if s.keys, err = repo.NewKeys(); err != nil {
		t.Fatal(err)
	}
	if err := repo.Init(t.Context(), s.st, s.keys, repo.InitOptions{PackSize: 4 << 20, Created: time.Now()}); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *site) repo(with repo.Credentials) *repo.Repository {
	s.t.Helper()
	r, err := repo.Open(s.t.Context(), s.st, with, s.cache)
	if err != nil {
		s.t.Fatal(err)
	}
	return r
}

func (s *site) options(mode string) orthanc.SiteOptions {
	return orthanc.SiteOptions{Configuration: s.server.ConfigPath(), Window: mode, StateDir: s.state}
}

func (s *site) backup(o orthanc.SiteOptions) (*orthanc.Summary, error) {
	s.t.Helper()
	found, err := orthanc.Survey(o)
	if err != nil {
		return nil, err
	}
	return orthanc.Backup(s.t.Context(), found, s.repo(repo.Credentials{Writer: s.keys.Writer}), orthanc.BackupOptions{
		Server: "test", Host: "h", CacheDir: s.cache, Bound: orthanc.DefaultBound, Clock: time.Now}, orthanc.NoProgress{})
}

func (s *site) upload(seed uint64, n int) (ids []string) {
	s.t.Helper()
	for i := range dicomtest.Archive(seed, n) {
		id, err := s.server.Upload(i.Data)
		if err != nil {
			s.t.Fatal(err)
		}
		ids = append(ids, id)
	}
	return ids
}

// verify restores a snapshot and compares every file with the index: all that the index names is there with the size and
// MD5 that it states, and nothing else.
func (s *site) verify(root *snapshot.Root) *orthanc.Index {
	s.t.Helper()
	ctx, r := s.t.Context(), s.repo(repo.Credentials{Recovery: s.keys.Recovery})
	dir := s.t.TempDir()
	root, err := snapshot.ReadRoot(ctx, r, root.Name())
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := snapshot.RestoreAttachments(ctx, r, root, snapshot.Destination{Dir: dir, Place: snapshot.UUID.String, Mode: 0o600}, snapshot.NoProgress{}); err != nil {
		s.t.Fatal(err)
	}
	if err := snapshot.RestoreIndex(ctx, r, root, filepath.Join(dir, "index")); err != nil {
		s.t.Fatal(err)
	}
	x, err := orthanc.OpenIndexCopy(ctx, dir, orthanc.CheckFull)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { x.Close() })
	named := 0
	for a, err := range x.Attachments(ctx) {
		if err != nil {
			s.t.Fatal(err)
		}
		info, err := os.Stat(filepath.Join(dir, a.UUID.String()))
		if err != nil || info.Size() != a.CompressedSize { // the MD5 was compared by RestoreAttachments and, when stored, with the index
			s.t.Fatalf("attachment %s: %v", a.UUID, err)
		}
		named++
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != named+1 {
		s.t.Fatalf("%d files for %d attachments, %v", len(files)-1, named, err)
	}
	return x
}

func TestBackupInEachMode(t *testing.T) {
	orthanctest.Need(t)
	for _, c := range []struct {
		mode  string
		split bool
	}{{orthanc.ModeFreeze, false}, {orthanc.ModeNone, true}} {
		t.Run(c.mode, func(t *testing.T) {
			s := newSite(t, orthanctest.Options{SplitIndex: c.split})
			ids := s.upload(1, 40)
			if c.mode == orthanc.ModeNone {
				if err := s.server.Stop(); err != nil {
					t.Fatal(err)
				}
			}
			first, err := s.backup(s.options(c.mode))
			if err != nil {
				t.Fatal(err)
			}
			if first.Root.Window.Mode != c.mode || first.Root.Counts.Instances != 40 || first.Difference.New < 40 {
				t.Errorf("summary: %+v %+v", first.Root, first.Difference)
			}
			s.verify(first.Root)
			second, err := s.backup(s.options(c.mode))
			if err != nil {
				t.Fatal(err)
			}
			if second.Root.Added.Read != 0 || second.Difference.New != 0 {
				t.Errorf("a second backup of an unchanged server read %d bytes", second.Root.Added.Read)
			}
			if c.mode == orthanc.ModeNone {
				return
			}
			if err := s.server.Delete(ids[3]); err != nil {
				t.Fatal(err)
			}
			s.upload(2, 5)
			third, err := s.backup(s.options(c.mode))
			if err != nil {
				t.Fatal(err)
			}
			if third.Root.Counts.Instances != 44 || third.Difference.Deleted < 1 {
				t.Errorf("summary: %+v %+v", third.Root.Counts, third.Difference)
			}
			s.verify(third.Root)
			s.verify(first.Root)
		})
	}
}

// TestBackupUnderLoad uploads and deletes all the time. Every instance that was acknowledged before a window and not deleted
// until after it has to be in the snapshot.
func TestBackupUnderLoad(t *testing.T) {
	s := newSite(t, orthanctest.Options{})
	s.upload(1, 30)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var wg sync.WaitGroup
	var uploaded, deleted atomic.Int64
	for w := range 4 {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(w), 9))
			var mine []string
			for i := range dicomtest.Archive(uint64(100+w), 100_000) {
				if ctx.Err() != nil {
					return
				}
				id, err := s.server.Upload(i.Data)
				if err != nil {
					t.Error("a client saw an error:", err)
					return
				}
				mine = append(mine, id)
				uploaded.Add(1)
				time.Sleep(20 * time.Millisecond) // a busy department, not a flood
				if rnd.IntN(10) == 0 {
					k := rnd.IntN(len(mine))
					if err := s.server.Delete(mine[k]); err != nil {
						t.Error("a client saw an error:", err)
						return
					}
					mine = append(mine[:k], mine[k+1:]...)
					deleted.Add(1)
				}
			}
		})
	}
	for n := range 2 {
		before := uploaded.Load()
		sum, err := s.backup(s.options(orthanc.ModeFreeze))
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("backup %d: %+v, %d instances, %d uploaded before", n, sum.Root.Window, sum.Root.Counts.Instances, before)
		if sum.Root.Counts.Instances < before-deleted.Load() {
			t.Errorf("%d instances, but %d had been acknowledged and %d were deleted", sum.Root.Counts.Instances, before, deleted.Load())
		}
		x := s.verify(sum.Root)
		if counts, err := x.Counts(ctx); err != nil || counts.Instances != sum.Root.Counts.Instances {
			t.Errorf("the restored index has %+v, %v", counts, err)
		}
	}
	cancel()
	wg.Wait()
}

// stored lists the storage area.
func (s *site) stored() map[orthanc.UUID]bool {
	s.t.Helper()
	out := map[orthanc.UUID]bool{}
	area := orthanc.StorageArea{Root: s.server.StorageDir()}
	for u, err := range area.List(s.t.Context(), nil) {
		if err != nil {
			s.t.Fatal(err)
		}
		out[u] = true
	}
	return out
}

func TestBackupRefusesADamagedAttachment(t *testing.T) {
	for _, how := range []string{"cut short", "changed", "missing"} {
		t.Run(how, func(t *testing.T) {
			s := newSite(t, orthanctest.Options{})
			s.upload(1, 5)
			if _, err := s.backup(s.options(orthanc.ModeFreeze)); err != nil {
				t.Fatal(err)
			}
			old := s.stored()
			s.upload(5, 1)
			for u := range s.stored() {
				if old[u] {
					continue
				}
				path := filepath.Join(s.server.StorageDir(), u.String()[:2], u.String()[2:4], u.String())
				data, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				data[len(data)/2] ^= 1
				switch how {
				case "cut short":
					err = os.Truncate(path, 100)
				case "changed":
					err = os.WriteFile(path, data, 0o600)
				case "missing":
					err = os.Remove(path)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			if _, err := s.backup(s.options(orthanc.ModeFreeze)); !errors.Is(err, snapshot.ErrInconsistent) {
				t.Errorf("a damaged storage area: %v", err)
			}
			roots, err := snapshot.Roots(t.Context(), s.repo(repo.Credentials{Writer: s.keys.Writer}))
			if err != nil || len(roots) != 1 {
				t.Errorf("%d snapshots, %v", len(roots), err)
			}
		})
	}
}

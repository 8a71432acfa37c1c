package orthanc_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/orthokeep/orthokeep/orthanc"
	"github.com/orthokeep/orthokeep/orthanc/orthanctest"
	"github.com/orthokeep/orthokeep/repo"
	"github.com/orthokeep/orthokeep/repo/storage"
	"github.com/orthokeep/orthokeep/snapshot"
)

// restoreSite is a server with one snapshot, to be restored many times.
type restoreSite struct {
	*site
	root *snapshot.Root
	r    *repo.Repository
}

func TestRestoreTarget(t *testing.T) {
	s := newSite(t, orthanctest.Options{})
	s.upload(7, 30)
	sum, err := s.backup(s.options(orthanc.ModeFreeze))
	if err != nil {
		t.Fatal(err)
	}
	one := &restoreSite{s, sum.Root, s.repo(repo.Credentials{Recovery: s.keys.Recovery})}
	t.Run("owners and modes", one.restoreOwnersAndModes)
	t.Run("no link is followed", one.restoreFollowsNoLink)
	t.Run("cut off", one.restoreCutOff)
	t.Run("damage", one.restoreOfDamage)
}

// restoreOwnersAndModes compares owner and mode of everything with what the server had, whatever the umask says.
func (s *restoreSite) restoreOwnersAndModes(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0o077))
	target := filepath.Join(t.TempDir(), "a folder", "restored") // a path that a shell has to be given in quotes
	res, err := orthanc.Restore(t.Context(), s.r, s.root, orthanc.RestoreOptions{Target: target, Rewrite: true}, orthanc.NoProgress{})
	if err != nil {
		t.Fatal(err)
	}
	if want := "Orthanc '" + res.Plan.Configuration + "'"; len(res.Plan.Steps) != 1 || res.Plan.Steps[0] != want {
		t.Errorf("start it: %q", res.Plan.Steps)
	}
	old := orthanc.StorageArea{Root: s.server.StorageDir()}
	pairs := map[string]string{target: old.Root, res.Plan.Storage: old.Root, res.Plan.Configuration: s.server.ConfigPath(),
		filepath.Join(res.Plan.Index, "index"): filepath.Join(old.Root, "index")}
	for u := range s.stored() {
		pairs[orthanc.StorageArea{Root: res.Plan.Storage}.Path(u)] = old.Path(u)
	}
	for restored, original := range pairs {
		a, err := os.Stat(restored)
		if err != nil {
			t.Fatal(err)
		}
		b, err := os.Stat(original)
		if err != nil {
			t.Fatal(err)
		}
		x, y := a.Sys().(*syscall.Stat_t), b.Sys().(*syscall.Stat_t)
		if a.Mode() != b.Mode() || x.Uid != y.Uid || x.Gid != y.Gid {
			t.Errorf("%s is %v of %d:%d, it was %v of %d:%d", restored, a.Mode(), x.Uid, x.Gid, b.Mode(), y.Uid, y.Gid)
		}
	}
	if info, err := os.Stat(filepath.Dir(res.Plan.Configuration)); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("Orthanc's user cannot reach its configuration: %v, %v", info, err)
	}
}

// restoreFollowsNoLink puts links in the way, as whoever owns a target could.
func (s *restoreSite) restoreFollowsNoLink(t *testing.T) {
	var first string
	for u := range s.stored() {
		first = filepath.Join("storage", u.String()[:2])
	}
	for _, at := range []string{"storage", first, "files", filepath.Join("files", "tmp"), filepath.Join("storage", "index")} {
		target, outside := t.TempDir(), t.TempDir()
		link := filepath.Join(target, at)
		if err := os.MkdirAll(filepath.Dir(link), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(outside, link); err != nil {
			t.Fatal(err)
		}
		_, err := orthanc.Restore(t.Context(), s.r, s.root, orthanc.RestoreOptions{Target: target, Overwrite: true}, orthanc.NoProgress{})
		if left, readErr := os.ReadDir(outside); readErr != nil || len(left) > 0 {
			t.Errorf("a link at %s led out of the target: %v, %v", at, left, readErr)
		}
		if at == "storage" && !errors.Is(err, snapshot.ErrNotEmpty) {
			t.Errorf("a link at %s: %v", at, err)
		}
	}
}

// restoreCutOff ends a restore over an older one in its midst: neither the old index nor a new one is there, and the next
// restore completes it.
func (s *restoreSite) restoreCutOff(t *testing.T) {
	target := filepath.Join(t.TempDir(), "restored")
	restore := func(ctx context.Context, p orthanc.Progress) error {
		_, err := orthanc.Restore(ctx, s.r, s.root, orthanc.RestoreOptions{Target: target, Overwrite: true}, p)
		return err
	}
	if err := restore(t.Context(), orthanc.NoProgress{}); err != nil {
		t.Fatal(err)
	}
	index := filepath.Join(target, "storage", "index")
	if _, err := os.Stat(index); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if err := restore(ctx, cancelling{cancel: cancel}); !errors.Is(err, context.Canceled) {
		t.Fatalf("a restore that was cut off: %v", err)
	}
	if _, err := os.Stat(index); !os.IsNotExist(err) {
		t.Errorf("a restore that was cut off has an index: %v", err)
	}
	if err := restore(t.Context(), orthanc.NoProgress{}); err != nil {
		t.Fatal(err)
	}
}

// cancelling ends the work at its first attachment.
type cancelling struct {
	orthanc.NoProgress
	cancel func()
}

func (c cancelling) Add(_, _ int64) { c.cancel() }

// restoreOfDamage breaks the first blob of each pack of content in turn. Damaged attachments are named and all the rest is
// there; without its index the folder is not handed over.
func (s *restoreSite) restoreOfDamage(t *testing.T) {
	packs, err := filepath.Glob(filepath.Join(s.st.(*storage.Local).String(), "packs", "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	partial, closed := 0, 0
	for _, pack := range packs {
		old, err := os.ReadFile(pack)
		if err != nil {
			t.Fatal(err)
		}
		if old[5] != byte(repo.Content) {
			continue
		}
		broken := bytes.Clone(old)
		broken[50] ^= 1
		if err := os.WriteFile(pack, broken, 0o600); err != nil {
			t.Fatal(err)
		}
		target := filepath.Join(t.TempDir(), "restored")
		res, err := orthanc.Restore(t.Context(), s.r, s.root, orthanc.RestoreOptions{Target: target}, orthanc.NoProgress{})
		if !errors.Is(err, repo.ErrCorrupt) || res == nil {
			t.Fatalf("damage: %+v, %v", res, err)
		}
		if _, err := os.Stat(filepath.Join(res.Plan.Index, "index")); err == nil {
			partial++
			if d := res.Restored; d.DamagedAll == 0 || d.Attachments+d.DamagedAll != s.root.Counts.Attachments {
				t.Errorf("%+v of %d attachments", res.Restored, s.root.Counts.Attachments)
			}
			if _, err := os.Stat(res.Plan.Configuration); err != nil {
				t.Error("damaged attachments cost the configuration:", err)
			}
		} else {
			closed++
			if info, err := os.Stat(res.Plan.Storage); err != nil || info.Mode().Perm() != 0o700 {
				t.Errorf("a folder without an index was handed over: %v, %v", info, err)
			}
		}
		if err := os.WriteFile(pack, old, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if partial == 0 || closed == 0 {
		t.Errorf("%d restores with damaged attachments, %d with a damaged index: one kind was not tried", partial, closed)
	}
}

package orthanc_test

import (
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/orthokeep/orthokeep/orthanc"
	"github.com/orthokeep/orthokeep/orthanc/orthanctest"
	"github.com/orthokeep/orthokeep/repo"
	"github.com/orthokeep/orthokeep/snapshot"
)

func port(t *testing.T, s *orthanctest.Server) int {
	t.Helper()
	u, err := url.Parse(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(u.Port())
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestRestoredFolderStarts restores with one folder for index and storage and with two, starts a real Orthanc on the result,
// and compares every attachment of every resource.
func TestRestoredFolderStarts(t *testing.T) {
	for _, split := range []bool{false, true} {
		t.Run(map[bool]string{false: "one folder", true: "two folders"}[split], func(t *testing.T) {
			t.Parallel()
			s := newSite(t, orthanctest.Options{SplitIndex: split})
			s.upload(3, 60)
			sum, err := s.backup(s.options(orthanc.ModeFreeze))
			if err != nil {
				t.Fatal(err)
			}
			want, err := s.server.Content(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if err := s.server.Stop(); err != nil {
				t.Fatal(err)
			}
			target := filepath.Join(t.TempDir(), "restored")
			r := s.repo(repo.Credentials{Recovery: s.keys.Recovery})
			o := orthanc.RestoreOptions{Target: target, Rewrite: true}
			plan, err := orthanc.PlanRestore(t.Context(), r, sum.Root, o)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat(target); !os.IsNotExist(err) {
				t.Error("a plan has made the target:", err)
			}
			res, err := orthanc.Restore(t.Context(), r, sum.Root, o, orthanc.NoProgress{})
			if err != nil {
				t.Fatal(err)
			}
			if res.Restored.Attachments != sum.Root.Counts.Attachments || (plan.Index == plan.Storage) == split {
				t.Errorf("restored %+v to %+v", res.Restored, plan)
			}
			again := orthanctest.Start(t, orthanctest.Options{Config: res.Plan.Configuration, Port: port(t, s.server)})
			got, err := again.Content(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if lines := orthanctest.Diff(want, got); len(lines) > 0 {
				t.Errorf("the restored server differs:\n%s", strings.Join(lines, "\n"))
			}
			if len(got) == 0 {
				t.Error("nothing was compared")
			}
		})
	}
}

func TestRestoreRefusesWhatIsInTheWay(t *testing.T) {
	s := newSite(t, orthanctest.Options{})
	s.upload(4, 5)
	sum, err := s.backup(s.options(orthanc.ModeFreeze))
	if err != nil {
		t.Fatal(err)
	}
	target := t.TempDir()
	mine := filepath.Join(target, "mine")
	if err := os.WriteFile(mine, []byte("keep"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := s.repo(repo.Credentials{Recovery: s.keys.Recovery})
	_, err = orthanc.Restore(t.Context(), r, sum.Root, orthanc.RestoreOptions{Target: target}, orthanc.NoProgress{})
	if !errors.Is(err, snapshot.ErrNotEmpty) {
		t.Fatalf("a target that is not empty: %v", err)
	}
	if entries, err := os.ReadDir(target); err != nil || len(entries) != 1 {
		t.Fatalf("something was written: %v, %v", entries, err)
	}
	if err := os.MkdirAll(filepath.Join(target, "storage"), 0o700); err != nil {
		t.Fatal(err)
	}
	stale := filepath.Join(target, "storage", "index-wal")
	if err := os.WriteFile(stale, []byte("a log of another index"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second one over the first
		if _, err := orthanc.Restore(t.Context(), r, sum.Root, orthanc.RestoreOptions{Target: target, Overwrite: true}, orthanc.NoProgress{}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(stale); !os.IsNotExist(err) {
		t.Errorf("a stale log is still beside the index: %v", err)
	}
	if b, err := os.ReadFile(mine); err != nil || string(b) != "keep" {
		t.Errorf("a file of somebody else's was touched: %v", err)
	}
}

package orthanc_test

import (
	"database/sql"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/orthokeep/orthokeep/orthanc"
	"github.com/orthokeep/orthokeep/orthanc/orthanctest"
	"github.com/orthokeep/orthokeep/repo"
)

// pendingCount asks plug-in DelayedDeletion how many files it has still to remove.
func pendingCount(t *testing.T, s *orthanctest.Server) int {
	t.Helper()
	text, err := s.Do(http.MethodGet, "/plugins/delayed-deletion/status", nil)
	if err != nil {
		t.Fatal(err)
	}
	var status struct{ FilesPendingDeletion int }
	if err := json.Unmarshal(text, &status); err != nil {
		t.Fatal(err)
	}
	return status.FilesPendingDeletion
}

// The real plug-in, slowed down, has a long list when it is backed up. The restored server goes on with that list, wherever it
// lay, removes nothing that the snapshot has, and does not touch the list of the old one.
func TestPendingDeletionsOfThePlugin(t *testing.T) {
	root := orthanctest.NeedDebian13(t)
	t.Setenv("ORTHOKEEP_ORTHANC", filepath.Join(filepath.Dir(root), "Orthanc"))
	for name, path := range map[string]string{"in the storage directory": "", "at a path of its own": filepath.Join(t.TempDir(), "list.db")} {
		t.Run(name, func(t *testing.T) {
			section := map[string]any{"Enable": true, "ThrottleDelayMs": 2000}
			if path != "" {
				section["Path"] = path
			}
			s := newSite(t, orthanctest.Options{Settings: map[string]any{"DelayedDeletion": section,
				"Plugins": []string{filepath.Join(root, "usr/share/orthanc/plugins/libDelayedDeletion.so")}}})
			ids := s.upload(1, 40)
			for _, id := range ids[:30] {
				if err := s.server.Delete(id); err != nil {
					t.Fatal(err)
				}
			}
			sum, err := s.backup(s.options(orthanc.ModeFreeze))
			if err != nil {
				t.Fatal(err)
			}
			if len(sum.Warnings) > 0 {
				t.Errorf("warnings %q", sum.Warnings)
			}
			left := pendingCount(t, s.server)
			if left < 20 {
				t.Fatalf("only %d files are left to be removed: nothing is shown", left)
			}
			want, err := s.server.Content(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if err := s.server.Kill(); err != nil {
				t.Fatal(err)
			}
			o := orthanc.RestoreOptions{Target: filepath.Join(t.TempDir(), "restored"), Rewrite: true}
			res, err := orthanc.Restore(t.Context(), s.repo(repo.Credentials{Recovery: s.keys.Recovery}), sum.Root, o, orthanc.NoProgress{})
			if err != nil {
				t.Fatal(err)
			}
			again := orthanctest.Start(t, orthanctest.Options{Config: res.Plan.Configuration, Port: port(t, s.server)})
			if n := pendingCount(t, again); n < left-2 || n > 60 { // it begins at once
				t.Errorf("the restored server has %d files to remove, the old one had %d a little later", n, left)
			}
			got, err := again.Content(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if lines := orthanctest.Diff(want, got); len(lines) > 0 || len(got) == 0 {
				t.Errorf("the restored server differs:\n%s", strings.Join(lines, "\n"))
			}
			if path != "" {
				if p, err := orthanc.FindProcess(path); err == nil {
					t.Errorf("process %d has the old server's list", p.PID)
				}
			}
			if err := again.Kill(); err != nil { // its orderly end waits for the plug-in
				t.Fatal(err)
			}
		})
	}
}

// The log of a list is taken over, a damaged list is a warning, and a restore over an older one leaves no older log beside a list.
func TestPendingDeletionsOfAServerThatIsDown(t *testing.T) {
	s := newSite(t, orthanctest.Options{})
	s.upload(1, 5)
	if err := s.server.Stop(); err != nil {
		t.Fatal(err)
	}
	list := filepath.Join(s.server.StorageDir(), "pending-deletions.x.db")
	leaveList(t, list)
	damaged := filepath.Join(s.server.StorageDir(), "pending-deletions.y.db")
	if err := os.WriteFile(damaged, []byte("no database"), 0o600); err != nil {
		t.Fatal(err)
	}
	sum, err := s.backup(s.options(orthanc.ModeNone))
	if err != nil {
		t.Fatal(err)
	}
	if len(sum.Warnings) != 1 || !strings.Contains(sum.Warnings[0], damaged) {
		t.Errorf("warnings %q", sum.Warnings)
	}
	target := filepath.Join(t.TempDir(), "restored")
	restored := filepath.Join(target, "storage", "pending-deletions.x.db")
	for range 2 {
		if _, err := orthanc.Restore(t.Context(), s.repo(repo.Credentials{Recovery: s.keys.Recovery}), sum.Root,
			orthanc.RestoreOptions{Target: target, Overwrite: true}, orthanc.NoProgress{}); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(restored + "-wal"); !os.IsNotExist(err) {
			t.Errorf("a log is beside the list: %v", err)
		}
		if n := listed(t, restored); n != 3 {
			t.Errorf("%d files are in the restored list, want 3", n)
		}
		if err := os.WriteFile(restored+"-wal", []byte("an older log"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// leaveList makes a list whose rows are all in its log, as a killed Orthanc leaves it.
func leaveList(t *testing.T, path string) {
	t.Helper()
	live := filepath.Join(t.TempDir(), "list.db")
	db, err := sql.Open("sqlite", live)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	for _, query := range []string{"PRAGMA journal_mode=WAL", "PRAGMA wal_autocheckpoint=0", "CREATE TABLE Pending(uuid TEXT, type INTEGER)",
		"INSERT INTO Pending VALUES('a', 1), ('b', 1), ('c', 1)"} {
		if _, err := db.Exec(query); err != nil {
			t.Fatal(err)
		}
	}
	for _, suffix := range []string{"", "-wal"} {
		if err := copyFile(path+suffix, live+suffix); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path+suffix, time.Time{}, time.Now().Add(-time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
}

func listed(t *testing.T, path string) (n int) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?mode=ro&immutable=1")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.QueryRow("SELECT COUNT(*) FROM Pending").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// The real plug-in takes a relative storage directory from the folder in which Orthanc was started, so that the attachments are
// not where Orthanc says.
func TestPendingDeletionsWithARelativeFolder(t *testing.T) {
	root := orthanctest.NeedDebian13(t)
	t.Setenv("ORTHOKEEP_ORTHANC", filepath.Join(filepath.Dir(root), "Orthanc"))
	started := t.TempDir()
	t.Chdir(started)
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "store"), 0o755); err != nil {
		t.Fatal(err)
	}
	s := newSite(t, orthanctest.Options{Dir: dir, SplitIndex: true, Settings: map[string]any{"StorageDirectory": "store", "DelayedDeletion": map[string]any{},
		"Plugins": []string{filepath.Join(root, "usr/share/orthanc/plugins/libDelayedDeletion.so")}}})
	s.upload(1, 1)
	if files, err := filepath.Glob(filepath.Join(started, "store", "??", "??", "*")); err != nil || len(files) == 0 {
		t.Errorf("the plug-in's attachments are elsewhere: %v, %v", files, err)
	}
	if _, err := s.backup(s.options(orthanc.ModeFreeze)); !errors.Is(err, orthanc.ErrLayout) || !strings.Contains(err.Error(), filepath.Join(started, "store")) {
		t.Errorf("got %v", err)
	}
}

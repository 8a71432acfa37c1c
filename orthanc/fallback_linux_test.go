package orthanc_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/orthokeep/orthokeep/orthanc"
	"github.com/orthokeep/orthokeep/orthanc/orthanctest"
	"github.com/orthokeep/orthokeep/repo"
)

// spoiled is a window in which the copy of the index comes out damaged.
type spoiled struct {
	orthanc.Window
	storage string
}

func (w spoiled) Do(ctx context.Context, bound time.Duration, inside func(context.Context) error) (orthanc.Stats, error) {
	return w.Window.Do(ctx, bound, func(ctx context.Context) error {
		if err := inside(ctx); err != nil {
			return err
		}
		copies, err := filepath.Glob(filepath.Join(filepath.Dir(w.storage), ".orthokeep-*", "index-*", "index"))
		if err != nil || len(copies) != 1 {
			return fmt.Errorf("copies %v, %v", copies, err)
		}
		f, err := os.OpenFile(copies[0], os.O_RDWR, 0)
		if err != nil {
			return err
		}
		_, err = f.WriteAt(make([]byte, 18*4096), 2*4096)
		return errors.Join(err, f.Close())
	})
}

// A frozen copy that fails its check is not published: Orthanc is stopped and started instead, and the summary says why. Where it
// cannot be stopped there is no snapshot.
func TestBackupFallsBackToStop(t *testing.T) {
	s := newSite(t, orthanctest.Options{})
	s.upload(1, 30)
	if err := s.server.Restart(t.Context()); err != nil { // the log, which would put right what is spoiled, is taken over
		t.Fatal(err)
	}
	backup := func(o orthanc.SiteOptions) (*orthanc.Summary, error) {
		found, err := orthanc.Survey(o)
		if err != nil {
			t.Fatal(err)
		}
		found.Choice.Window = spoiled{found.Choice.Window, s.server.StorageDir()}
		return orthanc.Backup(t.Context(), found, s.repo(repo.Credentials{Writer: s.keys.Writer}), orthanc.BackupOptions{
			Server: "test", Host: "h", CacheDir: s.cache, Bound: orthanc.DefaultBound, Clock: time.Now}, orthanc.NoProgress{})
	}
	if sum, err := backup(s.options(orthanc.ModeAuto)); !errors.Is(err, orthanc.ErrIndex) {
		t.Errorf("without a way to stop: %+v, %v", sum, err)
	}

	binary, err := orthanctest.Find()
	if err != nil {
		t.Fatal(err)
	}
	pidFile := filepath.Join(t.TempDir(), "pid")
	if err := os.WriteFile(pidFile, []byte(strconv.Itoa(s.server.PID())), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		text, _ := os.ReadFile(pidFile)
		if pid, _ := strconv.Atoi(strings.TrimSpace(string(text))); pid > 1 && pid != s.server.PID() {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
	})
	o := s.options(orthanc.ModeAuto)
	o.Stop = "kill $(cat " + pidFile + ")"
	o.Start = fmt.Sprintf("%s %s </dev/null >/dev/null 2>&1 & echo $! >%s", binary, s.server.ConfigPath(), pidFile)
	sum, err := backup(o)
	if err != nil {
		t.Fatal(err)
	}
	if w := sum.Root.Window; w.Mode != orthanc.ModeStop || w.Count != 2 || !strings.Contains(w.Reason, "failed its check") {
		t.Errorf("window %+v", w)
	}
	if sum.Root.Counts.Instances != 30 {
		t.Errorf("counts %+v", sum.Root.Counts)
	}
	s.verify(sum.Root)
	if _, err := s.server.System(); err != nil {
		t.Error("Orthanc does not run:", err)
	}
}

package main

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/orthokeep/orthokeep/chunk/dicomtest"
	"github.com/orthokeep/orthokeep/orthanc"
	"github.com/orthokeep/orthokeep/orthanc/orthanctest"
)

// drillsIn returns the Orthancs that run on something below a folder.
func drillsIn(scratch string) (found []string) {
	all, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range all {
		if text, _ := os.ReadFile(path); bytes.Contains(text, []byte(scratch)) && bytes.Contains(text, []byte("--no-jobs")) {
			found = append(found, path)
		}
	}
	return found
}

// TestRealDrill looks at the exit codes of drill, and at what is left of it, however it ends.
func TestRealDrill(t *testing.T) {
	program := orthanctest.Need(t)
	server := orthanctest.Start(t, orthanctest.Options{})
	for i := range dicomtest.Archive(21, 25) {
		if _, err := server.Upload(i.Data); err != nil {
			t.Fatal(err)
		}
	}
	r := newScene(t, buildCommand(t), server)
	r.init()
	sum := r.backup()
	scratch := filepath.Join(r.dir, "scratch")
	if err := os.Mkdir(scratch, 0o700); err != nil {
		t.Fatal(err)
	}
	args := []string{"drill", "--recovery-key", r.path("recovery.key"), "--orthanc-binary", program, "--scratch", scratch}
	clean := func() {
		t.Helper()
		if left, err := os.ReadDir(scratch); err != nil || len(left) > 0 || len(drillsIn(scratch)) > 0 {
			t.Errorf("left behind: %v, %v, %v", left, drillsIn(scratch), err)
		}
	}
	// hold starts a drill and returns once its Orthanc runs, with how to let it go on.
	hold := func() (c *running, release func()) {
		t.Helper()
		folder := t.TempDir()
		c = r.start([]string{"ORTHOKEEP_TEST_HOLD=" + folder, "ORTHOKEEP_TEST_HOLD_AT=" + orthanc.PointDrill}, args...)
		t.Cleanup(func() { _ = c.cmd.Process.Kill() })
		for end := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
			if _, err := os.Stat(filepath.Join(folder, orthanc.PointDrill)); err == nil {
				break
			} else if time.Now().After(end) {
				t.Fatal("the drill does not come to its Orthanc")
			}
		}
		if n := len(drillsIn(scratch)); n != 1 {
			t.Fatalf("%d Orthancs run", n)
		}
		return c, func() {
			if err := os.WriteFile(filepath.Join(folder, "go"), nil, 0o600); err != nil {
				t.Error(err)
			}
		}
	}

	var got drillJSON
	if err := json.Unmarshal([]byte(lastOf(r.run(append(args, "latest", "--json")...).stdout)), &got); err != nil {
		t.Fatal(err)
	}
	if !got.Equal || got.Snapshot != sum.Snapshot || got.Instances != 25 || got.Compared != sum.Attachments || got.Attachments != sum.Attachments || got.Folder != "" {
		t.Errorf("a good snapshot: %+v", got)
	}
	clean()

	c, _ := hold()
	if err := c.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	c.wait()
	for end := time.Now().Add(5 * time.Second); len(drillsIn(scratch)) > 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("Orthanc outlives orthokeep: %v", drillsIn(scratch))
		}
	}
	text := r.run(args...).stdout // and removes what the killed one could not
	for _, want := range []string{"note       removed what a drill that was killed had left: ", "equal      all that was compared, in "} {
		if !strings.Contains(text, want) {
			t.Errorf("after a kill the next drill prints\n%s", text)
		}
	}
	clean()

	c, release := hold()
	if err := c.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	time.Sleep(200 * time.Millisecond) // until the signal is caught
	release()
	if got := c.wait(); got.code != exitInterrupted || got.stdout != "" {
		t.Errorf("interrupted, it ends with %d:\n%s%s", got.code, got.stdout, got.stderr)
	}
	clean()

	r.try("drill", "--recovery-key", r.path("recovery.key"), "--orthanc-binary", r.path("settings.toml")).fails(exitFailed, "no Orthanc to run", "hint: install it")

	damageLargest(t, filepath.Join(r.repo, "packs"))
	healed := r.try(args...)
	if healed.code != exitWarnings || !strings.Contains(healed.stderr, "was healed by its parity as it was read") {
		t.Errorf("damage that parity heals ends with %d:\n%s%s", healed.code, healed.stdout, healed.stderr)
	}
	clean()

	if err := os.RemoveAll(filepath.Join(r.repo, "parity")); err != nil {
		t.Fatal(err)
	}
	bad := r.try(args...)
	if bad.code != exitDamage {
		t.Errorf("damage ends with %d:\n%s%s", bad.code, bad.stdout, bad.stderr)
	}
	t.Logf("damaged: %s%s", bad.stdout, bad.stderr)
	clean()
	r.noPatientData(patients(t, r.server))
}

func lastOf(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}

// damageLargest flips a bit in the middle of the largest pack.
func damageLargest(t *testing.T, dir string) {
	t.Helper()
	var largest string
	var size int64
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Size() > size {
			largest, size = path, info.Size()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(largest)
	if err != nil {
		t.Fatal(err)
	}
	data[size/2] ^= 1
	if err := os.Chmod(largest, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(largest, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

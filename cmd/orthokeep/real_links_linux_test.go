package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/orthokeep/orthokeep/orthanc"
	"github.com/orthokeep/orthokeep/orthanc/orthanctest"
)

// awaitFile waits until a file is there.
func awaitFile(t *testing.T, path string) {
	t.Helper()
	for end := time.Now().Add(40 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		if _, err := os.Stat(path); err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s does not come into being", path)
		}
	}
}

// What is uploaded after the read-ahead, and deleted as soon as the stopped Orthanc runs again, is in the snapshot all the same,
// in one round; and nothing is left of it outside the repository.
func TestRealStopLinks(t *testing.T) {
	t.Parallel()
	r := newScene(t, buildCommand(t), orthanctest.Start(t, orthanctest.Options{Dir: openTemp(t)}))
	r.init()
	upload(t, r.server, small(1, 50, 50))
	r.stopByCommand(t)
	stop := r.path("stop")
	if err := os.Rename(stop, stop+"-now"); err != nil {
		t.Fatal(err)
	}
	r.write("stop", "#!/bin/sh\ntouch "+r.path("stopping")+"\nwhile ! [ -e "+r.path("go-on")+" ]; do sleep 0.02; done\nexec "+stop+"-now\n")
	if err := os.Chmod(stop, 0o755); err != nil {
		t.Fatal(err)
	}
	hold := t.TempDir()
	child := r.start([]string{"ORTHOKEEP_TEST_HOLD=" + hold, "ORTHOKEEP_TEST_HOLD_AT=" + orthanc.PointOpened}, r.backupArgs()...)
	defer child.cmd.Process.Kill()

	awaitFile(t, r.path("stopping")) // read ahead, and not stopped yet
	var late []string
	for i := range small(77, 20, 10) {
		id, err := r.server.Upload(i.Data)
		if err != nil {
			t.Fatal(err)
		}
		late = append(late, id)
	}
	r.write("go-on", "")
	awaitFile(t, filepath.Join(hold, orthanc.PointOpened)) // it runs again, and nothing has been read since
	for _, id := range late {
		if err := r.server.Delete(id); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(hold, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	got := child.wait()
	if got.code != exitDone {
		t.Fatalf("the backup ends with %d:\n%s", got.code, got.stderr)
	}
	if s := got.summary(); s.Window.Rounds != 1 || s.Window.Count != 1 {
		t.Errorf("it took %d rounds and %d windows: %v", s.Window.Rounds, s.Window.Count, s)
	}
	restored := r.restore("latest")
	for _, id := range late {
		if !restored.instances[id] {
			t.Errorf("instance %s is not in the snapshot", id)
		}
	}
	staging, err := filepath.Glob(filepath.Join(filepath.Dir(r.server.StorageDir()), ".orthokeep-*"))
	if err != nil || len(staging) > 0 {
		t.Errorf("left is %v, %v", staging, err)
	}
}

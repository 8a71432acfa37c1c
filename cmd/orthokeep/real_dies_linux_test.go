package main

import (
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/orthokeep/orthokeep/orthanc"
	"github.com/orthokeep/orthokeep/orthanc/orthanctest"
)

// Orthanc dies by itself while it is frozen: that is said in one line, nothing is published, nothing is left behind, and once it
// runs again the next backup has all that it acknowledged. One that dies after its window does not matter.
func TestRealOrthancDies(t *testing.T) {
	t.Parallel()
	r := newScene(t, buildCommand(t), orthanctest.Start(t, orthanctest.Options{Dir: openTemp(t), SplitIndex: true}))
	r.window = []string{"--window", "freeze"}
	r.init()
	upload(t, r.server, small(1, 40, 20))
	for _, point := range []string{orthanc.PointInside, orthanc.PointOpened} {
		before := r.snapshots()
		child, release := r.held(point)
		if err := syscall.Kill(r.server.PID(), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		release()
		got := child.wait()
		after := r.snapshots()
		switch {
		case point == orthanc.PointInside:
			if got.code != exitFailed || strings.Count(got.stderr, "\n") != 1 || !strings.Contains(got.stderr, "process has ended") || len(after) != len(before) {
				t.Errorf("%s: it ends with %d, %d snapshots after %d:\n%s", point, got.code, len(after), len(before), got.stderr)
			}
		case got.code != exitDone || len(after) != len(before)+1:
			t.Errorf("%s: it ends with %d, %d snapshots after %d:\n%s", point, got.code, len(after), len(before), got.stderr)
		}
		if err := r.server.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		upload(t, r.server, small(100, 20, 20))
		r.backup()
		if restored := r.restore("latest"); len(restored.instances) != 60 {
			t.Errorf("%s: %d instances in the next snapshot, want 60", point, len(restored.instances))
		}
	}
	entries, err := os.ReadDir(r.path("run"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "window") {
			t.Errorf("%s is left in the runtime folder", e.Name())
		}
	}
}

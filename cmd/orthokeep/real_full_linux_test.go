package main

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/orthokeep/orthokeep/orthanc/orthanctest"
)

// disk mounts a small file system of its own on a folder, until the test ends.
func disk(t *testing.T, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=64m")
	if errors.Is(err, unix.EPERM) && os.Getenv("CI") != "true" {
		t.Skip("a small disk needs the right to mount: run as root")
	}
	if err != nil {
		t.Fatalf("mount a small disk: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
}

// fill leaves some bytes of a disk free, and returns how to make space again.
func fill(t *testing.T, dir string, free int64) (empty func()) {
	t.Helper()
	var stat unix.Statfs_t
	if err := unix.Statfs(dir, &stat); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "filler")
	if err := os.WriteFile(path, make([]byte, max(0, int64(stat.Bavail)*stat.Bsize-free)), 0o600); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := os.Remove(path); err != nil {
			t.Error(err)
		}
	}
}

// The disk of the repository is full: exit code 1, one line that says so, Orthanc runs, what was stored is there, and the
// next backup goes on once there is space.
func TestRealFullRepository(t *testing.T) {
	t.Parallel()
	r := newScene(t, buildCommand(t), orthanctest.Start(t, orthanctest.Options{Dir: openTemp(t)}))
	disk(t, r.path("disk"))
	r.repo = r.path("disk/repo")
	r.env = r.host("")
	r.full("disk")
}

// The same for the disk of cache and staging. The storage area is a disk of its own here, so that staging is in the cache.
func TestRealFullCache(t *testing.T) {
	t.Parallel()
	dir := openTemp(t)
	disk(t, filepath.Join(dir, "storage"))
	r := newScene(t, buildCommand(t), orthanctest.Start(t, orthanctest.Options{Dir: dir, SplitIndex: true}))
	disk(t, r.path("home/cache"))
	r.full("home/cache")
}

// full fills a disk in several degrees.
func (r *scene) full(name string) {
	t := r.t
	r.window = []string{"--window", "freeze"}
	r.init()
	upload(t, r.server, small(1, 100, 50))
	r.backup()
	for n, free := range []int64{0, 16 << 10, 128 << 10, 512 << 10} {
		upload(t, r.server, small(uint64(1000*(n+1)), 150, 50)) // some 2 MB
		before := r.snapshots()
		empty := fill(t, r.path(name), free)
		got := r.try(append([]string{"backup", "--orthanc", r.config}, r.window...)...)
		if got.code == exitDone {
			t.Logf("%d bytes are enough for %s", free, name)
		} else {
			got.fails(exitFailed, "no space left", "hint: free some space")
			if _, err := r.server.System(); err != nil {
				t.Error(err)
			}
			if ids := r.snapshots(); len(ids) != len(before) {
				t.Errorf("snapshots are %v, were %v", ids, before)
			}
		}
		r.restore("latest").remove(t) // while the disk is full still
		empty()
		r.backup()
	}
	for _, id := range r.snapshots() {
		r.restore(id).remove(t)
	}
	r.run("check", "--read-data", "--recovery-key", r.path("recovery.key"))
	if frozen := frozenThreads(r.server.PID()); len(frozen) > 0 {
		t.Errorf("threads %v stand still", frozen)
	}
	r.noPatientData(patients(t, r.server))
}

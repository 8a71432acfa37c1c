package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/orthokeep/orthokeep/orthanc"
	"github.com/orthokeep/orthokeep/orthanc/orthanctest"
)

// Snapshot after snapshot while four connections upload and delete: none is damaged, none misses an acknowledged instance or
// has a dangling attachment, and an Orthanc started on each one serves what its index says. Under freezing no client sees an
// error. make torture takes 50 snapshots for each mode, and a further 50 with an index of 1 GB, for which checkpoints come in
// between a copy and its window.
func TestRealLoad(t *testing.T) {
	count, large := min(5*torture(), 50), 0
	if torture() == 1 {
		t.Parallel()
	} else {
		large = count
	}
	binary := buildCommand(t)
	checkpoints := 0
	for _, c := range []struct {
		mode             string
		megabytes, count int
	}{{orthanc.ModeFreeze, 10, count}, {orthanc.ModeStop, 10, count}, {orthanc.ModeNone, 10, count}, {orthanc.ModeFreeze, 1000, large}} {
		if c.count > 0 {
			t.Run(fmt.Sprintf("%s/index=%dMB", c.mode, c.megabytes), func(t *testing.T) {
				r := newScene(t, binary, padded(t, c.megabytes))
				checkpoints += r.loaded(c.mode, c.count)
			})
		}
	}
	if large >= 50 && checkpoints <= 10 {
		t.Errorf("only %d windows had a checkpoint between copy and window: nothing is shown", checkpoints)
	}
}

// loaded takes snapshots under load and examines every one. It returns before how many frozen windows there was a checkpoint.
func (r *scene) loaded(mode string, count int) (checkpoints int) {
	t := r.t
	r.init()
	take := r.backup
	switch mode {
	case orthanc.ModeStop:
		r.stopByCommand(t)
	case orthanc.ModeNone:
		take = r.backupWhileDown
		fallthrough
	default:
		r.window = []string{"--window", mode}
	}
	r.backup0(mode)
	c := startClient(t, r.server, 400, 1000, mode != orthanc.ModeFreeze)
	var windows figures
	var retries, more int
	var before []map[string]bool
	for range count {
		time.Sleep(300 * time.Millisecond)
		before = append(before, c.acknowledged())
		s := take()
		if s.Orphans != 0 {
			t.Errorf("%d files that were being stored or deleted are taken for orphans", s.Orphans)
		}
		windows.add(s.Window.Seconds)
		retries, more = retries+s.Window.Retries, more+s.Window.Rounds-1
		if mode == orthanc.ModeFreeze {
			checkpoints += s.Window.Checkpoints
		}
	}
	c.end(t)
	r.leftBehind(take)
	t.Logf("%s, under load, index of %d MB, %v; %d with a checkpoint in between, %d retries, %d further rounds", mode, r.indexSize()>>20, windows, checkpoints, retries, more)
	if mode == orthanc.ModeFreeze && windows.at(0.5) > 250*time.Millisecond { // and p95, where nothing else runs
		t.Errorf("the median of the frozen window is %v", windows.at(0.5))
	}
	ids := r.snapshots()
	if len(ids) != count+2 {
		t.Fatalf("%d snapshots by %d backups", len(ids), count+2)
	}
	for n, id := range ids[1 : count+1] {
		got := r.restore(id, "--rewrite-configuration")
		got.has(t, before[n], c)
		r.served(got)
		got.remove(t)
	}
	return checkpoints
}

// leftBehind puts a file into the storage area that the index does not name, which the next backup finds at once.
func (r *scene) leftBehind(take func() summary) {
	r.t.Helper()
	folder := filepath.Join(r.server.StorageDir(), "ab", "cd")
	err := os.MkdirAll(folder, 0o755)
	if err == nil {
		err = os.WriteFile(filepath.Join(folder, "abcd0000-0000-4000-8000-000000000001"), []byte("left behind"), 0o644)
	}
	if err != nil {
		r.t.Fatal(err)
	}
	if s := take(); s.Orphans != 1 {
		r.t.Errorf("%d orphans were found, want 1: %v", s.Orphans, s)
	}
}

// backup0 is the first backup, before there is load.
func (r *scene) backup0(mode string) {
	r.t.Helper()
	if mode == orthanc.ModeNone {
		r.backupWhileDown()
		return
	}
	r.backup()
}

// backupWhileDown stops the server, backs it up, and starts it again.
func (r *scene) backupWhileDown() summary {
	r.t.Helper()
	if err := r.server.Stop(); err != nil {
		r.t.Fatal(err)
	}
	s := r.backup()
	if err := r.server.Restart(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
	return s
}

func (r *scene) indexSize() int64 {
	info, err := os.Stat(filepath.Join(r.server.IndexDir(), "index"))
	if err != nil {
		r.t.Fatal(err)
	}
	return info.Size()
}

// Nobody but Orthanc ever locks its index, and its log knows of no trouble, while it is backed up under load.
func TestRealLocks(t *testing.T) {
	t.Parallel()
	dir := openTemp(t)
	r := newScene(t, buildCommand(t), orthanctest.Start(t, orthanctest.Options{Dir: dir, SplitIndex: true}))
	r.window = []string{"--window", "freeze"}
	r.init()
	upload(t, r.server, small(1, 100, 50))
	c := startClient(t, r.server, 500, 20, false)
	stop := watchLocks(t, filepath.Join(r.server.IndexDir(), "index"), r.server.PID())
	for range 3 {
		r.backup()
	}
	stop()
	c.end(t)
	log, err := os.ReadFile(filepath.Join(dir, "orthanc.log"))
	if err != nil || !bytes.Contains(log, []byte("Orthanc has started")) {
		t.Fatalf("log of %d bytes, %v", len(log), err)
	}
	_, running, _ := strings.Cut(string(log), "Orthanc has started")
	for line := range strings.Lines(running) {
		if strings.HasPrefix(line, "E") || strings.Contains(line, "lock") || strings.Contains(line, "SQLite: ") {
			t.Errorf("Orthanc logs %q", line)
		}
	}
}

// watchLocks looks at the kernel's list of locks all the time, until it is told to stop.
func watchLocks(t *testing.T, path string, owner int) (stop func()) {
	t.Helper()
	var file unix.Stat_t
	if err := unix.Stat(path, &file); err != nil {
		t.Fatal(err)
	}
	inode := fmt.Appendf(nil, ":%d ", file.Ino)
	done := make(chan bool)
	var watcher sync.WaitGroup
	looks, seen := 0, 0
	watcher.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			text, err := os.ReadFile("/proc/locks")
			if err != nil {
				t.Error(err)
				return
			}
			looks++
			for line := range bytes.Lines(text) {
				if !bytes.Contains(line, inode) {
					continue
				}
				// 1: POSIX  ADVISORY  WRITE 3568 fe:00:2531452 1073741826 1073742335
				fields := strings.Fields(string(line))
				seen++
				if pid, err := strconv.Atoi(fields[4]); err != nil || pid != owner {
					t.Errorf("somebody else locks the index: %s", line)
				}
			}
			time.Sleep(200 * time.Microsecond)
		}
	})
	return func() {
		close(done)
		watcher.Wait()
		t.Logf("looked %d times, %d locks of Orthanc's", looks, seen)
		if looks < 100 || seen < looks {
			t.Errorf("looked %d times and saw %d locks: Orthanc's own are always there", looks, seen)
		}
	}
}

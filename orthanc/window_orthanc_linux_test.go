package orthanc_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	_ "modernc.org/sqlite"

	"github.com/orthokeep/orthokeep/chunk/dicomtest"
	"github.com/orthokeep/orthokeep/orthanc"
	"github.com/orthokeep/orthokeep/orthanc/orthanctest"
)

// load uploads new instances over several connections until it is stopped, and deletes every tenth again.
type load struct {
	stop    chan bool
	workers sync.WaitGroup
	mutex   sync.Mutex
	stored  map[string]bool // acknowledged, and not asked to be deleted
	fails   []error
}

func startLoad(s *orthanctest.Server, connections int) *load {
	l := &load{stop: make(chan bool), stored: map[string]bool{}}
	for c := range connections {
		base := slices.Collect(dicomtest.Study(dicomtest.Config{Seed: uint64(c), Instances: 2, Columns: 64}))
		l.workers.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-l.stop:
					return
				default:
				}
				l.step(s, base[n%len(base)].Modify(uint64(n)).Data, n)
			}
		})
	}
	return l
}

func (l *load) step(s *orthanctest.Server, data []byte, n int) {
	id, err := s.Upload(data)
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if err != nil {
		l.fails = append(l.fails, err)
		return
	}
	l.stored[id] = true
	if n%10 == 9 {
		delete(l.stored, id)
		l.mutex.Unlock()
		err := s.Delete(id)
		l.mutex.Lock()
		if err != nil {
			l.fails = append(l.fails, err)
		}
	}
}

func (l *load) acknowledged() []string {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	var ids []string
	for id := range l.stored {
		ids = append(ids, id)
	}
	return ids
}

func (l *load) end(t *testing.T) {
	t.Helper()
	close(l.stop)
	l.workers.Wait()
	for _, err := range l.fails {
		t.Errorf("a client saw %v", err)
	}
}

func copyInto(dir string, paths ...string) error {
	for _, path := range paths {
		from, err := os.Open(path)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		to, err := os.Create(filepath.Join(dir, filepath.Base(path)))
		if err != nil {
			return errors.Join(err, from.Close())
		}
		_, err = io.Copy(to, from)
		if err := errors.Join(err, from.Close(), to.Close()); err != nil {
			return err
		}
	}
	return nil
}

// instancesIn checks a copy of an index and returns the Orthanc IDs of its instances.
func instancesIn(t *testing.T, index string) map[string]bool {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+index+"?mode=rw")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var verdict string
	if err := db.QueryRow("PRAGMA quick_check").Scan(&verdict); err != nil || verdict != "ok" {
		t.Fatalf("quick_check says %q, %v", verdict, err)
	}
	rows, err := db.Query("SELECT publicId FROM Resources WHERE resourceType=4")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	found := map[string]bool{}
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			t.Fatal(err)
		}
		found[id] = true
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return found
}

// A real Orthanc is frozen again and again while clients upload and delete: every copy of index and WAL is whole and has
// what was acknowledged before, and no client sees an error.
func TestFreezeOrthanc(t *testing.T) {
	t.Parallel()
	s := orthanctest.Start(t, orthanctest.Options{SplitIndex: true})
	t.Run("empty", func(t *testing.T) { freezeEmpty(t, s) })
	t.Run("owner killed", func(t *testing.T) { freezeOwnerKilled(t, s) })
	index := filepath.Join(s.IndexDir(), "index")
	p, err := orthanc.FindProcess(index)
	if err != nil || p.PID != s.PID() {
		t.Fatalf("process %v, %v, want %d", p, err, s.PID())
	}
	type copied struct {
		dir    string
		before []string // acknowledged when the window was opened
	}
	var copies []copied
	l := startLoad(s, 4)
	for _, m := range []string{orthanc.MechanismPtrace, orthanc.MechanismSignal} {
		w := &orthanc.Freeze{Target: p.Target, StateDir: stateDir(t), Mechanisms: []string{m}}
		var stood []time.Duration
		for range 6 {
			c := copied{t.TempDir(), l.acknowledged()}
			stats, err := w.Do(t.Context(), longBound, func(context.Context) error {
				return copyInto(c.dir, index, index+"-wal")
			})
			if err != nil {
				t.Fatal(err)
			}
			stood, copies = append(stood, stats.Stood), append(copies, c)
		}
		slices.Sort(stood)
		t.Logf("%s: %d instances; stood %v to %v, median %v", m, len(l.acknowledged()), stood[0], stood[len(stood)-1], stood[len(stood)/2])
	}
	l.end(t)
	kept := l.stored
	for _, c := range copies {
		found := instancesIn(t, filepath.Join(c.dir, "index"))
		for _, id := range c.before {
			if kept[id] && !found[id] {
				t.Errorf("instance %s was acknowledged, and is not in a copy with %d", id, len(found))
			}
		}
	}
}

// What freezing itself costs: nothing is copied.
func freezeEmpty(t *testing.T, s *orthanctest.Server) {
	target, err := orthanc.NewTarget(s.PID())
	if err != nil {
		t.Fatal(err)
	}
	w := &orthanc.Freeze{Target: target, StateDir: stateDir(t), Mechanisms: []string{orthanc.MechanismPtrace}}
	var stood []time.Duration
	for range 15 {
		stats, err := w.Do(t.Context(), longBound, func(context.Context) error { return nil })
		if err != nil {
			t.Fatal(err)
		}
		stood = append(stood, stats.Stood)
	}
	slices.Sort(stood)
	threads, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", s.PID()))
	t.Logf("%d threads; stood %v to %v, median %v", len(threads), stood[0], stood[14], stood[7])
	if median := stood[7]; median > 20*time.Millisecond {
		t.Errorf("median of an empty window is %v", median)
	}
}

func freezeOwnerKilled(t *testing.T, s *orthanctest.Server) {
	target, err := orthanc.NewTarget(s.PID())
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range []string{orthanc.MechanismPtrace, orthanc.MechanismSignal} {
		w := &orthanc.Freeze{Target: target, StateDir: stateDir(t), Mechanisms: []string{m}}
		o := startOwner(t, ownerSpec{Freeze: w, Bound: longBound})
		o.kill(t)
		began := time.Now()
		if _, err := s.System(); err != nil || time.Since(began) > 2*time.Second {
			t.Errorf("%s: Orthanc answered after %v, %v", m, time.Since(began), err)
		}
	}
}

// A real Orthanc is stopped and started by commands; inside, nothing but a clean index is there.
func TestStopOrthanc(t *testing.T) {
	t.Parallel()
	s := orthanctest.Start(t, orthanctest.Options{})
	binary, err := orthanctest.Find()
	if err != nil {
		t.Fatal(err)
	}
	pidFile := filepath.Join(t.TempDir(), "pid")
	if err := os.WriteFile(pidFile, []byte(strconv.Itoa(s.PID())), 0o600); err != nil {
		t.Fatal(err)
	}
	running := func() int {
		text, _ := os.ReadFile(pidFile)
		pid, _ := strconv.Atoi(strings.TrimSpace(string(text)))
		return pid
	}
	t.Cleanup(func() {
		if pid := running(); pid > 1 && pid != s.PID() {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
	})
	for instance := range dicomtest.Study(dicomtest.Config{Seed: 1, Instances: 5, Columns: 64}) {
		if _, err := s.Upload(instance.Data); err != nil {
			t.Fatal(err)
		}
	}
	index := filepath.Join(s.IndexDir(), "index")
	w := &orthanc.Stopper{
		Stop:  "kill $(cat " + pidFile + ")",
		Start: fmt.Sprintf("%s %s </dev/null >/dev/null 2>&1 & echo $! >%s", binary, s.ConfigPath(), pidFile),
		Index: index, StateDir: stateDir(t),
		Alive: func(context.Context) error { _, err := s.System(); return err },
	}
	if w.Target, err = orthanc.NewTarget(running()); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	stats, err := w.Do(t.Context(), longBound, func(context.Context) error {
		return copyInto(dir, index, index+"-wal")
	})
	if err != nil || len(warnings(stats)) > 0 {
		t.Fatalf("got %+v, %v", stats, err)
	}
	if found := instancesIn(t, filepath.Join(dir, "index")); len(found) != 5 {
		t.Errorf("%d instances in the copy, want 5", len(found))
	}
	statistics, err := s.Statistics()
	if err != nil || statistics.CountInstances != 5 {
		t.Errorf("after the start: %+v, %v", statistics, err)
	}
	t.Logf("stood %v", stats.Stood)
}

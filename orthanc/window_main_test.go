//go:build linux

package orthanc_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/orthokeep/orthokeep/orthanc"
)

// TestMain also plays the other processes of these tests.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch args := os.Args[2:]; os.Args[1] {
		case orthanc.HelperCommand:
			os.Exit(orthanc.HelperMain(args))
		case "play-ticker":
			playTicker(args[0])
		case "play-owner":
			playOwner(args[0])
		case "play-server":
			playServer(args[0], args[1])
		}
	}
	// Helpers end as fast as they do without the race detector, which waits a second otherwise.
	if err := os.Setenv("GORACE", "atexit_sleep_ms=0"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// A ticker is a process of many threads, each of which counts in a word of a shared file, while others come and go.
const (
	tickThreads = 12
	slotChurn   = tickThreads     // threads made so far
	slotSignals = tickThreads + 1 // SIGUSR1 taken
	slots       = tickThreads + 2
)

func playTicker(path string) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		panic(err)
	}
	memory, err := unix.Mmap(int(f.Fd()), 0, slots*8, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		panic(err)
	}
	add := func(slot int) {
		word := memory[slot*8:]
		binary.LittleEndian.PutUint64(word, binary.LittleEndian.Uint64(word)+1)
	}
	taken := make(chan os.Signal, 1024)
	signal.Notify(taken, unix.SIGUSR1)
	go func() {
		for range taken {
			add(slotSignals)
		}
	}()
	for i := range tickThreads {
		go func() {
			runtime.LockOSThread()
			for {
				for range 50 {
					add(i)
				}
				nap := unix.NsecToTimespec(int64(300 * time.Microsecond))
				_ = unix.Nanosleep(&nap, nil)
			}
		}()
	}
	go func() {
		for {
			ended := make(chan bool)
			go func() {
				runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
				defer close(ended)
				add(slotChurn)
			}()
			<-ended
			nap := unix.NsecToTimespec(int64(100 * time.Microsecond))
			_ = unix.Nanosleep(&nap, nil)
		}
	}()
	_, _ = io.Copy(io.Discard, os.Stdin) // until the test ends
	os.Exit(0)
}

type ticker struct {
	cmd  *exec.Cmd
	path string
}

func startTicker(t testing.TB) *ticker {
	t.Helper()
	k := &ticker{path: filepath.Join(t.TempDir(), "counters")}
	if err := os.WriteFile(k.path, make([]byte, slots*8), 0o600); err != nil {
		t.Fatal(err)
	}
	k.cmd = exec.Command(os.Args[0], "play-ticker", k.path)
	k.cmd.Stderr = os.Stderr
	if _, err := k.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := k.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = k.cmd.Process.Kill()
		_ = k.cmd.Wait()
	})
	k.mustRun(t)
	return k
}

func (k *ticker) pid() int { return k.cmd.Process.Pid }

func (k *ticker) target(t testing.TB) orthanc.Target {
	t.Helper()
	target, err := orthanc.NewTarget(k.pid())
	if err != nil {
		t.Fatal(err)
	}
	return target
}

// counts reads the shared file itself: a read sees what another process has in its mapping.
func (k *ticker) counts(t testing.TB) []byte {
	t.Helper()
	b, err := os.ReadFile(k.path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (k *ticker) slot(t testing.TB, slot int) uint64 {
	return binary.LittleEndian.Uint64(k.counts(t)[slot*8:])
}

// mustRun sees that every thread counts, within two seconds.
func (k *ticker) mustRun(t testing.TB) {
	t.Helper()
	before := k.counts(t)
	within(t, 2*time.Second, "every thread runs", func() bool {
		now := k.counts(t)
		for i := range slotSignals {
			if bytes.Equal(before[i*8:i*8+8], now[i*8:i*8+8]) {
				return false
			}
		}
		return true
	})
}

// mustStand sees that nothing counts for a while.
func (k *ticker) mustStand(t testing.TB) {
	t.Helper()
	before := k.counts(t)
	time.Sleep(15 * time.Millisecond)
	if now := k.counts(t); !bytes.Equal(before, now) {
		t.Errorf("the process ran inside the window")
	}
}

func within(t testing.TB, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(limit); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", limit, what)
		}
	}
}

// ownerSpec is what a play-owner opens. Its window stays open until the test lets it go on or kills it.
type ownerSpec struct {
	Freeze *orthanc.Freeze
	Stop   *stopSpec
	Bound  time.Duration
}

type stopSpec struct {
	Unit, Container, Stop, Start, Index, StateDir string
	Target                                        orthanc.Target
	Limit                                         time.Duration
}

func (s *stopSpec) window() *orthanc.Stopper {
	return &orthanc.Stopper{Unit: s.Unit, Container: s.Container, Stop: s.Stop, Start: s.Start, Index: s.Index, StateDir: s.StateDir, Target: s.Target, Limit: s.Limit}
}

func playOwner(spec string) {
	var s ownerSpec
	if err := json.Unmarshal([]byte(spec), &s); err != nil {
		panic(err)
	}
	var w orthanc.Window = s.Freeze
	if s.Stop != nil {
		w = s.Stop.window()
	}
	stats, err := w.Do(context.Background(), s.Bound, func(context.Context) error { return nil })
	fmt.Println(stats.Mechanism, stats.Stood, err)
	if err != nil {
		os.Exit(1)
	}
	os.Exit(0)
}

// owner is a process with an open window.
type owner struct {
	cmd    *exec.Cmd
	folder string // of Hold
	out    *bytes.Buffer
}

func startOwner(t testing.TB, s ownerSpec) *owner {
	t.Helper()
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	o := &owner{folder: t.TempDir(), out: &bytes.Buffer{}}
	o.cmd = exec.Command(os.Args[0], "play-owner", string(text))
	o.cmd.Env = append(os.Environ(), "ORTHOKEEP_TEST_HOLD="+o.folder)
	o.cmd.Stdout, o.cmd.Stderr = o.out, os.Stderr
	if err := o.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = o.cmd.Process.Kill()
		_ = o.cmd.Wait()
	})
	within(t, 10*time.Second, "the window is open", func() bool {
		_, err := os.Stat(filepath.Join(o.folder, orthanc.PointInside))
		return err == nil
	})
	return o
}

func (o *owner) kill(t testing.TB) {
	t.Helper()
	if err := o.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = o.cmd.Wait()
}

func (o *owner) release(t testing.TB) (string, error) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(o.folder, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	err := o.cmd.Wait()
	return o.out.String(), err
}

// helpersOf lists the window helpers that a process has started.
func helpersOf(parent int) []int {
	var found []int
	paths, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range paths {
		cmdline, _ := os.ReadFile(path)
		args := strings.Split(string(cmdline), "\x00")
		status, _ := os.ReadFile(filepath.Join(filepath.Dir(path), "status"))
		if slices.Contains(args, orthanc.HelperCommand) && strings.Contains(string(status), fmt.Sprintf("\nPPid:\t%d\n", parent)) {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			found = append(found, pid)
		}
	}
	return found
}

// alive says whether a process runs; one that nobody has waited for yet does not.
func alive(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(text), ") Z ")
}

func mustHelper(t testing.TB, parent int) int {
	t.Helper()
	found := helpersOf(parent)
	if len(found) != 1 {
		t.Fatalf("process %d has helpers %v, want one", parent, found)
	}
	return found[0]
}

func killHard(t testing.TB, pid int) {
	t.Helper()
	send(t, pid, unix.SIGKILL)
}

// send signals one process. Numbers below 2 mean other things than a process of these tests.
func send(t testing.TB, pid int, s unix.Signal) {
	t.Helper()
	if pid < 2 {
		t.Fatalf("signal for process %d", pid)
	}
	if err := unix.Kill(pid, s); err != nil {
		t.Fatal(err)
	}
}

// playServer stands for a server: it locks the index as SQLite does, and ends on SIGTERM with its WAL gone. It writes
// its number to a file once it is up. With the file index.refuse it does not start.
func playServer(index, pidFile string) {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, unix.SIGTERM)
	if _, err := os.Stat(index + ".refuse"); err == nil {
		fmt.Println("the server refuses")
		os.Exit(7)
	}
	f, err := os.OpenFile(index, os.O_RDWR, 0)
	if err != nil {
		panic(err)
	}
	lock := unix.Flock_t{Type: unix.F_RDLCK, Whence: unix.SEEK_SET, Start: 0x40000002, Len: 510}
	if err := unix.FcntlFlock(f.Fd(), unix.F_SETLK, &lock); err != nil {
		panic(err)
	}
	if err := os.WriteFile(index+"-wal", []byte("wal"), 0o600); err != nil {
		panic(err)
	}
	if err := os.WriteFile(pidFile+".part", fmt.Append(nil, os.Getpid()), 0o600); err != nil {
		panic(err)
	}
	if err := os.Rename(pidFile+".part", pidFile); err != nil {
		panic(err)
	}
	select {
	case <-stop:
	case <-time.After(time.Minute):
	}
	if err := errors.Join(os.Remove(index+"-wal"), os.Remove(pidFile)); err != nil {
		panic(err)
	}
	os.Exit(0)
}

// server is a play-server under a stop and a start command.
type server struct {
	spec    stopSpec
	pidFile string
}

func startServer(t testing.TB) *server {
	t.Helper()
	dir := t.TempDir()
	s := &server{pidFile: filepath.Join(dir, "pid")}
	index := filepath.Join(dir, "index")
	if err := os.WriteFile(index, []byte("index"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.spec = stopSpec{
		Index: index, StateDir: stateDir(t), Limit: 5 * time.Second,
		Stop:  fmt.Sprintf("kill $(cat %s)", s.pidFile),
		Start: fmt.Sprintf("test ! -e %[2]s.refuse || { echo it may not start; exit 7; }; %[1]s play-server %[2]s %[3]s </dev/null >/dev/null 2>&1 &", os.Args[0], index, s.pidFile),
	}
	if out, err := exec.Command("/bin/sh", "-c", s.spec.Start).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	t.Cleanup(func() {
		if pid := s.pid(); pid != 0 {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
	})
	s.mustRun(t)
	s.spec.Target, _ = orthanc.NewTarget(s.pid())
	return s
}

// pid is the running server's, 0 for none.
func (s *server) pid() int {
	text, _ := os.ReadFile(s.pidFile)
	pid, _ := strconv.Atoi(string(text))
	if pid == 0 || syscall.Kill(pid, 0) != nil {
		return 0
	}
	return pid
}

func (s *server) mustRun(t testing.TB) {
	t.Helper()
	within(t, 2*time.Second, "the server runs", func() bool { return s.pid() != 0 })
}

// warnings are those of a window but for the one that says that the guard could not leave a cgroup, which depends on the
// machine: TestGuardLeavesCgroup is about that.
func warnings(s orthanc.Stats) []string {
	return slices.DeleteFunc(slices.Clone(s.Warnings), func(w string) bool { return strings.HasPrefix(w, "the guard could not leave") })
}

// stateDir is a runtime folder of mode 0700 that must hold no note when the test ends.
func stateDir(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "run")
	t.Cleanup(func() {
		if t.Failed() {
			return
		}
		within(t, 2*time.Second, "no note is left", func() bool { // a guard whose owner was killed may be about to
			notes, _ := filepath.Glob(filepath.Join(dir, "window-*"))
			return len(notes) == 0
		})
	})
	return dir
}

package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/orthokeep/orthokeep/orthanc"
	"github.com/orthokeep/orthokeep/orthanc/orthanctest"
)

// recovery is within which Orthanc has to answer after orthokeep was killed.
const recovery = 2 * time.Second

// A killing is how often orthokeep is killed where.
type killing struct {
	inside, closed, stored, random int
}

// orthokeep is killed again and again, inside the window too: Orthanc runs on at once, no snapshot is lost, and the next
// backup goes on.
func TestRealKillFreeze(t *testing.T) {
	t.Parallel()
	r := newScene(t, buildCommand(t), orthanctest.Start(t, orthanctest.Options{Dir: openTemp(t), SplitIndex: true}))
	r.window = []string{"--window", "freeze"}
	r.killAgain(killing{inside: 6, closed: 2, stored: 2, random: 8})
}

func TestRealKillStop(t *testing.T) {
	t.Parallel()
	r := newScene(t, buildCommand(t), orthanctest.Start(t, orthanctest.Options{Dir: openTemp(t)}))
	r.stopByCommand(t)
	r.killAgain(killing{inside: 5, closed: 1, stored: 1, random: 5})
}

func (r *scene) killAgain(k killing) {
	t := r.t
	r.init()
	upload(t, r.server, small(1, 300, 50))
	stop := r.window[1] == orthanc.ModeStop
	usual := time.Duration(r.backup().Seconds * float64(time.Second))
	newest := r.snapshots()
	c := startClient(t, r.server, 300, 20, stop)

	var points []string
	for range torture() {
		points = append(points, slices.Concat(slices.Repeat([]string{orthanc.PointInside}, k.inside), slices.Repeat([]string{orthanc.PointOpened}, k.closed),
			slices.Repeat([]string{orthanc.PointStored}, k.stored), slices.Repeat([]string{""}, k.random))...)
	}
	seed := uint64(time.Now().UnixNano())
	rnd := rand.New(rand.NewPCG(seed, 1))
	t.Logf("seed %d; an undisturbed backup takes %v", seed, usual)
	rnd.Shuffle(len(points), func(i, j int) { points[i], points[j] = points[j], points[i] })

	answered := map[string][]time.Duration{}
	for n, point := range points {
		name := point
		if name == "" {
			name = "random"
		}
		answered[name] = append(answered[name], r.killAt(fmt.Sprintf("kill %d", n), point, usual, rnd))
		// A run that was killed may have published its snapshot in its last moments; none is ever lost.
		after := r.snapshots()
		if len(after) < len(newest) || !slices.Equal(after[:len(newest)], newest) {
			t.Fatalf("kill %d at %s: there were %d snapshots, now %d", n, name, len(newest), len(after))
		}
		r.restore("latest").remove(t)
		r.backupNext()
		if newest = r.snapshots(); len(newest) != len(after)+1 {
			t.Fatalf("kill %d at %s: the next backup leaves %d snapshots after %d", n, name, len(newest), len(after))
		}
	}
	c.end(t)
	for point, d := range answered {
		slices.Sort(d)
		t.Logf("%s: %d kills; Orthanc answered after %v min, %v median, %v max", point, len(d), round(d[0]), round(d[len(d)/2]), round(d[len(d)-1]))
	}
	for _, id := range newest {
		r.restore(id).remove(t)
	}
	got := r.run("check", "--read-data", "--recovery-key", r.path("recovery.key"))
	t.Logf("%d snapshots restored; check: %s", len(newest), strings.TrimSpace(got.stdout))
	r.noPatientData(patients(t, r.server))
}

// backupNext takes the backup after a killed one. While Orthanc still stops, and the guard waits to start it again, it says
// that it is locked (11).
func (r *scene) backupNext() {
	r.t.Helper()
	for end := time.Now().Add(time.Minute); ; {
		got := r.try(r.backupArgs()...)
		if got.code == exitLocked && time.Now().Before(end) {
			continue
		}
		if got.code != exitDone {
			r.t.Fatalf("the next backup ends with %d and prints:\n%s", got.code, got.stderr)
		}
		return
	}
}

func round(d time.Duration) time.Duration { return d.Round(100 * time.Microsecond) }

// killAt kills a backup at a point, or, without one, after a random time. One that ended before that does not count: it is
// tried again with a shorter time.
func (r *scene) killAt(where, point string, usual time.Duration, rnd *rand.Rand) time.Duration {
	r.t.Helper()
	stop := r.window[1] == orthanc.ModeStop
	if point != "" {
		child, _ := r.held(point)
		where += " at " + point
		if point == orthanc.PointInside {
			r.standing(where, stop)
		}
		took, killed := r.kill(child, where, stop)
		if !killed {
			r.t.Fatalf("%s: it had ended", where)
		}
		return took
	}
	for {
		wait := time.Duration(rnd.Int64N(int64(usual)))
		child := r.start(nil, r.backupArgs()...)
		time.Sleep(wait)
		if took, killed := r.kill(child, fmt.Sprintf("%s after %v", where, wait), stop); killed {
			return took
		}
		usual = max(wait, time.Millisecond)
	}
}

// kill kills a backup and returns how long it took Orthanc to answer, and whether the backup had not ended before. An Orthanc that was told to stop and has not ended
// cannot be helped: there the time counts from its end.
func (r *scene) kill(child *running, where string, stop bool) (took time.Duration, killed bool) {
	r.t.Helper()
	_ = child.cmd.Process.Kill()
	from := time.Now()
	got := child.wait()
	if got.code > 0 {
		r.t.Fatalf("%s: it had ended with %d:\n%s", where, got.code, got.stderr)
	}
	if stop {
		from = r.endOfStopping(from)
	}
	took, err := awaitAnswer(r.server, from)
	r.t.Logf("%s: Orthanc answered after %v", where, round(took))
	if err != nil || took > recovery {
		r.t.Errorf("%s: Orthanc answered after %v, %v", where, took, err)
	}
	// The kernel lets the threads go one after the other: the first one may answer before the last one runs.
	frozen := frozenThreads(r.pid())
	for ; len(frozen) > 0 && time.Since(from) < recovery; frozen = frozenThreads(r.pid()) {
		time.Sleep(5 * time.Millisecond)
	}
	if len(frozen) > 0 {
		r.t.Errorf("%s: threads %v stand still after %v", where, frozen, recovery)
	}
	return took, got.code < 0
}

// endOfStopping waits while an Orthanc that does not answer any more has not ended, and returns the later moment.
func (r *scene) endOfStopping(from time.Time) time.Time {
	for pid := r.pid(); time.Since(from) < 30*time.Second; time.Sleep(5 * time.Millisecond) {
		if _, err := r.server.System(); err == nil {
			return from
		}
		if !alive(pid) || r.pid() != pid {
			return from
		}
		from = time.Now()
	}
	return from
}

// pid is the number of the process that was started last: of the server's, or of what bounds it in time.
func (r *scene) pid() int {
	text, err := os.ReadFile(r.pidFile())
	if pid, _ := strconv.Atoi(strings.TrimSpace(string(text))); err == nil && pid > 0 {
		return pid
	}
	return r.server.PID()
}

// standing sees that Orthanc stands still.
func (r *scene) standing(where string, stop bool) {
	r.t.Helper()
	if stop {
		if _, err := r.server.System(); err == nil {
			r.t.Errorf("%s: Orthanc answers", where)
		}
		return
	}
	tasks, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", r.server.PID()))
	if frozen := frozenThreads(r.server.PID()); len(tasks) == 0 || len(frozen) < len(tasks) {
		r.t.Errorf("%s: %d of %d threads stand still", where, len(frozen), len(tasks))
	}
}

// alive says whether a process has not ended.
func alive(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, _ := strings.Cut(string(text), ") ")
	return err == nil && !strings.HasPrefix(rest, "Z")
}

// frozenThreads lists the threads of a process that are stopped or traced.
func frozenThreads(pid int) (ids []string) {
	stats, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		_, rest, _ := strings.Cut(string(text), ") ")
		if strings.HasPrefix(rest, "t") || strings.HasPrefix(rest, "T") {
			ids = append(ids, filepath.Base(filepath.Dir(path)))
		}
	}
	return ids
}

// A signal at any point ends a backup in good order: exit code 130, and Orthanc runs before orthokeep has ended.
func TestRealSignals(t *testing.T) {
	t.Parallel()
	binary := buildCommand(t)
	for _, mode := range []string{orthanc.ModeFreeze, orthanc.ModeStop} {
		t.Run(mode, func(t *testing.T) {
			r := newScene(t, binary, orthanctest.Start(t, orthanctest.Options{Dir: openTemp(t)}))
			r.window = []string{"--window", mode}
			if mode == orthanc.ModeStop {
				r.stopByCommand(t)
			}
			r.init()
			upload(t, r.server, small(1, 50, 50))
			for n, point := range []string{orthanc.PointInside, orthanc.PointInside, orthanc.PointOpened, orthanc.PointStored} {
				child, release := r.held(point)
				began := time.Now()
				if err := child.cmd.Process.Signal([]os.Signal{syscall.SIGTERM, syscall.SIGINT}[n%2]); err != nil {
					t.Fatal(err)
				}
				took, err := awaitAnswer(r.server, began)
				release()
				got := child.wait()
				if err != nil || took > recovery || got.code != exitInterrupted || !strings.Contains(got.stderr, "interrupted") {
					t.Errorf("%s: Orthanc answered after %v, %v; ended with %d:\n%s", point, took, err, got.code, got.stderr)
				}
				t.Logf("%s: Orthanc answered after %v, the command ended after %v", point, round(took), round(time.Since(began)))
			}
			if ids := r.snapshots(); len(ids) > 0 {
				t.Errorf("%d snapshots by backups that were interrupted", len(ids))
			}
			r.backup()
			r.restore("latest")
		})
	}
}

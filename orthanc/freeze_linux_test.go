package orthanc_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/orthokeep/orthokeep/orthanc"
)

const longBound = 20 * time.Second

// frozenBy starts a ticker that the mechanism can freeze, in a cgroup of its own where it needs one.
func frozenBy(t *testing.T, mechanism string) (*ticker, *orthanc.Freeze) {
	t.Helper()
	k := startTicker(t)
	switch mechanism {
	case orthanc.MechanismCgroupV1:
		ownGroup(t, "/sys/fs/cgroup/freezer", k.pid())
	case orthanc.MechanismCgroupV2:
		root := "/sys/fs/cgroup"
		if _, err := os.Stat(root + "/cgroup.procs"); err != nil {
			root += "/unified"
		}
		ownGroup(t, root, k.pid())
	}
	return k, &orthanc.Freeze{Target: k.target(t), StateDir: stateDir(t), Mechanisms: []string{mechanism}}
}

func ownGroup(t *testing.T, root string, pid int) string {
	t.Helper()
	if _, err := os.Stat(filepath.Join(root, "cgroup.procs")); err != nil {
		t.Skipf("no cgroup hierarchy at %s", root)
	}
	dir := filepath.Join(root, fmt.Sprintf("orthokeep-test-%d", pid))
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Skipf("no cgroup may be made here: %v", err)
	}
	t.Cleanup(func() {
		_ = unix.Kill(pid, unix.SIGKILL)
		within(t, 2*time.Second, "the cgroup is empty", func() bool { return os.Remove(dir) == nil })
	})
	if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), fmt.Append(nil, pid), 0); err != nil {
		t.Fatal(err)
	}
	return dir
}

var freezeMechanisms = []string{orthanc.MechanismPtrace, orthanc.MechanismCgroupV2, orthanc.MechanismCgroupV1, orthanc.MechanismSignal}

// each runs a test for every mechanism.
func each(t *testing.T, test func(t *testing.T, k *ticker, w *orthanc.Freeze)) {
	for _, m := range freezeMechanisms {
		t.Run(m, func(t *testing.T) {
			k, w := frozenBy(t, m)
			test(t, k, w)
			if left := helpersOf(os.Getpid()); len(left) > 0 {
				t.Errorf("helpers are left: %v", left)
			}
		})
	}
}

func TestFreezeStandsStill(t *testing.T) {
	each(t, func(t *testing.T, k *ticker, w *orthanc.Freeze) {
		for range 5 {
			stats, err := w.Do(t.Context(), longBound, func(context.Context) error {
				k.mustStand(t)
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if stats.Mechanism != w.Mechanisms[0] || stats.Mode != orthanc.ModeFreeze || stats.Stood < 15*time.Millisecond || len(warnings(stats)) > 0 {
				t.Errorf("stats are %+v", stats)
			}
			k.mustRun(t)
		}
	})
}

func TestFreezeUndoneOnError(t *testing.T) {
	each(t, func(t *testing.T, k *ticker, w *orthanc.Freeze) {
		mine := errors.New("mine")
		if _, err := w.Do(t.Context(), longBound, func(context.Context) error { return mine }); !errors.Is(err, mine) {
			t.Errorf("got %v, want inside's error", err)
		}
		k.mustRun(t)
		func() {
			defer func() {
				if recover() == nil {
					t.Error("the panic was swallowed")
				}
			}()
			_, _ = w.Do(t.Context(), longBound, func(context.Context) error { panic("inside") })
		}()
		k.mustRun(t)
		// The window ends with the context, while inside still runs and pays no heed.
		ctx, cancel := context.WithCancel(t.Context())
		_, err := w.Do(ctx, longBound, func(context.Context) error {
			k.mustStand(t)
			cancel()
			k.mustRun(t)
			return nil
		})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want context.Canceled", err)
		}
		if _, err := w.Do(ctx, longBound, func(context.Context) error { t.Error("inside was run"); return nil }); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want context.Canceled", err)
		}
		k.mustRun(t)
	})
}

func TestFreezeBound(t *testing.T) {
	const bound = 300 * time.Millisecond // longer than looking takes where others work
	each(t, func(t *testing.T, k *ticker, w *orthanc.Freeze) {
		stats, err := w.Do(t.Context(), bound, func(ctx context.Context) error {
			k.mustStand(t)
			<-ctx.Done()
			if !errors.Is(context.Cause(ctx), orthanc.ErrWindowTooLong) {
				t.Errorf("cause is %v", context.Cause(ctx))
			}
			k.mustRun(t)
			return nil
		})
		if !errors.Is(err, orthanc.ErrWindowTooLong) {
			t.Errorf("got %v, want ErrWindowTooLong", err)
		}
		if stats.Stood < bound || stats.Stood > bound+time.Second {
			t.Errorf("stood %v", stats.Stood)
		}
		if _, err := w.Do(t.Context(), 0, func(context.Context) error { return nil }); !errors.Is(err, orthanc.ErrWindowTooLong) {
			t.Errorf("a bound of 0: %v", err)
		}
	})
}

// An owner that hangs does not keep the window open beyond its bound.
func TestFreezeOwnerHangs(t *testing.T) {
	each(t, func(t *testing.T, k *ticker, w *orthanc.Freeze) {
		o := startOwner(t, ownerSpec{Freeze: w, Bound: 400 * time.Millisecond})
		send(t, o.cmd.Process.Pid, unix.SIGSTOP)
		k.mustRun(t)
		send(t, o.cmd.Process.Pid, unix.SIGCONT)
		if out, err := o.release(t); err == nil || !strings.Contains(out, orthanc.ErrWindowTooLong.Error()) {
			t.Errorf("the owner says %q, %v", out, err)
		}
	})
}

func TestFreezeHelperKilled(t *testing.T) {
	each(t, func(t *testing.T, k *ticker, w *orthanc.Freeze) {
		_, err := w.Do(t.Context(), longBound, func(ctx context.Context) error {
			k.mustStand(t)
			killHard(t, mustHelper(t, os.Getpid()))
			<-ctx.Done()
			k.mustRun(t)
			return ctx.Err()
		})
		if !errors.Is(err, orthanc.ErrWindowBroken) {
			t.Errorf("got %v, want ErrWindowBroken", err)
		}
		k.mustRun(t)
	})
}

func TestFreezeOwnerKilled(t *testing.T) {
	each(t, func(t *testing.T, k *ticker, w *orthanc.Freeze) {
		o := startOwner(t, ownerSpec{Freeze: w, Bound: longBound})
		helper := mustHelper(t, o.cmd.Process.Pid)
		k.mustStand(t)
		for _, s := range []unix.Signal{unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGQUIT} {
			send(t, helper, s)
		}
		k.mustStand(t)
		o.kill(t)
		k.mustRun(t)
		within(t, 2*time.Second, "the helper has ended", func() bool { return !alive(helper) })
	})
}

func TestFreezeBothKilled(t *testing.T) {
	each(t, func(t *testing.T, k *ticker, w *orthanc.Freeze) {
		o := startOwner(t, ownerSpec{Freeze: w, Bound: longBound})
		helper := mustHelper(t, o.cmd.Process.Pid)
		k.mustStand(t)
		killHard(t, helper)
		o.kill(t) // it may have been quick enough to undo the window alone
		if w.Mechanisms[0] != orthanc.MechanismPtrace {
			if _, err := orthanc.Undo(w.StateDir); err != nil {
				t.Fatal(err)
			}
		}
		k.mustRun(t)
		if said, err := orthanc.Undo(w.StateDir); err != nil || len(said) > 0 {
			t.Errorf("a second undo: %q, %v", said, err)
		}
	})
}

// The owner is stopped first, so that it cannot undo the window.
func TestUndoAfterBothKilled(t *testing.T) {
	for _, m := range []string{orthanc.MechanismSignal, orthanc.MechanismCgroupV2, orthanc.MechanismCgroupV1} {
		t.Run(m, func(t *testing.T) {
			k, w := frozenBy(t, m)
			o := startOwner(t, ownerSpec{Freeze: w, Bound: longBound})
			helper := mustHelper(t, o.cmd.Process.Pid)
			send(t, o.cmd.Process.Pid, unix.SIGSTOP)
			killHard(t, helper)
			o.kill(t)
			k.mustStand(t)
			said, err := orthanc.Undo(w.StateDir)
			if err != nil || len(said) != 1 || !strings.Contains(said[0], "runs again") {
				t.Errorf("Undo: %q, %v", said, err)
			}
			k.mustRun(t)
		})
	}
}

// A window that finds another's note undoes it before it opens.
func TestNextWindowUndoes(t *testing.T) {
	k, w := frozenBy(t, orthanc.MechanismSignal)
	o := startOwner(t, ownerSpec{Freeze: w, Bound: longBound})
	helper := mustHelper(t, o.cmd.Process.Pid)
	send(t, o.cmd.Process.Pid, unix.SIGSTOP)
	killHard(t, helper)
	o.kill(t)
	w.Mechanisms = []string{orthanc.MechanismPtrace}
	stats, err := w.Do(t.Context(), longBound, func(context.Context) error { return nil })
	if err != nil || len(warnings(stats)) != 1 || !strings.Contains(warnings(stats)[0], "runs again") {
		t.Errorf("got %+v, %v", stats, err)
	}
	k.mustRun(t)
}

func TestUndoNothing(t *testing.T) {
	if said, err := orthanc.Undo(filepath.Join(t.TempDir(), "absent")); err != nil || said != nil {
		t.Errorf("no folder: %q, %v", said, err)
	}
	open := filepath.Join(t.TempDir(), "open")
	if err := os.Mkdir(open, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := orthanc.Undo(open); !errors.Is(err, orthanc.ErrRuntimeFolder) {
		t.Errorf("a folder open to others: %v", err)
	}
}

func TestFreezeTargetDies(t *testing.T) {
	each(t, func(t *testing.T, k *ticker, w *orthanc.Freeze) {
		_, err := w.Do(t.Context(), longBound, func(ctx context.Context) error {
			killHard(t, k.pid())
			if w.Mechanisms[0] != orthanc.MechanismCgroupV1 { // there it dies once it is thawed
				<-ctx.Done()
			}
			return nil
		})
		if w.Mechanisms[0] != orthanc.MechanismCgroupV1 && !errors.Is(err, orthanc.ErrProcessGone) {
			t.Errorf("got %v, want ErrProcessGone", err)
		}
		_ = k.cmd.Wait()
		if _, err := w.Do(t.Context(), longBound, func(context.Context) error { t.Error("inside was run"); return nil }); !errors.Is(err, orthanc.ErrProcessGone) {
			t.Errorf("a dead target: %v", err)
		}
	})
}

// The number is right, the process another one.
func TestFreezeReusedNumber(t *testing.T) {
	each(t, func(t *testing.T, k *ticker, w *orthanc.Freeze) {
		w.Target.Start--
		if _, err := w.Do(t.Context(), longBound, func(context.Context) error { t.Error("inside was run"); return nil }); !errors.Is(err, orthanc.ErrProcessGone) {
			t.Errorf("got %v, want ErrProcessGone", err)
		}
		k.mustRun(t)
	})
}

// Someone else has stopped the process: by ptrace it can be held, and stays stopped afterwards; by signal it is refused.
func TestFreezeStoppedBefore(t *testing.T) {
	k, w := frozenBy(t, orthanc.MechanismPtrace)
	send(t, k.pid(), unix.SIGSTOP)
	within(t, 2*time.Second, "stopped", func() bool { return state(t, k.pid()) == "T" })
	_, err := w.Do(t.Context(), longBound, func(context.Context) error {
		if err := unix.Kill(k.pid(), unix.SIGCONT); err != nil { // cannot set it going inside
			return err
		}
		k.mustStand(t)
		return unix.Kill(k.pid(), unix.SIGSTOP)
	})
	if err != nil {
		t.Fatal(err)
	}
	within(t, 2*time.Second, "stopped again", func() bool { return state(t, k.pid()) == "T" })
	k.mustStand(t)
	w.Mechanisms = []string{orthanc.MechanismSignal}
	if _, err := w.Do(t.Context(), longBound, func(context.Context) error { return nil }); !errors.Is(err, orthanc.ErrRefused) {
		t.Errorf("by signal: %v, want ErrRefused", err)
	}
	k.mustStand(t)
	send(t, k.pid(), unix.SIGCONT)
	k.mustRun(t)
}

func state(t *testing.T, pid int) string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))[0]
}

// Someone else sets the process going inside the window: it is noticed.
func TestFreezeContinuedByOther(t *testing.T) {
	k, w := frozenBy(t, orthanc.MechanismSignal)
	_, err := w.Do(t.Context(), longBound, func(context.Context) error {
		if err := unix.Kill(k.pid(), unix.SIGCONT); err != nil {
			return err
		}
		k.mustRun(t)
		if err := unix.Kill(k.pid(), unix.SIGSTOP); err != nil {
			return err
		}
		within(t, 2*time.Second, "stopped again", func() bool { return state(t, k.pid()) == "T" })
		return nil
	})
	if !errors.Is(err, orthanc.ErrWindowBroken) {
		t.Errorf("got %v, want ErrWindowBroken", err)
	}
	k.mustRun(t)
}

// No signal is lost, whether it comes before, while or after the threads are stopped.
func TestFreezeKeepsSignals(t *testing.T) {
	k, w := frozenBy(t, orthanc.MechanismPtrace)
	for n := uint64(1); n <= 24; n++ {
		time.AfterFunc(time.Duration(n%8)*300*time.Microsecond, func() { _ = unix.Kill(k.pid(), unix.SIGUSR1) })
		if _, err := w.Do(t.Context(), longBound, func(context.Context) error { return nil }); err != nil {
			t.Fatal(err)
		}
		within(t, 2*time.Second, fmt.Sprintf("signal %d was taken", n), func() bool { return k.slot(t, slotSignals) == n })
	}
}

// A process that is traced already is refused by ptrace, and the next mechanism is used.
func TestFreezeRefusedFallsBack(t *testing.T) {
	k, w := frozenBy(t, orthanc.MechanismPtrace)
	first := *w
	first.StateDir = "" // so that the second need not wait for the first one's lock
	o := startOwner(t, ownerSpec{Freeze: &first, Bound: longBound})
	_, err := w.Do(t.Context(), longBound, func(context.Context) error { t.Error("inside was run"); return nil })
	var refused *orthanc.RefusedError
	if !errors.Is(err, orthanc.ErrRefused) || !strings.Contains(err.Error(), "traces it") {
		t.Errorf("got %v (%v), want a refusal", err, errors.As(err, &refused))
	}
	if permitted, refusals := w.Permitted(); len(refusals) == 0 || slices.Contains(permitted, orthanc.MechanismPtrace) {
		t.Errorf("permitted %v, refused %v", permitted, refusals)
	}
	if out, err := o.release(t); err != nil {
		t.Errorf("the first window: %v %s", err, out)
	}
	k.mustRun(t)
	w.Mechanisms = []string{orthanc.MechanismCgroupV1, orthanc.MechanismCgroupV2, orthanc.MechanismSignal}
	stats, err := w.Do(t.Context(), longBound, func(context.Context) error { k.mustStand(t); return nil })
	if err != nil || stats.Mechanism != orthanc.MechanismSignal {
		t.Errorf("got %+v, %v", stats, err)
	}
}

// A cgroup that holds another process is never frozen.
func TestFreezeGroupShared(t *testing.T) {
	for _, m := range []string{orthanc.MechanismCgroupV1, orthanc.MechanismCgroupV2} {
		t.Run(m, func(t *testing.T) {
			k, w := frozenBy(t, m)
			other := startTicker(t)
			group, _ := filepath.Glob(fmt.Sprintf("/sys/fs/cgroup/*/orthokeep-test-%d", k.pid()))
			if more, _ := filepath.Glob(fmt.Sprintf("/sys/fs/cgroup/orthokeep-test-%d", k.pid())); len(group) == 0 {
				group = more
			}
			if err := os.WriteFile(filepath.Join(group[0], "cgroup.procs"), fmt.Append(nil, other.pid()), 0); err != nil {
				t.Fatal(err)
			}
			_, err := w.Do(t.Context(), longBound, func(context.Context) error { t.Error("inside was run"); return nil })
			if !errors.Is(err, orthanc.ErrRefused) || !strings.Contains(err.Error(), fmt.Sprint(other.pid())) {
				t.Errorf("got %v, want a refusal that names %d", err, other.pid())
			}
			_ = other.cmd.Process.Kill()
			_ = other.cmd.Wait()
		})
	}
}

// While a window is open another run's waits, and then is refused.
func TestWindowOpen(t *testing.T) {
	if testing.Short() {
		t.Skip("waits five seconds")
	}
	t.Parallel()
	k, w := frozenBy(t, orthanc.MechanismSignal)
	o := startOwner(t, ownerSpec{Freeze: w, Bound: longBound})
	if _, err := w.Do(t.Context(), longBound, func(context.Context) error { return nil }); !errors.Is(err, orthanc.ErrWindowOpen) {
		t.Errorf("got %v, want ErrWindowOpen", err)
	}
	k.mustStand(t) // the first one's window is as it was
	if out, err := o.release(t); err != nil {
		t.Errorf("the first window: %v %s", err, out)
	}
	k.mustRun(t)
}

// The guard is in none of its owner's cgroups, where that can be done.
func TestGuardLeavesCgroup(t *testing.T) {
	roots, _ := filepath.Glob("/sys/fs/cgroup/*/cgroup.procs")
	for _, root := range append(roots, "/sys/fs/cgroup/cgroup.procs") {
		if f, err := os.OpenFile(root, os.O_WRONLY, 0); err == nil {
			f.Close()
		} else if !errors.Is(err, os.ErrNotExist) {
			t.Skipf("a process cannot be moved here: %v", err)
		}
	}
	_, w := frozenBy(t, orthanc.MechanismSignal)
	stats, err := w.Do(t.Context(), longBound, func(context.Context) error {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", mustHelper(t, os.Getpid())))
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(text)) {
			if parts := strings.SplitN(strings.TrimSpace(line), ":", 3); parts[2] != "/" {
				t.Logf("the guard is in %s", strings.TrimSpace(line)) // not its owner's, or there is a warning
			}
		}
		return nil
	})
	if err != nil || len(stats.Warnings) > 0 {
		t.Errorf("got %+v, %v", stats, err)
	}
}

package orthanc_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/orthokeep/orthokeep/orthanc"
)

func TestStopAndStart(t *testing.T) {
	s := startServer(t)
	before := s.pid()
	asked := 0
	w := s.spec.window()
	w.Alive = func(context.Context) error {
		if asked++; s.pid() == 0 {
			return errors.New("no answer")
		}
		return nil
	}
	stats, err := w.Do(t.Context(), longBound, func(context.Context) error {
		if s.pid() != 0 {
			t.Error("the server runs inside the window")
		}
		if _, err := os.Stat(s.spec.Index + "-wal"); err == nil {
			t.Error("the WAL is there inside the window")
		}
		return nil
	})
	if err != nil || stats.Mechanism != orthanc.MechanismCommand || stats.Mode != orthanc.ModeStop || stats.Stood <= 0 || len(warnings(stats)) > 0 {
		t.Errorf("got %+v, %v", stats, err)
	}
	if asked == 0 || s.pid() == 0 || s.pid() == before {
		t.Errorf("asked %d times, process %d, before %d", asked, s.pid(), before)
	}
}

func TestStopUndoneOnError(t *testing.T) {
	s := startServer(t)
	w := s.spec.window()
	mine := errors.New("mine")
	if _, err := w.Do(t.Context(), longBound, func(context.Context) error { return mine }); !errors.Is(err, mine) {
		t.Errorf("got %v, want inside's error", err)
	}
	s.mustRun(t)
	w.Target = orthanc.Target{} // as if it could not be seen
	_, err := w.Do(t.Context(), 50*time.Millisecond, func(ctx context.Context) error {
		<-ctx.Done()
		s.mustRun(t)
		return nil
	})
	if !errors.Is(err, orthanc.ErrWindowTooLong) {
		t.Errorf("got %v, want ErrWindowTooLong", err)
	}
	s.mustRun(t)
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := w.Do(ctx, longBound, func(context.Context) error { cancel(); s.mustRun(t); return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	s.mustRun(t)
	func() {
		defer func() { _ = recover() }()
		_, _ = w.Do(t.Context(), longBound, func(context.Context) error { panic("inside") })
	}()
	s.mustRun(t)
}

func TestStopOwnerKilled(t *testing.T) {
	s := startServer(t)
	o := startOwner(t, ownerSpec{Stop: &s.spec, Bound: longBound})
	if s.pid() != 0 {
		t.Fatal("the server runs inside the window")
	}
	o.kill(t)
	s.mustRun(t)
}

func TestStopGuardKilled(t *testing.T) {
	s := startServer(t)
	_, err := s.spec.window().Do(t.Context(), longBound, func(ctx context.Context) error {
		killHard(t, mustHelper(t, os.Getpid()))
		<-ctx.Done()
		s.mustRun(t)
		return nil
	})
	if !errors.Is(err, orthanc.ErrWindowBroken) {
		t.Errorf("got %v, want ErrWindowBroken", err)
	}
	s.mustRun(t)
}

func TestStopBothKilled(t *testing.T) {
	s := startServer(t)
	o := startOwner(t, ownerSpec{Stop: &s.spec, Bound: longBound})
	helper := mustHelper(t, o.cmd.Process.Pid)
	send(t, o.cmd.Process.Pid, unix.SIGSTOP)
	killHard(t, helper)
	o.kill(t)
	if s.pid() != 0 {
		t.Fatal("the server runs")
	}
	said, err := orthanc.Undo(s.spec.StateDir)
	if err != nil || len(said) != 1 {
		t.Errorf("Undo: %q, %v", said, err)
	}
	s.mustRun(t)
}

// It does not stop, or cannot be told to: it runs on, and inside is not run.
func TestStopFails(t *testing.T) {
	s := startServer(t)
	before := s.pid()
	for name, command := range map[string]string{"fails": "echo no right to stop >&2; exit 5", "does nothing": "true"} {
		w := s.spec.window()
		w.Stop, w.Limit = command, 300*time.Millisecond
		_, err := w.Do(t.Context(), longBound, func(context.Context) error { t.Error("inside was run"); return nil })
		if !errors.Is(err, orthanc.ErrNotStopped) || errors.Is(err, orthanc.ErrNotStarted) {
			t.Errorf("%s: got %v, want ErrNotStopped", name, err)
		}
		if name == "fails" && !strings.Contains(err.Error(), "no right to stop") {
			t.Errorf("the output is not in %q", err)
		}
		if s.pid() != before {
			t.Errorf("%s: process %d, before %d", name, s.pid(), before)
		}
	}
}

// It stops and cannot be started: three tries, and the text says what a person does.
func TestStopNotStarted(t *testing.T) {
	s := startServer(t)
	w := s.spec.window()
	w.StateDir = filepath.Join(t.TempDir(), "run") // the note stays, for Undo
	_, err := w.Do(t.Context(), longBound, func(context.Context) error {
		return os.WriteFile(s.spec.Index+".refuse", nil, 0o600)
	})
	var failure *orthanc.NotStartedError
	if !errors.Is(err, orthanc.ErrNotStarted) || errors.As(err, &failure) && failure.Tries != 3 {
		t.Fatalf("got %v, want ErrNotStarted after three tries", err)
	}
	for _, part := range []string{"by hand", s.spec.Start, "it may not start", "exit status 7"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not say %q", err, part)
		}
	}
	if err := os.Remove(s.spec.Index + ".refuse"); err != nil {
		t.Fatal(err)
	}
	if said, err := orthanc.Undo(w.StateDir); err != nil || len(said) != 1 {
		t.Errorf("Undo: %q, %v", said, err)
	}
	s.mustRun(t)
}

// The server is up and does not answer until it has been started again.
func TestStopStartedAgain(t *testing.T) {
	s := startServer(t)
	starts := filepath.Join(t.TempDir(), "starts")
	w := s.spec.window()
	w.Start = fmt.Sprintf("echo start >>%s; test $(wc -l <%[1]s) -lt 2 || { %s }", starts, strings.TrimSuffix(w.Start, "&")+"& ")
	w.Limit = 300 * time.Millisecond
	if _, err := w.Do(t.Context(), longBound, func(context.Context) error { return nil }); err != nil {
		t.Fatal(err)
	}
	s.mustRun(t)
	if text, _ := os.ReadFile(starts); string(text) != "start\nstart\n" {
		t.Errorf("starts: %q", text)
	}
}

// A WAL that is left behind is a warning: the server was killed.
func TestStopLeavesWAL(t *testing.T) {
	s := startServer(t)
	w := s.spec.window()
	w.Stop = strings.Replace(w.Stop, "kill", "kill -9", 1)
	stats, err := w.Do(t.Context(), longBound, func(context.Context) error { return nil })
	if err != nil || len(warnings(stats)) != 1 || !strings.Contains(warnings(stats)[0], "WAL") {
		t.Errorf("got %+v, %v", stats, err)
	}
}

// fakeTool puts a script in the place of a command, and returns the file with the arguments of each call.
func fakeTool(t *testing.T, dir, name, body string) string {
	t.Helper()
	log := filepath.Join(dir, name+".log")
	script := fmt.Sprintf("#!/bin/sh\necho \"$@\" >>%s\n%s\n", log, body)
	if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return log
}

// The commands that systemd gets, by a fake one: whether a real one does what they say is another test's.
func TestStopBySystemd(t *testing.T) {
	s := startServer(t)
	dir := t.TempDir()
	ctl := fakeTool(t, dir, "systemctl", fmt.Sprintf(`case $2 in stop) %s;; start) %s
esac`, s.spec.Stop, s.spec.Start))
	run := fakeTool(t, dir, "systemd-run", `while test "$1" != --; do shift; done; shift; exec "$@"`)
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	if os.Geteuid() == 0 {
		t.Cleanup(orthanc.SetSystemdRunning(dir))
	}
	w := s.spec.window()
	w.Unit, w.Stop, w.Start = "orthanc.service", "", ""
	stats, err := w.Do(t.Context(), longBound, func(context.Context) error { return nil })
	if err != nil || stats.Mechanism != orthanc.MechanismSystemd {
		t.Fatalf("got %+v, %v", stats, err)
	}
	want := "--no-ask-password is-active -- orthanc.service\n--no-ask-password stop -- orthanc.service\n--no-ask-password start -- orthanc.service\n"
	if text, _ := os.ReadFile(ctl); string(text) != want {
		t.Errorf("systemctl was called with %q", text)
	}
	if text, _ := os.ReadFile(run); os.Geteuid() == 0 {
		if !strings.Contains(string(text), "--unit=orthokeep-guard-") || strings.Count(string(text), "\n") != 1 || !strings.HasSuffix(string(text), "/exe window-helper\n") {
			t.Errorf("systemd-run was called with %q", text)
		}
	}
}

// A unit that is not active is not what runs Orthanc: it is neither stopped nor started.
func TestStopInactiveUnit(t *testing.T) {
	s := startServer(t)
	dir := t.TempDir()
	ctl := fakeTool(t, dir, "systemctl", "echo inactive; exit 3")
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	w := s.spec.window()
	w.Unit = "other.service"
	_, err := w.Do(t.Context(), longBound, func(context.Context) error { t.Error("inside was run"); return nil })
	if !errors.Is(err, orthanc.ErrNotStopped) || !strings.Contains(err.Error(), "inactive") {
		t.Errorf("got %v, want ErrNotStopped", err)
	}
	if text, _ := os.ReadFile(ctl); strings.Contains(string(text), "start") {
		t.Errorf("systemctl was called with %q", text)
	}
}

func TestNone(t *testing.T) {
	s := startServer(t)
	w := &orthanc.None{Index: s.spec.Index}
	if _, err := w.Do(t.Context(), longBound, func(context.Context) error { t.Error("inside was run"); return nil }); !errors.Is(err, orthanc.ErrHeld) {
		t.Errorf("got %v, want ErrHeld", err)
	}
	stop := func() {
		s.mustRun(t)
		pid := s.pid()
		send(t, pid, unix.SIGTERM)
		within(t, 2*time.Second, "nothing holds the index", func() bool {
			_, err := w.Do(t.Context(), longBound, func(context.Context) error { return nil })
			return err == nil
		})
	}
	stop()
	stats, err := w.Do(t.Context(), longBound, func(context.Context) error { return nil })
	if err != nil || stats.Mode != orthanc.ModeNone || stats.Mechanism != orthanc.MechanismNone || stats.Stood != 0 {
		t.Errorf("got %+v, %v", stats, err)
	}
	_, err = w.Do(t.Context(), longBound, func(context.Context) error {
		_, err := (&orthanc.Stopper{Stop: "true", Start: s.spec.Start, Index: s.spec.Index, StateDir: s.spec.StateDir}).Do(t.Context(), longBound, func(context.Context) error { return nil })
		return err
	})
	if !errors.Is(err, orthanc.ErrWindowBroken) || !errors.Is(err, orthanc.ErrHeld) {
		t.Errorf("started meanwhile: got %v, want ErrWindowBroken", err)
	}
	stop()
	if _, err := w.Do(t.Context(), time.Millisecond, func(ctx context.Context) error { <-ctx.Done(); return nil }); !errors.Is(err, orthanc.ErrWindowTooLong) {
		t.Errorf("got %v, want ErrWindowTooLong", err)
	}
}

func TestChoose(t *testing.T) {
	s := startServer(t)
	index := s.spec.Index
	process, err := orthanc.FindProcess(index)
	if err != nil || process.PID != s.pid() {
		t.Fatalf("process %v, %v", process, err)
	}
	choose := func(mode string, change func(*orthanc.WindowOptions)) (orthanc.Choice, error) {
		o := orthanc.WindowOptions{Mode: mode, Index: index, PID: process.PID, StateDir: s.spec.StateDir}
		if change != nil {
			change(&o)
		}
		return orthanc.Choose(o)
	}
	commands := func(o *orthanc.WindowOptions) { o.Stop, o.Start = "stop it", "start it" }

	c, err := choose(orthanc.ModeAuto, nil)
	if err != nil || c.Mode != orthanc.ModeFreeze || c.Fallback != nil || !strings.Contains(c.String(), "by "+c.Mechanism) {
		t.Errorf("auto: %v, %v", c, err)
	}
	if c, err = choose("", commands); err != nil || c.Mode != orthanc.ModeFreeze || c.Fallback == nil {
		t.Errorf("auto with commands: %v, %v", c, err)
	}
	if c, err = choose(orthanc.ModeStop, commands); err != nil || c.Mechanism != orthanc.MechanismCommand {
		t.Errorf("stop: %v, %v", c, err)
	}
	if c, err = choose(orthanc.ModeStop, func(o *orthanc.WindowOptions) { o.Unit = "a.service" }); err != nil || c.Mechanism != orthanc.MechanismSystemd {
		t.Errorf("unit: %v, %v", c, err)
	}
	if _, err = choose(orthanc.ModeStop, func(o *orthanc.WindowOptions) { o.Stop = "stop it" }); !errors.Is(err, orthanc.ErrNoWindow) {
		t.Errorf("stop without start: %v", err)
	}
	if _, err = choose(orthanc.ModeNone, nil); !errors.Is(err, orthanc.ErrHeld) {
		t.Errorf("none while it runs: %v", err)
	}
	if _, err = choose("other", nil); !errors.Is(err, orthanc.ErrNoWindow) {
		t.Errorf("other: %v", err)
	}
	absent := func(o *orthanc.WindowOptions) { o.PID = 0 }
	if _, err = choose(orthanc.ModeFreeze, absent); !errors.Is(err, orthanc.ErrNoProcess) {
		t.Errorf("freeze without a process: %v", err)
	}
	// Something holds the index, and no process can be seen: stop is left.
	if c, err = choose(orthanc.ModeAuto, func(o *orthanc.WindowOptions) { commands(o); absent(o) }); err != nil || c.Mode != orthanc.ModeStop {
		t.Errorf("auto without a process: %v, %v", c, err)
	}
	if _, err = choose(orthanc.ModeAuto, absent); !errors.Is(err, orthanc.ErrNoWindow) || !errors.Is(err, orthanc.ErrNoProcess) {
		t.Errorf("auto with nothing: %v", err)
	}
	index = filepath.Join(t.TempDir(), "index")
	if err := os.WriteFile(index, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if c, err = choose(orthanc.ModeAuto, absent); err != nil || c.Mode != orthanc.ModeNone {
		t.Errorf("auto with a server that is down: %v, %v", c, err)
	}
}

//go:build unix

package main

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

// startTrial starts the test binary as trial and waits until it says that it is ready.
func startTrial(t *testing.T, command string) (cmd *exec.Cmd, stdout *bufio.Reader, stderr *bytes.Buffer) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	stderr = &bytes.Buffer{}
	cmd = exec.CommandContext(t.Context(), self, command)
	cmd.Args[0] = "trial"
	cmd.Env = append(os.Environ(), "ORTHOKEEP_CONFIG=/dev/null", "GORACE=atexit_sleep_ms=0")
	cmd.Stderr = stderr
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() })
	stdout = bufio.NewReader(pipe)
	wantLine(t, stdout, "ready\n")
	return cmd, stdout, stderr
}

func wantLine(t *testing.T, r *bufio.Reader, want string) {
	t.Helper()
	if line, err := r.ReadString('\n'); err != nil || line != want {
		t.Fatalf("read %q, %v; want %q", line, err, want)
	}
}

// The first signal cancels: the command ends in good order, with exit code 130 and its error.
func TestFirstSignal(t *testing.T) {
	for _, signal := range []os.Signal{syscall.SIGINT, syscall.SIGTERM} {
		cmd, _, stderr := startTrial(t, "wait")
		if err := cmd.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		var exit *exec.ExitError
		if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != exitInterrupted {
			t.Fatalf("%v: ended with %v, want exit code %d", signal, err, exitInterrupted)
		}
		const want = "orthokeep: interrupted: ending in good order; a second signal ends at once\n" +
			"orthokeep: wait 7f3a: interrupted: read pack 91c2: context canceled\n"
		if stderr.String() != want {
			t.Fatalf("%v: printed %q", signal, stderr.String())
		}
	}
}

// The second signal ends a program that does not end by itself.
func TestSecondSignal(t *testing.T) {
	cmd, stdout, _ := startTrial(t, "hang")
	began := time.Now()
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	wantLine(t, stdout, "noticed\n")
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(stdout); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if !ok || !status.Signaled() || status.Signal() != syscall.SIGINT || time.Since(began) > 20*time.Second {
		t.Fatalf("ended with %v after %v", cmd.ProcessState, time.Since(began))
	}
}

package main

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// On a terminal every phase leaves a line, a warning stands between them, and the result is on stdout alone.
func TestBars(t *testing.T) {
	control, terminal := openTerminal(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, "bars")
	cmd.Args[0] = "trial"
	cmd.Env = append(os.Environ(), "ORTHOKEEP_CONFIG=/dev/null", "GORACE=atexit_sleep_ms=0")
	cmd.Stderr = terminal
	var stdout strings.Builder
	cmd.Stdout = &stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	terminal.Close()
	drawn, err := io.ReadAll(control)
	if err != nil && !errors.Is(err, syscall.EIO) { // EIO: the other end is closed
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != exitWarnings {
		t.Fatalf("ended with %v", err)
	}
	if stdout.String() != "result\n" {
		t.Errorf("the result is %q", stdout.String())
	}
	for _, want := range []string{"read attachments [", "50 of 100 attachments, 512.0 KiB of 1.0 MiB", "100 attachments, 1.0 MiB",
		"orthokeep: warning: one file", "read packs", "3 packs, 3.0 MiB", "orthokeep: bars: done with 1 warning"} {
		if !strings.Contains(string(drawn), want) {
			t.Errorf("%q is not drawn in\n%q", want, drawn)
		}
	}
}

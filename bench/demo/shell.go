package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// A shell runs the command line as a user would: it prints each command and what that prints.
type shell struct {
	program string // absolute
	dir     string // in which commands run
}

// run runs orthokeep with these arguments and returns its standard output. Any exit code but 0 is an error.
func (s shell) run(ctx context.Context, args ...string) (string, error) {
	fmt.Printf("\n$ orthokeep %s\n", strings.Join(args, " "))
	cmd := exec.CommandContext(ctx, s.program, args...)
	cmd.Dir = s.dir
	cmd.Env = s.environment()
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // so that it can put its window right
	cmd.WaitDelay = 10 * time.Second
	var out bytes.Buffer
	cmd.Stdout = io.MultiWriter(os.Stdout, &out)
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("orthokeep %s: %w", args[0], err)
	}
	return out.String(), nil
}

// environment is that of this process without what the host says to orthokeep, and with the demonstration's settings.
func (s shell) environment() []string {
	var env []string
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "ORTHOKEEP_") {
			env = append(env, e)
		}
	}
	return append(env, "ORTHOKEEP_CONFIG="+settingsName)
}

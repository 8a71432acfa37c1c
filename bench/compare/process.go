package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/orthokeep/orthokeep/bench/cpu"
)

// cost is what one or more commands took.
type cost struct {
	wall, cpu time.Duration
	durable   time.Duration // of the clock, until all is on disk
	memory    int64         // bytes, the most of a process
}

func (c *cost) add(d cost) {
	c.wall, c.durable, c.cpu, c.memory = c.wall+d.wall, c.durable+d.durable, c.cpu+d.cpu, max(c.memory, d.memory)
}

// places says what the words of commands stand for.
type places struct{ repository, home, data, config, target, night string }

func (p places) fill(s string) string {
	return strings.NewReplacer("REPO", p.repository, "HOME", p.home, "DATA", p.data, "CONFIG", p.config, "TARGET", p.target, "NIGHT", p.night).Replace(s)
}

// run runs a command of a tool. What was written before is on disk then, so that nobody pays for another's writes.
func (t *tool) run(ctx context.Context, c command, p places) (cost, error) {
	args := make([]string, len(c))
	for i, word := range c {
		args[i] = p.fill(word)
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "ORTHOKEEP_") {
			cmd.Env = append(cmd.Env, e)
		}
	}
	cmd.Env = append(cmd.Env, "HOME="+p.home, "XDG_CACHE_HOME="+p.home+"/cache")
	for _, e := range t.env {
		name, value, _ := strings.Cut(e, "=")
		cmd.Env = append(cmd.Env, name+"="+p.fill(value))
	}
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	syncAll()
	if t.cold {
		if err := forgetFiles(); err != nil {
			return cost{}, fmt.Errorf("have the system forget files: %w", err)
		}
	}
	began := time.Now()
	if err := cmd.Run(); err != nil {
		return cost{}, fmt.Errorf("%s: %s: %w: %s", t.name, strings.Join(args, " "), err, last(said.String(), 2000))
	}
	wall := time.Since(began)
	syncAll()
	s := cmd.ProcessState
	return cost{wall, s.UserTime() + s.SystemTime(), time.Since(began), cpu.MemoryOf(s)}, nil
}

// last is the end of a text.
func last(s string, n int) string { return s[max(0, len(s)-n):] }

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// A step is something that every tool does in each round.
type step struct {
	name string
	day  int // what the storage area holds: the number of a day of the corpus
	kind stepKind
}

type stepKind int

const (
	backing stepKind = iota
	restoring
	checking
	pruning
)

var steps = []step{
	{"initial", 0, backing},
	{"nothing new", 0, backing},
	{"+3 %, −0.2 %", 1, backing},
	{"copies of 5 %", 2, backing},
	{"restore", 2, restoring},
	{"check of all data", 2, checking},
	{"prune", 2, pruning},
}

// A sample is what one step of one round took, and what it did to the repository.
type sample struct {
	cost
	repository, added int64 // bytes
	files             int   // written to the repository
}

// measureAll goes through all rounds. The samples are those of each tool and step. What the tools leave is removed after a round, and then
// nothing happens for a pause: ext4 looks at the inodes that were deleted in the last minute whenever it makes one, and who comes next would
// pay for that.
func measureAll(ctx context.Context, c *corpus, all []*tool, o options) error {
	dir, full := filepath.Join(o.dir, "work"), filepath.Join(o.dir, "full")
	defer os.RemoveAll(dir)
	defer os.Remove(full)
	for round := range o.rounds {
		if err := os.RemoveAll(dir); err != nil { // of the round before, or of a run that was cut off
			return err
		}
		if round > 0 {
			select {
			case <-time.After(o.pause):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if o.full {
			if err := fillMemory(ctx, full); err != nil {
				return fmt.Errorf("fill memory: %w", err)
			}
		}
		for i, t := range all {
			if t.missing {
				continue
			}
			fmt.Fprintf(os.Stderr, "round %d of %d: %s", round+1, o.rounds, t.name)
			if err := t.measure(ctx, c, filepath.Join(dir, strconv.Itoa(i))); err != nil {
				return fmt.Errorf("round %d: %w", round+1, err)
			}
			fmt.Fprintln(os.Stderr)
		}
	}
	return nil
}

// measure lets a tool go through all steps once, in a folder of its own.
func (t *tool) measure(ctx context.Context, c *corpus, dir string) error {
	p := places{repository: filepath.Join(dir, "repository"), home: filepath.Join(dir, "home"), target: filepath.Join(dir, "restored"), data: c.Storage, config: c.Config}
	for _, folder := range []string{p.home, p.target} {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return err
		}
	}
	for _, command := range t.setUp {
		if _, err := t.run(ctx, command, p); err != nil {
			return err
		}
	}
	for i, s := range steps {
		if s.kind == backing {
			p.night = strconv.Itoa(i + 1)
			if err := c.show(s.day); err != nil {
				return err
			}
		}
		one, err := t.step(ctx, s, p)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		fmt.Fprintf(os.Stderr, " %.1f", one.wall.Seconds())
		if t.samples == nil {
			t.samples = make([][]sample, len(steps))
		}
		t.samples[i] = append(t.samples[i], one)
	}
	return nil
}

func (t *tool) step(ctx context.Context, s step, p places) (out sample, err error) {
	before, bytes, err := contentsOf(p.repository)
	if err != nil {
		return out, err
	}
	for _, command := range t.commands(s.kind) {
		took, err := t.run(ctx, command, p)
		if err != nil {
			return out, err
		}
		out.cost.add(took)
	}
	now, size, err := contentsOf(p.repository)
	if err != nil {
		return out, err
	}
	out.repository, out.added, out.files = size, size-bytes, written(before, now)
	if s.kind != restoring {
		return out, nil
	}
	var restored []string
	for _, dir := range t.restored {
		restored = append(restored, strings.ReplaceAll(p.fill(dir), "//", "/"))
	}
	if err := compareFolders(p.data, restored); err != nil {
		return out, fmt.Errorf("compare what was restored: %w", err)
	}
	return out, nil
}

func (t *tool) commands(k stepKind) []command {
	switch k {
	case backing:
		return []command{t.backup}
	case restoring:
		return []command{t.restore}
	case checking:
		return []command{t.check}
	default:
		return t.prune
	}
}

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"
)

// TestMain makes the test binary the programs that the scripts run: orthokeep itself, and trial, which has commands that do
// nothing but what they are to show.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"orthokeep": main, "trial": trial})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		RequireExplicitExec: true,
		Setup:               setUp,
		Cmds:                map[string]func(*testscript.TestScript, bool, []string){"exits": runExits, "site": makeSite, "shrink": shrinkSite, "damage": damagePacks, "rounds": checkRounds, "nopatients": noPatients},
	})
}

// setUp keeps a script away from what belongs to the host.
func setUp(env *testscript.Env) error {
	settings := filepath.Join(env.WorkDir, ".settings.toml")
	env.Setenv("ORTHOKEEP_CONFIG", settings)
	env.Setenv("GORACE", "atexit_sleep_ms=0") // else every program of a race test ends a second late
	env.Setenv("ORTHOKEEP_CACHE_DIR", filepath.Join(env.WorkDir, ".cache"))
	env.Setenv("ORTHOKEEP_WRITER_KEY", filepath.Join(env.WorkDir, ".writer.key"))
	return os.WriteFile(settings, nil, 0o600)
}

// runExits is "exits N program args…": the program must end with exit code N. A plain ! accepts any failure.
func runExits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits N program args...")
	}
	want, err := strconv.Atoi(args[0])
	if err != nil {
		ts.Fatalf("exits: %v", err)
	}
	got := 0
	var exit *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if got != want {
		ts.Fatalf("%v ends with exit code %d, want %d", args[1:], got, want)
	}
}

// trial is orthokeep with other commands.
func trial() {
	p := newProgram(os.Stdin, os.Stdout, os.Stderr)
	root := p.root()
	root.AddCommand(p.trialCommands()...)
	os.Exit(p.execute(context.Background(), root, os.Args[1:]))
}

func (p *program) trialCommands() []*cobra.Command {
	do := func(name string, run func(context.Context) error) *cobra.Command {
		return p.command(&cobra.Command{Use: name, Args: noArgs}, func(ctx context.Context, _ []string) error { return run(ctx) })
	}
	key := group(&cobra.Command{Use: "key"})
	key.AddCommand(p.trialShow("add"))
	return []*cobra.Command{
		p.trialShow("show"), key,
		do("passphrase", func(ctx context.Context) error {
			answer, err := p.passphrase(ctx)
			return errors.Join(err, p.printf("%q\n", answer))
		}),
		do("new-passphrase", func(ctx context.Context) error {
			answer, err := p.newPassphrase(ctx)
			return errors.Join(err, p.printf("%q\n", answer))
		}),
		do("confirm", func(ctx context.Context) error {
			answer, err := p.confirm(ctx, "Really?", "--yes")
			return errors.Join(err, p.printf("%v\n", answer))
		}),
		do("repo", func(context.Context) error {
			path, err := p.needRepo()
			return errors.Join(err, p.printf("%s", path))
		}),
		do("warn", func(context.Context) error {
			p.warn("one file\nis left out")
			return p.printf("result\n")
		}),
		do("work", func(context.Context) error {
			p.progress.Phase("read attachments", "attachments", 100, 1<<20)
			p.progress.Add(50, 1<<19)
			p.progress.Phase("read packs", "packs", 0, 0)
			p.progress.Add(3, 3<<20)
			return p.printf("result\n")
		}),
		do("bars", func(context.Context) error {
			p.progress.Phase("read attachments", "attachments", 100, 1<<20)
			p.progress.Add(50, 1<<19)
			time.Sleep(3 * barEvery)
			p.progress.Add(50, 1<<19)
			p.warn("one file")
			p.progress.Phase("read packs", "packs", 0, 0)
			p.progress.Add(3, 3<<20)
			return p.printf("result\n")
		}),
		do("wait", func(ctx context.Context) error {
			p.subject = "7f3a"
			p.printf("ready\n")
			<-ctx.Done()
			return fmt.Errorf("read pack 91c2: %w", ctx.Err())
		}),
		do("hang", func(ctx context.Context) error {
			p.printf("ready\n")
			<-ctx.Done()
			p.printf("noticed\n")
			time.Sleep(time.Minute)
			return nil
		}),
	}
}

// trialShow prints what its flags were set to.
func (p *program) trialShow(name string) *cobra.Command {
	var text string
	var number int
	var tags []string
	c := p.command(&cobra.Command{Use: name, Args: noArgs}, func(context.Context, []string) error {
		return p.printf("repo=%s text=%s number=%d tags=%q json=%v\n", p.repo, text, number, tags, p.json)
	})
	c.Flags().StringVar(&text, "some-text", "default", "")
	c.Flags().IntVar(&number, "number", 1, "")
	c.Flags().StringArrayVar(&tags, "tag", nil, "")
	return c
}

// Every exit code has an error that leads to it, and none leads to another by accident.
func TestExitCodes(t *testing.T) {
	for _, e := range exits {
		code, _ := exitCode(fmt.Errorf("read pack: %w", e.err))
		if code != e.code {
			t.Errorf("%v ends with %d, want %d", e.err, code, e.code)
		}
	}
	if code, _ := exitCode(errors.New("anything")); code != exitFailed {
		t.Errorf("any error ends with %d, want %d", code, exitFailed)
	}
	if code, next := exitCode(hint(usageError("no flag"), "give one")); code != exitUsage || next != "give one" {
		t.Errorf("a usage error ends with %d and the hint %q", code, next)
	}
	var codes []int
	for _, e := range exits {
		codes = append(codes, e.code)
	}
	for _, code := range []int{exitUsage, exitNoRepo, exitLocked, exitDamage, exitNewer, exitWrongKey, exitLayout, exitInconsistent, exitInterrupted} {
		if !slices.Contains(codes, code) {
			t.Errorf("no error leads to exit code %d", code)
		}
	}
}

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"

	"github.com/orthokeep/orthokeep/orthanc"
	"github.com/orthokeep/orthokeep/repo"
	"github.com/orthokeep/orthokeep/repo/storage"
	"github.com/orthokeep/orthokeep/snapshot"
)

// The exit codes. OUTPUT.md repeats them.
const (
	exitDone         = 0
	exitFailed       = 1
	exitUsage        = 2
	exitWarnings     = 3
	exitNoRepo       = 10
	exitLocked       = 11
	exitDamage       = 12
	exitNewer        = 13
	exitWrongKey     = 14
	exitLayout       = 15
	exitInconsistent = 16
	exitInterrupted  = 130
)

// errUsage is what every error of whoever typed the command matches; see usageError.
var errUsage = errors.New("usage")

// exits gives an error its exit code, and a person the next step where there is one. The first match counts; an error
// without one is 1.
var exits = []struct {
	err  error
	code int
	hint string
}{
	{context.Canceled, exitInterrupted, ""},
	{errUsage, exitUsage, ""},
	{repo.ErrNoRepo, exitNoRepo, "is --repo right, and is the disk mounted? orthokeep init makes a new repository"},
	{storage.ErrNotFolder, exitNoRepo, "--repo names a folder"},
	{orthanc.ErrWindowOpen, exitLocked, "wait for it, or look for the process"},
	{snapshot.ErrLocked, exitLocked, "wait for it, or look for the process"},
	{repo.ErrPruning, exitLocked, "wait for it; if its host is gone, end it with --take-over"},
	{repo.ErrExpired, exitFailed, "run it again: what is still stored is found"},
	{snapshot.ErrRolledBack, exitDamage, ""},
	{repo.ErrUnsupported, exitNewer, "use a newer orthokeep"},
	{repo.ErrWrongKey, exitWrongKey, ""},
	{repo.ErrNeedKey, exitUsage, "name the recovery key with --recovery-key, or its passphrase with --passphrase-file"},
	{orthanc.ErrLayout, exitLayout, ""},
	{orthanc.ErrSchema, exitLayout, ""},
	{snapshot.ErrInconsistent, exitInconsistent, ""},
	{orthanc.ErrIndex, exitInconsistent, ""},
	{orthanc.ErrAttachment, exitInconsistent, ""},
	{orthanc.ErrDrill, exitDamage, "orthokeep check --read-data says what is damaged in the repository; another snapshot may be whole"},
	{orthanc.ErrNoOrthanc, exitFailed, "install it (Debian, Ubuntu: apt-get install orthanc), or name the program with --orthanc-binary"},
	{repo.ErrCorrupt, exitDamage, "orthokeep check says what is damaged"},
	{storage.ErrNoSpace, exitFailed, "free some space on that disk: what the repository holds is not touched"},
	{syscall.ENOSPC, exitFailed, "free some space on that disk: what the repository holds is not touched"}, // of staging, cache, target
}

// exitCode returns an error's exit code and hint.
func exitCode(err error) (code int, hint string) {
	var h *hintError
	if errors.As(err, &h) {
		hint = h.hint
	}
	for _, e := range exits {
		if errors.Is(err, e.err) {
			return e.code, cmp.Or(hint, e.hint)
		}
	}
	return exitFailed, hint
}

// A hintError adds the next step to an error.
type hintError struct {
	err  error
	hint string
}

func (e *hintError) Error() string { return e.err.Error() }
func (e *hintError) Unwrap() error { return e.err }

// hint adds the next step, one line, to an error.
func hint(err error, format string, args ...any) error {
	return &hintError{err, fmt.Sprintf(format, args...)}
}

// A usage is an error of whoever typed the command; it matches errUsage.
type usage struct{ text string }

func (u usage) Error() string        { return u.text }
func (u usage) Is(target error) bool { return target == errUsage }

// usageError is an error that ends with exit code 2.
func usageError(format string, args ...any) error { return usage{fmt.Sprintf(format, args...)} }

// usage makes an error of cobra's, which speaks of flags and arguments, one of ours.
func (p *program) usage(err error) error {
	if err == nil || errors.Is(err, errUsage) {
		return err
	}
	return hint(usageError("%v", err), "%s --help tells more", strings.TrimSpace("orthokeep "+p.name))
}

// finish ends the progress, tells of err, and returns the exit code.
func (p *program) finish(ctx context.Context, err error) int {
	p.progress.Done()
	switch {
	case err == nil && p.warnings == 0:
		return exitDone
	case err == nil:
		p.say(plural(p.warnings, "done with %d warning", "done with %d warnings"), "")
		return exitWarnings
	}
	code, next := exitCode(err)
	if ctx.Err() != nil && p.running {
		p.say("interrupted: "+err.Error(), next)
		return exitInterrupted
	}
	p.say(err.Error(), next)
	return code
}

// say writes "orthokeep: command subject: text", and a hint below it.
func (p *program) say(text, hint string) {
	line := "orthokeep: "
	if p.name != "" {
		line += strings.TrimSpace(p.name+" "+p.subject) + ": "
	}
	line += printable(oneLine(text)) + "\n" // an error may quote the repository: names of hosts, paths
	if hint != "" {
		line += "hint: " + oneLine(hint) + "\n"
	}
	io.WriteString(p.stderr, line)
}

func plural(n int, one, many string) string {
	if n == 1 {
		return fmt.Sprintf(one, n)
	}
	return fmt.Sprintf(many, n)
}

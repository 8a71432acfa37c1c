package orthanc

import (
	"context"
	"time"
)

// Window makes Orthanc stand still while a function runs, and lets it run on afterwards, whatever happens.
type Window interface {
	// Do opens the window, runs inside, and undoes the window: also when inside fails or panics, when ctx ends, when
	// bound has passed, and when this process is killed. A nil error means that Orthanc stood still for the whole of
	// inside; after any error what inside copied is not to be trusted. bound counts from the moment at which Orthanc
	// stands still, and must be positive.
	//
	// The context that inside gets ends when the window does. Do waits for inside to return.
	//
	// Errors match ErrWindowTooLong (bound passed), ErrWindowBroken (it could not be shown that Orthanc stood still
	// throughout), ErrRefused (may not be frozen: try another window), ErrProcessGone (Orthanc died by itself),
	// ErrNotStopped, ErrNotStarted, ErrHeld; ctx's error when it ended; or are what inside returned.
	// Stats are filled in as far as is known when there is an error too.
	Do(ctx context.Context, bound time.Duration, inside func(ctx context.Context) error) (Stats, error)

	// String says in a few words what Do would do, for people: "freeze process 812 by ptrace".
	String() string
}

var _ = []Window{(*Freeze)(nil), (*Stopper)(nil), (*None)(nil)}

// Stats says what a window was like.
type Stats struct {
	Mode      string        // ModeFreeze, ModeStop or ModeNone
	Mechanism string        // one of the Mechanism constants
	Stood     time.Duration // how long Orthanc did not run, its own stop and start included; 0 for ModeNone
	Warnings  []string      // what a person should know: each is one line
}

// The modes of a window.
const (
	ModeAuto   = "auto" // freeze where that is permitted, else stop
	ModeFreeze = "freeze"
	ModeStop   = "stop"
	ModeNone   = "none" // the server is down already
)

// The mechanisms, as they stand in Stats and in a snapshot's summary.
const (
	MechanismPtrace   = "ptrace"    // a helper traces every thread; the kernel lets go when the helper dies
	MechanismCgroupV2 = "cgroup-v2" // cgroup.freeze, under a guard
	MechanismCgroupV1 = "cgroup-v1" // freezer.state, under a guard
	MechanismSignal   = "sigstop"   // SIGSTOP to the process, under a guard
	MechanismSystemd  = "systemd"   // systemctl stop and start, under a guard
	MechanismDocker   = "docker"    // docker stop and start, under a guard
	MechanismPodman   = "podman"    // podman stop and start, under a guard
	MechanismCommand  = "command"   // the operator's commands, under a guard
	MechanismNone     = "none"
)

// Target is a process that is not mistaken for a later one with the same number.
type Target struct {
	PID   int    `json:"pid"`
	Start uint64 `json:"start"` // clock ticks from boot to its start, as in /proc/PID/stat
}

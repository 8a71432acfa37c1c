package orthanc

import (
	"errors"
	"fmt"
	"strings"
)

// What a caller of a Window chooses by.
var (
	ErrWindowTooLong = errors.New("window exceeded its bound")         // undone at once; try again
	ErrWindowBroken  = errors.New("window was not held throughout")    // helper killed, process continued by someone else; try again
	ErrRefused       = errors.New("process may not be frozen")         // not permitted, or frozen already: use another window
	ErrProcessGone   = errors.New("the server's process has ended")    // by itself, not by this window
	ErrNotStopped    = errors.New("the server was not stopped")        // it runs
	ErrNotStarted    = errors.New("the server was not started again")  // a person must start it
	ErrHeld          = errors.New("a process holds the index open")    // ModeNone while Orthanc runs
	ErrWindowOpen    = errors.New("another window is open")            // of another run with the same runtime folder
	ErrNoWindow      = errors.New("no window can be opened")           // Choose: nothing is permitted or configured
	ErrRuntimeFolder = errors.New("runtime folder is not safe to use") // not ours, or open to others
)

// RefusedError says why one mechanism cannot freeze the process. It matches ErrRefused.
type RefusedError struct {
	Mechanism string
	Reason    string
}

func (e *RefusedError) Error() string { return fmt.Sprintf("freeze by %s: %s", e.Mechanism, e.Reason) }

// Is makes errors.Is(err, ErrRefused) true.
func (e *RefusedError) Is(target error) bool { return target == ErrRefused }

// NotStartedError says that Orthanc is down and how a person starts it. It matches ErrNotStarted.
type NotStartedError struct {
	By     string // the command to run by hand
	Tries  int
	Reason string // of the last try: exit status and the end of the output, or what the server did not answer
}

func (e *NotStartedError) Error() string {
	return fmt.Sprintf("%v after %d tries (%s): start it by hand with: %s", ErrNotStarted, e.Tries, strings.TrimSpace(e.Reason), e.By)
}

// Is makes errors.Is(err, ErrNotStarted) true.
func (e *NotStartedError) Is(target error) bool { return target == ErrNotStarted }

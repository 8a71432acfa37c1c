package orthanc

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// None is the Window for a server that is down already. It stops nothing. Do is refused with ErrHeld while a process
// holds a lock on the index, and fails with ErrWindowBroken when one does so after inside.
type None struct {
	Index string // path of the index file
}

// String says that there is nothing to do.
func (w *None) String() string { return "nothing to stop" }

// Do implements Window. The bound is kept by ending inside's context and by the error.
func (w *None) Do(ctx context.Context, bound time.Duration, inside func(ctx context.Context) error) (Stats, error) {
	stats := Stats{Mode: ModeNone, Mechanism: MechanismNone}
	if bound <= 0 {
		return stats, fmt.Errorf("window of %v: %w", bound, ErrWindowTooLong)
	}
	if err := w.check(); errors.Is(err, ErrNotSupported) {
		stats.Warnings = append(stats.Warnings, "it cannot be checked here that no process holds the index")
	} else if err != nil {
		return stats, err
	}
	inner, cancel := context.WithTimeoutCause(ctx, bound, ErrWindowTooLong)
	defer cancel()
	Hold(PointInside)
	if err := inside(inner); err != nil {
		return stats, err
	}
	if inner.Err() != nil {
		return stats, context.Cause(inner)
	}
	if err := w.check(); err != nil && !errors.Is(err, ErrNotSupported) {
		return stats, fmt.Errorf("%w: %w", ErrWindowBroken, err)
	}
	return stats, nil
}

// check sees that no process has a lock on the index, and that none has it open for writing. A process that cannot be
// looked into is no obstacle: Orthanc locks the index for as long as it runs.
func (w *None) check() error {
	pid, held, err := lockHolder(w.Index)
	if err != nil {
		return fmt.Errorf("look for a lock on the index: %w", err)
	}
	if held {
		return fmt.Errorf("%w: process %d", ErrHeld, pid)
	}
	switch p, err := FindProcess(w.Index); {
	case err == nil:
		return fmt.Errorf("%w: process %d", ErrHeld, p.PID)
	case errors.Is(err, ErrManyProcesses):
		return fmt.Errorf("%w: %w", ErrHeld, err)
	case errors.Is(err, ErrNoProcess), errors.Is(err, ErrProcessHidden):
		return nil
	default:
		return err
	}
}

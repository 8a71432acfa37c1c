//go:build !linux

package orthanc

import (
	"context"
	"time"
)

// NewTarget reads when process pid started. Not supported here.
func NewTarget(pid int) (Target, error) { return Target{}, ErrNotSupported }

// Do implements Window. Not supported here.
func (w *Freeze) Do(context.Context, time.Duration, func(context.Context) error) (Stats, error) {
	return Stats{Mode: ModeFreeze}, ErrNotSupported
}

// Permitted says which mechanisms may be used. None is supported here.
func (w *Freeze) Permitted() (mechanisms []string, refusals []error) {
	return nil, []error{ErrNotSupported}
}

// Do implements Window. Not supported here.
func (w *Stopper) Do(context.Context, time.Duration, func(context.Context) error) (Stats, error) {
	return Stats{Mode: ModeStop}, ErrNotSupported
}

// HelperMain is the helper process of a window. Not supported here.
func HelperMain(args []string) int { return 2 }

// Undo puts right what a window left behind. There are no windows here, so it has nothing to do.
func Undo(stateDir string) ([]string, error) { return nil, nil }

func unitOf(int) string { return "" }

func containerOf(int) (container, bool) { return container{}, false }

func (c container) inspect() (containerState, error) { return containerState{}, ErrNotSupported }

func lockHolder(path string) (pid int, held bool, err error) { return 0, false, ErrNotSupported }

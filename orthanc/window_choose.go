package orthanc

import (
	"context"
	"errors"
	"fmt"
)

// WindowOptions is what Choose makes a window of.
type WindowOptions struct {
	Mode     string // ModeAuto, ModeFreeze, ModeStop, ModeNone; empty is ModeAuto
	Index    string // path of the index file
	PID      int    // of the process that holds the index; 0: none was found
	StateDir string // runtime folder, as in Freeze

	Stop      string // stop command; goes before all others
	Start     string // start command; needed with Stop
	Unit      string // systemd unit; goes before Container
	Container string // docker:NAME or podman:NAME; with none of these, the unit or the container of the process
	Alive     func(ctx context.Context) error

	Unstoppable string // why Orthanc must not be stopped; empty: it may be
}

// Choice is the window that a backup would use, and why.
type Choice struct {
	Window    Window
	Fallback  Window // ModeAuto that chose freeze: the stop to use when a frozen copy fails its check. Nil: none is possible
	Mode      string // ModeFreeze, ModeStop or ModeNone
	Mechanism string // expected; Stats has what was used
	Reason    string // one line: why this one and not another
}

// String is the line for backup --dry-run.
func (c Choice) String() string { return fmt.Sprintf("%s: %s (%s)", c.Mode, c.Window, c.Reason) }

// Choose finds the window to use. It opens nothing and stops nothing. ModeAuto is freeze where the process is local and
// may be traced, frozen or signalled, else stop; it never chooses ModeNone by itself unless no process was found and
// nothing holds the index.
//
// Errors match ErrNoWindow, with every reason in the text; ErrHeld for ModeNone while a process holds the index; or
// ErrNoProcess for ModeFreeze without one.
func Choose(o WindowOptions) (Choice, error) {
	switch o.Mode {
	case ModeFreeze:
		return o.freeze()
	case ModeStop:
		return o.stop()
	case ModeNone:
		return o.none()
	case ModeAuto, "":
		return o.auto()
	}
	return Choice{}, fmt.Errorf("window %q: %w", o.Mode, ErrNoWindow)
}

func (o WindowOptions) auto() (Choice, error) {
	if o.PID == 0 {
		if c, err := o.none(); err == nil {
			c.Reason = "no process holds the index open"
			return c, nil
		}
	}
	frozen, ferr := o.freeze()
	stopped, serr := o.stop()
	switch {
	case ferr == nil && serr == nil:
		frozen.Fallback = stopped.Window
		return frozen, nil
	case ferr == nil:
		return frozen, nil
	case serr == nil:
		stopped.Reason = "it cannot be frozen: " + ferr.Error()
		return stopped, nil
	}
	return Choice{}, fmt.Errorf("%w; %w", ferr, serr)
}

func (o WindowOptions) freeze() (Choice, error) {
	if o.PID == 0 {
		return Choice{}, fmt.Errorf("freeze: %w", ErrNoProcess)
	}
	target, err := NewTarget(o.PID)
	if err != nil {
		return Choice{}, fmt.Errorf("freeze: %w", err)
	}
	w := &Freeze{Target: target, StateDir: o.StateDir}
	permitted, refusals := w.Permitted()
	if len(permitted) == 0 {
		return Choice{}, fmt.Errorf("%w: %w", ErrNoWindow, errors.Join(refusals...))
	}
	return Choice{Window: w, Mode: ModeFreeze, Mechanism: permitted[0], Reason: "the process is local and may be frozen"}, nil
}

func (o WindowOptions) stop() (Choice, error) {
	if o.Unstoppable != "" {
		return Choice{}, fmt.Errorf("stop: %w: %s", ErrNoWindow, o.Unstoppable)
	}
	w := &Stopper{Stop: o.Stop, Start: o.Start, Index: o.Index, StateDir: o.StateDir, Alive: o.Alive}
	if o.PID != 0 {
		target, err := NewTarget(o.PID)
		if err != nil {
			return Choice{}, fmt.Errorf("stop: %w", err)
		}
		w.Target = target
	}
	if (o.Stop == "") != (o.Start == "") {
		return Choice{}, fmt.Errorf("stop: %w: a stop command and a start command are needed together", ErrNoWindow)
	}
	if o.Stop != "" {
		return Choice{Window: w, Mode: ModeStop, Mechanism: MechanismCommand, Reason: "commands were given"}, nil
	}
	unit, reason := o.Unit, "a unit was given"
	if unit == "" && o.Container == "" && o.PID != 0 {
		unit, reason = unitOf(o.PID), "the process belongs to this unit"
	}
	if unit != "" {
		w.Unit = unit
		return Choice{Window: w, Mode: ModeStop, Mechanism: MechanismSystemd, Reason: reason}, nil
	}
	return o.stopContainer(w)
}

// stopContainer is stop for a container, which was given or is that of the process.
func (o WindowOptions) stopContainer(w *Stopper) (Choice, error) {
	reason := "a container was given"
	var c container
	var err error
	if o.Container != "" {
		if c, err = parseContainer(o.Container); err != nil {
			return Choice{}, fmt.Errorf("stop: %w", err)
		}
	} else {
		var in bool
		if c, in = containerOf(o.PID); o.PID == 0 || !in {
			return Choice{}, fmt.Errorf("stop: %w: name the systemd unit, or a stop command and a start command", ErrNoWindow)
		}
		reason = "the process is in this container"
	}
	state, err := c.inspect()
	if err == nil {
		err = state.stoppable(c)
	}
	if err != nil {
		return Choice{}, fmt.Errorf("stop: %w: %w", ErrNoWindow, err)
	}
	if containerName.MatchString(state.Name) { // for people; an ID does as well
		c.name = state.Name
	}
	w.Container = c.String()
	return Choice{Window: w, Mode: ModeStop, Mechanism: c.engine, Reason: reason}, nil
}

func (o WindowOptions) none() (Choice, error) {
	w := &None{Index: o.Index}
	if err := w.check(); err != nil {
		return Choice{}, err
	}
	return Choice{Window: w, Mode: ModeNone, Mechanism: MechanismNone, Reason: "it was asked for, and nothing holds the index"}, nil
}

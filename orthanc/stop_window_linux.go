package orthanc

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	stopLimit  = 2 * time.Minute
	aliveLimit = 30 * time.Second
	alivePause = 20 * time.Millisecond
)

// Do implements Window. Stats.Stood counts from the stop command to the answer that Alive waits for.
func (w *Stopper) Do(ctx context.Context, bound time.Duration, inside func(ctx context.Context) error) (Stats, error) {
	stats := Stats{Mode: ModeStop, Mechanism: MechanismCommand}
	switch {
	case w.Unit != "":
		stats.Mechanism = MechanismSystemd
	case w.Container != "":
		c, err := parseContainer(w.Container)
		if err != nil {
			return stats, fmt.Errorf("stop: %w", err)
		}
		stats.Mechanism = c.engine
	case w.Stop == "" || w.Start == "":
		return stats, fmt.Errorf("stop: %w: a unit, a container, or a stop command and a start command are needed", ErrNoWindow)
	}
	stop := &stopRequest{Unit: w.Unit, Container: w.Container, Stop: w.Stop, Start: w.Start, Index: w.Index, Limit: w.Limit}
	if stop.Limit <= 0 {
		stop.Limit = stopLimit
	}
	request := helperRequest{Mechanism: stats.Mechanism, Target: w.Target, Bound: bound, StateDir: w.StateDir, Stop: stop}
	alive := func() error { return w.awaitAlive(context.WithoutCancel(ctx), min(stop.Limit, aliveLimit)) }
	got, err := runWindow(ctx, request, alive, inside)
	stats.Stood, stats.Warnings = got.stood, got.warnings
	return stats, err
}

// awaitAlive asks until Orthanc answers, or the limit passes.
func (w *Stopper) awaitAlive(ctx context.Context, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		err := w.alive(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("no answer within %v: %w", limit, err)
		case <-time.After(alivePause):
		}
	}
}

func (w *Stopper) alive(ctx context.Context) error {
	if w.Alive != nil {
		return w.Alive(ctx)
	}
	_, held, err := lockHolder(w.Index)
	if err == nil && !held {
		err = errors.New("nothing holds the index")
	}
	return err
}

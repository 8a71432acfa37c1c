package orthanc

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Permitted says which mechanisms may be used, the safest first, and why the others may not (each matches ErrRefused, or
// ErrProcessGone). It stops nothing; what a probe cannot see is refused when the window opens.
func (w *Freeze) Permitted() (mechanisms []string, refusals []error) {
	for _, m := range []string{MechanismPtrace, MechanismCgroupV2, MechanismCgroupV1, MechanismSignal} {
		if err := w.probe(m); err != nil {
			refusals = append(refusals, err)
		} else {
			mechanisms = append(mechanisms, m)
		}
	}
	return mechanisms, refusals
}

func (w *Freeze) probe(mechanism string) error {
	switch mechanism {
	case MechanismPtrace:
		return probeTrace(w.Target)
	case MechanismCgroupV1, MechanismCgroupV2:
		return probeFreezer(mechanism, w.Target)
	}
	return probeSignal(w.Target)
}

// Do implements Window.
func (w *Freeze) Do(ctx context.Context, bound time.Duration, inside func(ctx context.Context) error) (Stats, error) {
	stats := Stats{Mode: ModeFreeze}
	mechanisms, refusals := w.Mechanisms, []error(nil)
	if mechanisms == nil {
		mechanisms, refusals = w.Permitted()
	}
	for _, m := range mechanisms {
		request := helperRequest{Mechanism: m, Target: w.Target, Bound: bound, StateDir: w.StateDir}
		got, err := runWindow(ctx, request, nil, inside)
		stats.Warnings = append(stats.Warnings, got.warnings...)
		if !got.entered && errors.Is(err, ErrRefused) {
			refusals = append(refusals, err)
			continue
		}
		stats.Mechanism, stats.Stood = m, got.stood
		return stats, err
	}
	if len(refusals) == 0 {
		return stats, fmt.Errorf("%w: no mechanism was named", ErrRefused)
	}
	return stats, errors.Join(refusals...)
}

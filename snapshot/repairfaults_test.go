package snapshot

import (
	"context"
	"errors"
	"testing"

	"github.com/orthokeep/orthokeep/repo/storage/faulty"
)

// TestRepairThatIsInterrupted: at any request; the next one goes on, and everything is whole again.
func TestRepairThatIsInterrupted(t *testing.T) {
	base, disk, err := prepared(t, operation{prepare: withoutSegments}, testKeys(t))
	if err != nil {
		t.Fatal(err)
	}
	ended := 0
	for _, late := range []bool{false, true} {
		for k := int64(0); ; k += int64(faultStride()) {
			st := durable(t, disk)
			ctx, cancel := context.WithCancel(t.Context())
			x := interruptAt(st, k, late, cancel)
			tr := base.on(t, x)
			tr.ctx = ctx
			err = tr.repairOnce(false)
			was := ctx.Err() != nil
			cancel()
			if was != (err != nil) && !late || err != nil && !errors.Is(err, context.Canceled) {
				t.Errorf("interrupted at request %d (%v): %v", k, was, err)
			}
			if err != nil {
				ended++
			}
			tr.ctx = nil
			if err := errors.Join(tr.repairOnce(false), tr.sound(), tr.noRuns()); err != nil {
				t.Fatalf("after an interruption at request %d: %v", k, err)
			}
			tr.discard()
			if !was {
				break
			}
		}
	}
	if ended < 10/faultStride() {
		t.Errorf("it ended %d times", ended)
	}
}

// TestRepairOfALabel: a label that is damaged is held afterwards, whatever change fails meanwhile.
func TestRepairOfALabel(t *testing.T) {
	base, disk, err := prepared(t, operation{prepare: func(tr *trial) error {
		if err := twoNights(tr); err != nil {
			return err
		}
		err := SetLabel(t.Context(), tr.writer(), tr.must[0].root, func(l *Label) { l.Tags = []string{"tag"} })
		return errors.Join(err, tr.spoil(labelsPrefix, flipped))
	}}, testKeys(t))
	if err != nil {
		t.Fatal(err)
	}
	for k := 0; ; k++ {
		st := durable(t, disk)
		tr := base.on(t, nil)
		failing := faulty.Wrap(st)
		failing.FailChange(k, faulty.NotStored)
		tr.st = failing
		err = tr.repairOnce(false)
		reached := failing.Changes() > k
		if !reached && err != nil {
			t.Fatal(err)
		}
		tr.st = st
		if err != nil {
			err = tr.repairOnce(false)
		}
		roots, rootsErr := Roots(t.Context(), tr.writer())
		if err := errors.Join(err, rootsErr); err != nil || len(roots) != 2 || !roots[0].Held || roots[1].Held || len(roots[0].Tags) > 0 {
			t.Fatalf("change %d: %v", k, err)
		}
		if err := tr.sound(); err != nil {
			t.Fatalf("change %d: %v", k, err)
		}
		tr.discard()
		if !reached {
			return
		}
	}
}

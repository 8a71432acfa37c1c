package repo

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/orthokeep/orthokeep/repo/storage/faulty"
)

// operation is what something goes wrong in the midst of.
type operation struct {
	parity  int
	prepare func(*place)
	run     func(context.Context, *place) error
	unsound bool // what it begins with is damaged: it is sound when the operation has come to its end
}

var operations = map[string]operation{
	"check of damage that parity heals": {parity: MaxParity, prepare: damagedSlightly, run: checkOnce, unsound: true},
	"repair":                            {prepare: damagedForGood, run: repairOnce, unsound: true},
	"repair over a damaged catalogue":   {prepare: withoutAPack, run: repairOverDamage, unsound: true},
	"prune":                             {prepare: muchToPrune, run: pruneOnce},
	"prune, with parity":                {parity: 5, prepare: leftBehind, run: pruneOnce},
	"reading after a crash":             {prepare: crashedReading, run: readOnce, unsound: true},
	"repair after a crash":              {prepare: crashedReading, run: repairOnce, unsound: true},
	"change of the settings":            {prepare: func(p *place) { p.store(Content, 4) }, run: changeOnce},
}

// requestFault is what happens to request k of an operation.
type requestFault struct {
	name     string
	how      faulty.Fault
	failAt   func(*faulty.Storage, int, faulty.Fault)
	requests func(*faulty.Storage) int
	want     error
}

var requestFaults = []requestFault{
	{"a change is not made", faulty.NotStored, (*faulty.Storage).FailChange, (*faulty.Storage).Changes, faulty.ErrFailed},
	{"a change is made and reported as failed", faulty.Stored, (*faulty.Storage).FailChange, (*faulty.Storage).Changes, faulty.ErrFailed},
	{"a read fails", faulty.NotStored, (*faulty.Storage).FailRead, (*faulty.Storage).Reads, faulty.ErrFailed},
	{"somebody interrupts a change", faulty.Hang, (*faulty.Storage).FailChange, (*faulty.Storage).Changes, context.Canceled},
	{"somebody interrupts a read", faulty.Hang, (*faulty.Storage).FailRead, (*faulty.Storage).Reads, context.Canceled},
}

// faultStride leaves out requests, unless ORTHOKEEP_CRASH asks for all.
func faultStride() int {
	if os.Getenv("ORTHOKEEP_CRASH") != "" {
		return 1
	}
	return 29
}

// TestFaultsOfOperations: each request of each operation goes wrong once. The operation says so, or does without; nothing that was readable is
// lost by it, and the next run comes to its end.
func TestFaultsOfOperations(t *testing.T) {
	lowerSegmentRoom(t)
	for name, op := range operations {
		t.Run(name, func(t *testing.T) {
			base := newPlace(t, op.parity)
			op.prepare(base)
			for i, fault := range requestFaults {
				failed := 0
				for k := i % faultStride(); ; k += faultStride() { // not the same requests for each fault
					p := base.copy()
					err, reached := p.runWith(op, fault, k)
					if err != nil {
						failed++
					}
					p.goesOn(op, fault, k, err, reached)
					p.discard()
					if !reached || t.Failed() {
						break
					}
				}
				if failed == 0 && faultStride() == 1 {
					t.Errorf("%s: nothing failed", fault.name)
				}
			}
		})
	}
}

// runWith runs an operation, of which request k goes wrong.
func (p *place) runWith(op operation, fault requestFault, k int) (err error, reached bool) {
	ctx, cancel := context.WithCancel(p.t.Context())
	defer cancel()
	inner, st := p.st, faulty.Wrap(p.st)
	defer func() { p.st = inner }()
	fault.failAt(st, k, fault.how)
	p.st = st
	done := make(chan error, 1)
	go func() { done <- op.run(ctx, p) }()
	select {
	case err = <-done:
		return err, fault.requests(st) > k
	case <-st.Hung():
		cancel()
	}
	select {
	case err = <-done:
	case <-time.After(100 * time.Millisecond): // it was to be done whether or not somebody interrupts: the end of a run
		st.GiveUp()
		err = <-done
	}
	return err, true
}

// goesOn sees what an operation that went wrong has left, and that the next one comes to its end.
func (p *place) goesOn(op operation, fault requestFault, k int, err error, reached bool) {
	p.t.Helper()
	if !reached && err != nil {
		p.t.Fatalf("%s: without a fault: %v", fault.name, err)
	}
	if err != nil && !errors.Is(err, fault.want) && !errors.Is(err, faulty.ErrFailed) {
		p.t.Errorf("%s, request %d: %v", fault.name, k, err)
	}
	if err := p.readable(); err != nil && !op.unsound {
		p.t.Errorf("%s, request %d, afterwards: %v", fault.name, k, err)
	}
	if err := op.run(p.t.Context(), p); err != nil {
		p.t.Errorf("%s, request %d, once more: %v", fault.name, k, err)
	}
	if err := p.sound(); err != nil {
		p.t.Errorf("%s, request %d, in the end: %v", fault.name, k, err)
	}
}

// lowerSegmentRoom makes segments of some packs too long for one.
func lowerSegmentRoom(t testing.TB) {
	old := segmentRoom
	segmentRoom = 500
	t.Cleanup(func() { segmentRoom = old })
}

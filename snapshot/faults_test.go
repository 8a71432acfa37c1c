package snapshot

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/orthokeep/orthokeep/repo"
	"github.com/orthokeep/orthokeep/repo/storage"
	"github.com/orthokeep/orthokeep/repo/storage/faulty"
)

// faults of one request, each with the error that a caller may expect of the operation. Nil: any, or none where a second copy helps.
var (
	changeFaults = map[faulty.Fault]error{faulty.NotStored: faulty.ErrFailed, faulty.Stored: faulty.ErrFailed, faulty.Full: storage.ErrNoSpace, faulty.Refused: storage.ErrRefused}
	readFaults   = map[faulty.Fault]error{faulty.NotStored: faulty.ErrFailed, faulty.Missing: nil, faulty.Short: nil, faulty.Torn: nil, faulty.Flipped: nil}
)

// TestFailureOfEveryChange lets each change of each operation fail once, without and with its effect. The error says why, or the change did
// not matter; nothing is lost, and the next run succeeds.
func TestFailureOfEveryChange(t *testing.T) {
	keys := testKeys(t)
	for how, want := range changeFaults {
		for _, op := range operations {
			sweep(t, op, keys, how, want, (*faulty.Storage).FailChange, (*faulty.Storage).Changes)
		}
	}
}

// TestFailureOfEveryRead lets each read of each operation fail once, or return something else than was written.
func TestFailureOfEveryRead(t *testing.T) {
	keys := testKeys(t)
	for how, want := range readFaults {
		for _, op := range operations {
			sweep(t, op, keys, how, want, (*faulty.Storage).FailRead, (*faulty.Storage).Reads)
		}
	}
}

// faultStride leaves out requests, unless ORTHOKEEP_CRASH asks for all.
func faultStride() int {
	if crashSeeds() != nil {
		return 1
	}
	return 3 * crashStride()
}

// sweep runs an operation once for each of its requests, which is made to fail.
func sweep(t *testing.T, op operation, keys repo.Keys, how faulty.Fault, want error, failAt func(*faulty.Storage, int, faulty.Fault), requests func(*faulty.Storage) int) {
	t.Helper()
	base, disk, err := prepared(t, op, keys)
	if err != nil {
		t.Fatal(err)
	}
	failed := 0
	for k := 0; ; k += op.stride(faultStride()) {
		local := durable(t, disk)
		st := faulty.Wrap(local)
		failAt(st, k, how)
		tr := base.on(t, st)
		err = op.run(tr)
		reached := requests(st) > k
		if err != nil {
			failed++
		}
		if !reached && err != nil {
			t.Fatalf("%s without a fault: %v", op.name, err)
		}
		if err != nil && want != nil && !errors.Is(err, want) && !errors.Is(err, repo.ErrCorrupt) { // what was just written cannot be read back
			t.Errorf("%s, fault %d of request %d: %v", op.name, how, k, err)
		}
		if reached {
			tr.st = local
			if err := tr.goesOn(t.Context(), op, k%2 == 1); err != nil {
				t.Fatalf("%s, fault %d of request %d: %v", op.name, how, k, err)
			}
			if err := tr.noRuns(); err != nil && how != faulty.Missing { // a storage that denies a run keeps it from being ended
				t.Errorf("%s, fault %d of request %d: %v", op.name, how, k, err)
			}
		}
		tr.discard()
		if !reached {
			break
		}
	}
	t.Logf("%s, fault %d: %d runs failed", op.name, how, failed)
}

// TestHangingRequests: a request hangs, and somebody interrupts the operation. It ends at once, or, where it keeps what it has got, when
// the storage gives up; it says so, and nothing is lost.
func TestHangingRequests(t *testing.T) {
	keys := testKeys(t)
	for _, op := range operations {
		base, disk, err := prepared(t, op, keys)
		if err != nil {
			t.Fatal(err)
		}
		for name, hangAt := range map[string]func(*faulty.Storage, int, faulty.Fault){"change": (*faulty.Storage).FailChange, "read": (*faulty.Storage).FailRead} {
			for k := 0; ; k += op.stride(3 * faultStride()) {
				local := durable(t, disk)
				st := faulty.Wrap(local)
				hangAt(st, k, faulty.Hang)
				tr := base.on(t, st)
				hung, err := interruptWhenHung(t, op, tr, st)
				if hung != (err != nil) {
					t.Fatalf("%s, %s %d hangs: %v: %v", op.name, name, k, hung, err)
				}
				if hung {
					tr.ctx, tr.st = nil, local
					if err := tr.goesOn(t.Context(), op, false); err != nil {
						t.Fatalf("%s, %s %d hung: %v", op.name, name, k, err)
					}
				}
				tr.discard()
				if !hung {
					break
				}
			}
		}
	}
}

func interruptWhenHung(t *testing.T, op operation, tr *trial, st *faulty.Storage) (hung bool, err error) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	tr.ctx = ctx
	done := make(chan error, 1)
	go func() { done <- op.run(tr) }()
	select {
	case err = <-done:
		return false, err
	case <-st.Hung():
	}
	cancel()
	select {
	case err = <-done:
	case <-time.After(time.Second):
		st.GiveUp()
		err = <-done
	}
	return true, err
}

// TestFullDisk: the disk runs full at a place in the midst of each operation, and is given more space later.
func TestFullDisk(t *testing.T) {
	keys := testKeys(t)
	for _, op := range operations {
		base, disk, err := prepared(t, op, keys)
		if err != nil {
			t.Fatal(err)
		}
		before := disk.Used()
		for part := 0; ; part++ {
			fsys := disk.Crash(1)
			local, err := storage.CreateOn(fsys, "/repo")
			if err != nil {
				t.Fatal(err)
			}
			tr := base.on(t, local)
			fsys.Limit(before + part*part*50)
			err = op.run(tr)
			if err != nil {
				if !errors.Is(err, storage.ErrNoSpace) {
					t.Fatalf("%s on a full disk: %v", op.name, err)
				}
				fsys.Limit(-1)
				if err := tr.goesOn(t.Context(), op, part%2 == 1); err != nil {
					t.Fatalf("%s, %d bytes on a full disk: %v", op.name, part*part*50, err)
				}
			}
			tr.discard()
			if err == nil {
				if part < 2 {
					t.Fatalf("%s needs no space", op.name)
				}
				break
			}
		}
	}
}

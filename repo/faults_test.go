package repo

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/gofrs/flock"

	"github.com/orthokeep/orthokeep/repo/storage"
	"github.com/orthokeep/orthokeep/repo/storage/faulty"
)

var at = time.Unix(1_700_000_000, 0)

// sweepFaults runs an operation on a fresh world once for each of its requests, which fails, as a change with and without its effect. The
// error says so, or the operation did what it was to do; then it is run again without a fault, and its outcome is looked at.
func sweepFaults(t *testing.T, prepare func(*world), run func(*Repository) error, look func(*Repository) error) {
	t.Helper()
	for _, fault := range []struct {
		how      faulty.Fault
		failAt   func(*faulty.Storage, int, faulty.Fault)
		requests func(*faulty.Storage) int
	}{
		{faulty.NotStored, (*faulty.Storage).FailChange, (*faulty.Storage).Changes},
		{faulty.Stored, (*faulty.Storage).FailChange, (*faulty.Storage).Changes},
		{faulty.NotStored, (*faulty.Storage).FailRead, (*faulty.Storage).Reads},
		{faulty.Missing, (*faulty.Storage).FailRead, (*faulty.Storage).Reads},
	} {
		failed := 0
		for k := 0; ; k++ {
			w := newWorld(t, 21)
			prepare(w)
			st := faulty.Wrap(w.st)
			r := w.open(w.cache)
			r.st = st
			fault.failAt(st, k, fault.how)
			err := run(r)
			reached := fault.requests(st) > k
			if !reached && err != nil {
				t.Fatalf("without a fault: %v", err)
			}
			if err != nil {
				failed++
				if fault.how != faulty.Missing && !errors.Is(err, faulty.ErrFailed) {
					t.Errorf("fault %d of request %d: %v", fault.how, k, err)
				}
			}
			r.st = w.st
			if err := run(r); err != nil {
				t.Fatalf("fault %d of request %d, once more: %v", fault.how, k, err)
			}
			if err := look(w.open(w.cache)); err != nil && fault.how != faulty.Missing { // a storage that lies about what it has
				t.Errorf("fault %d of request %d, afterwards: %v", fault.how, k, err)
			}
			if !reached {
				break
			}
		}
		if failed == 0 && fault.how != faulty.Missing {
			t.Errorf("fault %d: nothing failed", fault.how)
		}
	}
}

// announced leaves a prune that was killed after it had announced itself, and a run that did not end.
func announced(w *world) {
	w.t.Helper()
	p, err := w.writer.BeginPrune(w.t.Context(), "other", at, func(PruneHolder) Takeover { return KeepOut })
	if err != nil {
		w.t.Fatal(err)
	}
	if err := p.announce(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.writer.Begin(w.t.Context(), RunInfo{Kind: "backup", Started: at}); err != nil {
		w.t.Fatal(err)
	}
	if err := w.writer.putMark(w.t.Context(), "without-note", []packID{{1}}, at); err != nil {
		w.t.Fatal(err)
	}
}

// TestFaultsOfTakeOver: a prune takes over from another, gives up what is under way, and completes a mark, with each request failing.
func TestFaultsOfTakeOver(t *testing.T) {
	for _, how := range []Takeover{TakeOver, WasKilled} {
		sweepFaults(t, announced, func(r *Repository) error {
			p, err := r.BeginPrune(t.Context(), "h", at, func(PruneHolder) Takeover { return how })
			if err != nil {
				return err
			}
			if _, err := p.ExpireRuns(t.Context(), "h", at); err != nil {
				return errors.Join(err, p.End(t.Context()))
			}
			if err := p.ListRuns(t.Context()); err != nil {
				return errors.Join(err, p.End(t.Context()))
			}
			return p.End(t.Context())
		}, func(r *Repository) error {
			runs, err := r.Runs(t.Context())
			if err != nil {
				return err
			}
			for _, run := range runs {
				if run.UnderWay() && run.Kind == "backup" {
					return errors.New("a run is still under way")
				}
			}
			marks, err := r.readMarks(t.Context())
			if err != nil || len(marks) != 1 || len(marks[0].packs) != 1 {
				return errors.Join(err, errors.New("the mark is gone"))
			}
			return nil
		})
	}
}

// TestFaultsOfReading: a restore announces itself, and ends, with each request failing. What it left is ended by the next one.
func TestFaultsOfReading(t *testing.T) {
	sweepFaults(t, func(w *world) { w.segment(w.packs(2, 5)) }, func(r *Repository) error {
		x, err := r.BeginReading(t.Context(), RunInfo{Kind: "restore", Started: at})
		if err != nil {
			return err
		}
		return x.End(t.Context(), at)
	}, func(r *Repository) error {
		if err := r.endStaleRuns(t.Context(), at); err != nil {
			return err
		}
		runs, err := r.Runs(t.Context())
		if err != nil {
			return err
		}
		for _, run := range runs {
			if run.UnderWay() && run.Started.Equal(at) {
				files, _ := os.ReadDir(filepath.Join(r.cat.dir, "runs"))
				if len(files) == 0 { // its lock is gone, and nobody would end it
					return errors.New("a reading is under way for ever")
				}
			}
		}
		return nil
	})
}

// TestStaleReadings: those that a crash left are ended by the next reading, each request failing.
func TestStaleReadings(t *testing.T) {
	sweepFaults(t, func(w *world) {
		x, err := w.open(w.cache).BeginReading(t.Context(), RunInfo{Kind: "restore", Started: at})
		if err != nil {
			t.Fatal(err)
		}
		if err := x.lock.Unlock(); err != nil { // as the end of its process does
			t.Fatal(err)
		}
	}, func(r *Repository) error {
		p, err := r.BeginPrune(t.Context(), "h", at, func(PruneHolder) Takeover { return TakeOver })
		if err != nil {
			return err
		}
		return p.End(t.Context())
	}, func(r *Repository) error {
		runs, err := r.Runs(t.Context())
		if err == nil && len(underWay(runs)) > 0 {
			err = errors.New("a stale reading is under way")
		}
		return err
	})
}

// TestReadingWithoutCache: where the lock's file cannot be made there is no reading.
func TestReadingWithoutCache(t *testing.T) {
	w := newWorld(t, 22)
	r := w.open(w.cache)
	if err := os.WriteFile(filepath.Join(w.cache, "runs"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := r.BeginReading(t.Context(), RunInfo{Kind: "restore", Started: at}); err == nil {
		t.Error("a reading without a lock")
	}
	if runs, err := r.Runs(t.Context()); err != nil || len(runs) > 0 {
		t.Errorf("%d runs are announced, %v", len(runs), err)
	}
	held := filepath.Join(w.folder(), "lock")
	l := flock.New(held)
	if ok, err := l.TryLock(); !ok || err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := lockFile(held); !errors.Is(err, os.ErrExist) {
		t.Errorf("a lock that is held: %v", err)
	}
	folder := filepath.Join(w.folder(), "folder")
	if err := os.MkdirAll(filepath.Join(folder, "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := removeLock(flock.New(folder)); err == nil {
		t.Error("a lock whose file cannot be removed")
	}
}

// TestInitSurvives crashes before every change of files that an init with a passphrase makes: there is a repository that opens, or none and
// the next init makes it.
func TestInitSurvives(t *testing.T) {
	old := scryptWork
	scryptWork = 4
	t.Cleanup(func() { scryptWork = old })
	keys, err := NewKeys()
	if err != nil {
		t.Fatal(err)
	}
	init := func(st storage.Storage) error {
		return Init(t.Context(), st, keys, InitOptions{Passphrase: "p", Created: at})
	}
	for k := 0; ; k++ {
		fsys := faulty.NewFS()
		fsys.CrashAt(k)
		st, err := storage.CreateOn(fsys, "/repo")
		if err == nil {
			err = init(st)
		}
		for seed := range uint64(32) {
			after, openErr := storage.CreateOn(fsys.Crash(seed), "/repo")
			if openErr != nil {
				t.Fatal(openErr)
			}
			if again := init(after); again != nil && !errors.Is(again, ErrExists) || err == nil && !errors.Is(again, ErrExists) {
				t.Fatalf("crash at change %d, seed %d: the next init: %v", k, seed, again)
			}
			recovery, unlockErr := UnlockRecoveryKey(t.Context(), after, "p")
			if unlockErr != nil {
				t.Fatalf("crash at change %d, seed %d: %v", k, seed, unlockErr)
			}
			r, openErr := Open(t.Context(), after, Credentials{Recovery: recovery}, "")
			if openErr != nil {
				t.Fatalf("crash at change %d, seed %d: %v", k, seed, openErr)
			}
			r.Close()
		}
		if !fsys.Crashed() {
			if k < 20 || err != nil {
				t.Fatalf("%d crash points, %v", k, err)
			}
			t.Logf("init with a passphrase: %d crash points, %d states", k, 32*k)
			return
		}
		if err == nil {
			t.Fatalf("crash at change %d is not reported", k)
		}
	}
}

// TestFaultsOfKeys: each request of opening the recovery key, and of opening with keys that do not belong together.
func TestFaultsOfKeys(t *testing.T) {
	old := scryptWork
	scryptWork = 4
	t.Cleanup(func() { scryptWork = old })
	inner, err := storage.CreateOn(faulty.NewFS(), "/repo")
	if err != nil {
		t.Fatal(err)
	}
	keys, err := NewKeys()
	if err != nil {
		t.Fatal(err)
	}
	if err := Init(t.Context(), inner, keys, InitOptions{Passphrase: "p", Created: at}); err != nil {
		t.Fatal(err)
	}
	for k := range 3 { // two listings, the key
		st := faulty.Wrap(inner)
		st.FailRead(k, faulty.NotStored)
		if _, err := UnlockRecoveryKey(t.Context(), st, "p"); !errors.Is(err, faulty.ErrFailed) {
			t.Errorf("read %d: %v", k, err)
		}
		st.FailRead(st.Reads()+2, faulty.Torn)
		if _, err := UnlockRecoveryKey(t.Context(), st, "p"); !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrWrongKey) {
			t.Errorf("torn: %v", err)
		}
	}
	for _, wrong := range []string{"", "q"} {
		if _, err := UnlockRecoveryKey(t.Context(), inner, wrong); !errors.Is(err, ErrWrongKey) {
			t.Errorf("passphrase %q: %v", wrong, err)
		}
	}
	other, err := NewKeys()
	if err != nil {
		t.Fatal(err)
	}
	for name, with := range map[string]Credentials{"none": {}, "another writer key": {Writer: other.Writer}, "another recovery key": {Recovery: other.Recovery}, "two that differ": {Writer: other.Writer, Recovery: keys.Recovery}} {
		if _, err := Open(t.Context(), inner, with, ""); !errors.Is(err, ErrWrongKey) {
			t.Errorf("%s: %v", name, err)
		}
	}
	kept, err := KeepsRecoveryKey(t.Context(), inner)
	if !kept || err != nil {
		t.Errorf("kept: %v, %v", kept, err)
	}
	name, _, err := newestKeyFile(t.Context(), inner, recoveryFile)
	if err == nil {
		err = inner.Delete(t.Context(), name)
	}
	if err != nil {
		t.Fatal(err)
	}
	if kept, err = KeepsRecoveryKey(t.Context(), inner); kept || err != nil {
		t.Errorf("kept, when it is gone: %v, %v", kept, err)
	}
	if _, err := UnlockRecoveryKey(t.Context(), inner, "p"); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("no recovery key: %v", err)
	}
}

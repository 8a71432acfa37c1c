package snapshot

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/orthokeep/orthokeep/repo"
	"github.com/orthokeep/orthokeep/repo/storage"
	"github.com/orthokeep/orthokeep/repo/storage/faulty"
)

// prune keeps the last n snapshots.
func (w *world) prune(n int) (*PruneSummary, error) {
	return w.pruneWith(PruneOptions{Policy: Policy{Last: n}})
}

func (w *world) pruneWith(o PruneOptions) (*PruneSummary, error) {
	w.t.Helper()
	r, err := repo.Open(w.context(), w.st, repo.Credentials{Writer: w.keys.Writer}, w.cache)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	o.Location, o.Host, o.Started, o.Space = time.UTC, "h", now.AddDate(0, 0, w.nights), repo.SpaceOptions{MaxUnused: 0.05}
	if o.TakeOver == nil {
		o.TakeOver = func(repo.PruneHolder) repo.Takeover { return repo.TakeOver }
	}
	return Prune(w.context(), r, o, NoProgress{})
}

// newMemoryWorld is newWorld on a disk in memory, for tests that make many.
func newMemoryWorld(t *testing.T, keys repo.Keys) *world {
	t.Helper()
	st, err := storage.CreateOn(faulty.NewFS(), "/repo")
	if err != nil {
		t.Fatal(err)
	}
	w := newServer(t, st, keys)
	if err := w.init(); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) mustPrune(n int) *PruneSummary {
	w.t.Helper()
	s, err := w.prune(n)
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

// sound sees that nothing is damaged or missing, with every blob read, and that as many snapshots are there.
func (w *world) sound(snapshots int) {
	w.t.Helper()
	ctx := w.t.Context()
	roots, err := Roots(ctx, w.writer())
	if err != nil || len(roots) != snapshots {
		w.t.Fatalf("%d snapshots instead of %d, %v", len(roots), snapshots, err)
	}
	if problems, err := Check(ctx, w.writer(), roots); err != nil || len(problems) > 0 {
		w.t.Fatalf("check: %v %v", problems, err)
	}
	report, err := w.reader().Check(ctx, repo.CheckOptions{ReadData: repo.All()}, NoProgress{})
	if err != nil || report.Damaged() {
		w.t.Fatalf("check of the data: %+v %v", report, err)
	}
}

// packBytes is what the packs take up.
func (w *world) packBytes() (n int64) {
	w.t.Helper()
	for o, err := range w.st.List(w.t.Context(), "packs/") {
		if err != nil {
			w.t.Fatal(err)
		}
		n += o.Size
	}
	return n
}

// TestPruneFreesSpace: what is deleted from the server leaves the repository with the snapshots that had it, one prune later, and
// what is left restores.
func TestPruneFreesSpace(t *testing.T) {
	w := newWorld(t)
	w.add(4, 700_000)
	w.add(300, 1500)
	w.mustBackup()
	full := w.packBytes()
	for range 4 { // the large ones
		w.remove(0)
	}
	for range 100 {
		w.remove(w.rnd.IntN(len(w.list)))
	}
	kept := w.state(w.mustBackup())
	first := w.mustPrune(1)
	if first.Removed != 1 || first.Space.Deleted != 0 || first.Space.Waiting == 0 {
		t.Fatalf("the first prune: %+v", first)
	}
	w.sound(1)
	second := w.mustPrune(1)
	if second.Removed != 0 || second.Space.Deleted != first.Space.Waiting || second.Space.Freed < full/2 {
		t.Fatalf("the second prune of %d bytes: %+v", full, second)
	}
	w.sound(1)
	w.verify(kept)
	if left := w.packBytes(); left > full/2 {
		t.Errorf("%d of %d bytes are left", left, full)
	}
	third := w.mustPrune(1)
	if third.Space.Looked || third.Space.Waiting != 0 {
		t.Errorf("the third prune had nothing to do, and did: %+v", third)
	}
	w.verify(w.state(w.mustBackup()))
	w.sound(2)
}

// TestPruneRefusesWithoutPolicy: no rule is no reason to remove everything.
func TestPruneRefusesWithoutPolicy(t *testing.T) {
	w := newWorld(t)
	w.add(3, 100)
	w.mustBackup()
	w.mustBackup()
	if _, err := w.pruneWith(PruneOptions{}); !errors.Is(err, ErrNoPolicy) {
		t.Fatalf("%v", err)
	}
	w.sound(2)
}

// TestPruneKeepsWhatIsHeld: a hold outlasts every policy, its end does not.
func TestPruneKeepsWhatIsHeld(t *testing.T) {
	w := newWorld(t)
	w.add(50, 1000)
	held := w.mustBackup()
	old := w.state(held)
	if err := SetLabel(t.Context(), w.writer(), held, func(l *Label) { l.Held = true }); err != nil {
		t.Fatal(err)
	}
	w.remove(3)
	w.mustBackup()
	w.mustBackup()
	for range 3 {
		w.mustPrune(1)
	}
	w.sound(2)
	w.verify(old)
	if err := SetLabel(t.Context(), w.writer(), held, func(l *Label) { l.Held = false }); err != nil {
		t.Fatal(err)
	}
	w.mustPrune(1)
	w.sound(1)
	if names, err := w.writer().ListObjects(t.Context(), labelsPrefix); err != nil || len(names) > 0 {
		t.Errorf("labels %v of a snapshot that is gone, %v", names, err)
	}
}

// TestPruneOfRefusingStorage: where nothing can be deleted nothing gets lost either, it is said so, and done later.
func TestPruneOfRefusingStorage(t *testing.T) {
	w := newWorld(t)
	st := faulty.Wrap(w.st)
	w.st = st
	w.add(2, 700_000)
	w.mustBackup()
	w.remove(0)
	w.mustBackup()
	w.mustBackup()
	st.Always(faulty.Refused, true)
	s := mayFail(w.prune(1))
	if s == nil || s.Removed != 0 || s.Refused == 0 {
		t.Fatalf("%+v", s)
	}
	w.sound(3)
	st.Always(faulty.Refused, false)
	w.mustPrune(1)
	st.Always(faulty.Refused, true)
	if s := mayFail(w.prune(1)); s == nil || s.Refused == 0 || s.Space.Deleted != 0 {
		t.Fatalf("%+v", s)
	}
	w.sound(1)
	st.Always(faulty.Refused, false)
	if s := w.mustPrune(1); s.Space.Deleted == 0 {
		t.Fatalf("%+v", s)
	}
	w.sound(1)
	w.verify(w.state(w.mustBackup()))
}

// mayFail drops an error: of a prune that cannot give back the object prune.
func mayFail(s *PruneSummary, _ error) *PruneSummary { return s }

// TestRepackOfManyNights: after many nights with a daily prune the unused space stays below its bound, small packs do not pile up,
// and what is kept restores.
func TestRepackOfManyNights(t *testing.T) {
	w := newWorld(t)
	w.add(200, 3000)
	var states []state
	for range 45 {
		states = append(states, w.state(w.mustBackup()))
		w.add(12, 3000)
		for range 8 {
			w.remove(w.rnd.IntN(len(w.list)))
		}
		w.mustPrune(5)
	}
	s := w.mustPrune(5)
	if !s.Space.Looked && s.Space.Waiting > 0 {
		t.Errorf("%+v", s.Space)
	}
	w.sound(5)
	for _, s := range states[len(states)-5:] {
		w.verify(s)
	}
	packs := 0
	for _, err := range w.st.List(t.Context(), "packs/") {
		if err != nil {
			t.Fatal(err)
		}
		packs++
	}
	if packs > 120 {
		t.Errorf("%d packs after 45 nights", packs)
	}
	segments, err := w.writer().ListObjects(t.Context(), "segments/")
	if err != nil || len(segments) > 20 {
		t.Errorf("%d segments after 45 nights, %v", len(segments), err)
	}
	if runs, err := w.writer().Runs(t.Context()); err != nil || len(runs) > 5 {
		t.Errorf("%d runs are left, %v", len(runs), err)
	}
}

// hooked is a storage that does something else just before one of its operations.
type hooked struct {
	storage.Storage
	before func(operation, name string)
}

func (h *hooked) Put(ctx context.Context, name string, data []byte) error {
	h.before("put", name)
	return h.Storage.Put(ctx, name, data)
}

func (h *hooked) PutNew(ctx context.Context, name string, data []byte) error {
	h.before("put", name)
	return h.Storage.PutNew(ctx, name, data)
}

func (h *hooked) Get(ctx context.Context, name string, limit int64) ([]byte, error) {
	h.before("get", name)
	return h.Storage.Get(ctx, name, limit)
}

func (h *hooked) ReadAt(ctx context.Context, name string, p []byte, off int64) error {
	h.before("get", name)
	return h.Storage.ReadAt(ctx, name, p, off)
}

func (h *hooked) Size(ctx context.Context, name string) (int64, error) {
	h.before("size", name)
	return h.Storage.Size(ctx, name)
}

func (h *hooked) List(ctx context.Context, prefix string) iter.Seq2[storage.Object, error] {
	h.before("list", prefix)
	return h.Storage.List(ctx, prefix)
}

func (h *hooked) Delete(ctx context.Context, name string) error {
	h.before("delete", name)
	return h.Storage.Delete(ctx, name)
}

// during runs do with a storage that runs meanwhile, once, before the n-th operation of a kind on names with a prefix.
func (w *world) during(operation, prefix string, n int, meanwhile func(), do func()) {
	w.t.Helper()
	inner := w.st
	var left atomic.Int64 // several goroutines make requests
	left.Store(int64(n))
	w.st = &hooked{inner, func(o, name string) {
		if o != operation || !strings.HasPrefix(name, prefix) || left.Add(-1) != 0 {
			return
		}
		outer := w.st
		w.st = inner
		meanwhile()
		w.st = outer
	}}
	do()
	w.st = inner
	if left.Load() > 0 {
		w.t.Fatalf("there was no %s of %s", operation, prefix)
	}
}

// second is another server in the same repository, on another host.
func (w *world) second() *world {
	other := newServer(w.t, w.st, w.keys)
	other.server = "other"
	other.rnd = w.rnd
	return other
}

// copyTo gives another server the same attachments.
func (w *world) copyTo(other *world) {
	for _, a := range w.list {
		other.addFile(w.files[a.UUID])
	}
}

// newPair returns a server of 42 attachments of which there is a snapshot, and which has lost some of them since, and another one that has all of
// them and no snapshot yet.
func newPair(t *testing.T, lost int) (w, other *world) {
	t.Helper()
	w = newWorld(t)
	w.add(2, 700_000)
	w.add(40, 1000)
	w.mustBackup()
	other = w.second()
	w.copyTo(other)
	for range lost {
		w.remove(0)
	}
	return w, other
}

// TestRunBetweenPrunesListings: a backup that begins before the roots are listed, and publishes and ends before the runs are listed for
// the note. It relies on what the mark lists, and no note names it: the next prune finds its root.
func TestRunBetweenPrunesListings(t *testing.T) {
	w, other := newPair(t, 20)
	w.mustBackup()
	var theirs state
	w.during("put", "marks/", 1, func() { other.st = w.st; theirs = other.state(other.mustBackup()) }, func() { w.mustPrune(1) })
	w.sound(2)
	other.verify(theirs)
	for range 2 {
		w.mustPrune(1)
		w.sound(2)
		other.verify(theirs)
	}
}

// TestCrashBetweenMarkAndNote: a mark without a note permits nothing until another prune has written the note, and backups do not
// rely on it.
func TestCrashBetweenMarkAndNote(t *testing.T) {
	w := newWorld(t)
	w.add(2, 700_000)
	w.add(40, 1000)
	w.mustBackup()
	gone := bytesOf(w, 0)
	w.remove(0)
	w.mustBackup()
	inner := w.st
	crashing := faulty.Wrap(inner)
	w.st = &hooked{crashing, func(operation, name string) {
		if operation == "put" && strings.HasSuffix(name, ".note") {
			crashing.FailChange(crashing.Changes(), faulty.CrashNotStored)
		}
	}}
	if _, err := w.prune(1); !errors.Is(err, faulty.ErrCrashed) {
		t.Fatalf("%v", err)
	}
	w.st = inner
	w.addFile(gone) // lies in a marked pack alone
	again := w.state(w.mustBackup())
	for range 3 {
		w.mustPrune(1)
		w.sound(1)
		w.verify(again)
	}
}

// TestCrashWhileSettling: packs that are deleted and still listed are no damage, and the next prune takes them out of the segments.
func TestCrashWhileSettling(t *testing.T) {
	w := newWorld(t)
	w.add(6, 700_000)
	w.mustBackup()
	for range 5 {
		w.remove(0)
	}
	kept := w.state(w.mustBackup())
	w.mustPrune(1)
	inner := w.st
	crashing := faulty.Wrap(inner)
	w.st = &hooked{crashing, func(operation, name string) {
		if operation == "put" && strings.HasPrefix(name, "segments/") {
			crashing.FailChange(crashing.Changes(), faulty.CrashNotStored)
		}
	}}
	if _, err := w.prune(1); !errors.Is(err, faulty.ErrCrashed) {
		t.Fatalf("%v", err)
	}
	w.st = inner
	w.sound(1)
	w.verify(kept)
	w.mustPrune(1)
	w.sound(1)
	w.verify(w.state(w.mustBackup()))
}

func bytesOf(w *world, i int) []byte { return slices.Clone(w.files[w.list[i].UUID]) }

// TestCrashAtEveryChangeOfPrune stops two prunes in a row, of which the second one settles, repacks and marks, before or after each of their
// changes: every snapshot that was not given up restores, and the prunes that follow finish the work.
func TestCrashAtEveryChangeOfPrune(t *testing.T) {
	keys := testKeys(t)
	for _, how := range []faulty.Fault{faulty.CrashNotStored, faulty.CrashStored} {
		crashes := 0
		for k := 0; ; k += crashStride() {
			w := newMemoryWorld(t, keys)
			w.add(3, 600_000)
			w.add(60, 900)
			w.mustBackup()
			for range 30 {
				w.remove(0)
			}
			w.mustBackup()
			for range 5 {
				w.remove(0)
			}
			kept := w.state(w.mustBackup())
			inner := w.st
			crashing := faulty.Wrap(inner)
			crashing.FailChange(k, how)
			w.st = crashing
			_, err := w.prune(2)
			if err == nil {
				_, err = w.prune(1)
			}
			if !crashing.Crashed() {
				if err != nil || crashes < 10/crashStride() {
					t.Fatalf("%d crashes, %v", crashes, err)
				}
				break
			}
			crashes++
			if !errors.Is(err, faulty.ErrCrashed) {
				t.Fatalf("crash %d is not reported: %v", k, err)
			}
			w.st = inner
			w.verify(kept)
			for range 3 {
				w.mustPrune(1)
				w.sound(1)
			}
			w.verify(kept)
			if s := w.mustPrune(1); s.Space.Waiting > 0 || s.Space.Deleted > 0 {
				t.Fatalf("crash %d: the fifth prune still finds something: %+v", k, s.Space)
			}
			w.verify(w.state(w.mustBackup()))
		}
	}
}

// TestEntriesOfMarkedPacksAreStoredAgain: a snapshot that was published while its packs were being marked is built upon before the mark
// is settled.
func TestEntriesOfMarkedPacksAreStoredAgain(t *testing.T) {
	w, other := newPair(t, 42)
	w.add(3, 500)
	w.mustBackup()
	w.during("put", "marks/", 1, func() { other.st = w.st; other.mustBackup() }, func() { w.mustPrune(1) })
	other.opened.Store(0)
	next := other.mustBackup() // its parent's blobs lie in marked packs
	if other.opened.Load() < 42 {
		t.Errorf("%d attachments were stored again", other.opened.Load())
	}
	if next.Counts.Attachments != 0 && len(next.Manifest.Layers) != 1 {
		t.Errorf("%d layers", len(next.Manifest.Layers))
	}
	built := other.state(next)
	for range 3 {
		w.mustPrune(1)
		w.sound(2)
		other.verify(built)
	}
}

// TestTwoPrunesAtOnce: the second one is kept out; where it takes over, the first one ends before it does anything more.
func TestTwoPrunesAtOnce(t *testing.T) {
	w := newWorld(t)
	w.add(2, 700_000)
	w.mustBackup()
	w.remove(0)
	kept := w.state(w.mustBackup())
	var locked error
	w.during("put", "marks/", 1, func() {
		_, locked = w.pruneWith(PruneOptions{Policy: Policy{Last: 1}, TakeOver: func(repo.PruneHolder) repo.Takeover { return repo.KeepOut }})
	}, func() { w.mustPrune(1) })
	if !errors.Is(locked, repo.ErrPruning) {
		t.Fatalf("the second prune: %v", locked)
	}
	w.sound(1)
	var first error
	w.during("delete", "packs/", 1, func() { w.mustPrune(1) }, func() { _, first = w.prune(1) })
	if !errors.Is(first, repo.ErrPruning) {
		t.Fatalf("the first prune: %v", first)
	}
	w.sound(1)
	w.verify(kept)
	w.mustPrune(1)
	w.sound(1)
	w.verify(w.state(w.mustBackup()))
}

// TestExpiredRunPublishesNothing: a host that is stopped before it publishes, given up, and goes on when prune has deleted what it
// relied on. What it had pending before would have been seen.
func TestExpiredRunPublishesNothing(t *testing.T) {
	for _, c := range []struct {
		name, operation, prefix string
		published               bool
	}{
		{"before it is pending", "put", "pending/", false},
		{"before it looks whether it was expired", "size", "runs/", false},
		{"before it counts", "put", "snapshots/", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, other := newPair(t, 20)
			w.mustBackup()
			var err error
			var root *Root
			other.during(c.operation, c.prefix, 1, func() {
				w.st = other.st
				if _, err := w.pruneWith(PruneOptions{Policy: Policy{Last: 1}, Expire: true}); err != nil {
					t.Fatal(err)
				}
				w.mustPrune(1)
				w.mustPrune(1)
			}, func() { root, err = other.backup() })
			switch {
			case c.published && err == nil:
				w.sound(2)
				other.verify(other.state(root))
			case !c.published && errors.Is(err, repo.ErrExpired):
				w.sound(1)
			default:
				t.Fatalf("%v", err)
			}
			other.verify(other.state(other.mustBackup()))
			for range 3 {
				w.mustPrune(2)
			}
			other.verify(other.state(other.mustBackup()))
		})
	}
}

// TestRunUnderWayIsWaitedFor: a backup relies on what nobody else needs any more, and three prunes come before it publishes.
func TestRunUnderWayIsWaitedFor(t *testing.T) {
	w, other := newPair(t, 30)
	w.mustBackup()
	var last *PruneSummary
	var root *Root
	other.during("put", "pending/", 1, func() {
		w.st = other.st
		for range 3 {
			last = w.mustPrune(1)
		}
	}, func() { root = other.mustBackup() })
	if last.Space.Deleted != 0 || last.Space.Waiting == 0 || len(last.Space.WaitingFor) != 1 {
		t.Errorf("the last prune meanwhile: %+v", last.Space)
	}
	for range 3 {
		w.sound(2)
		other.verify(other.state(root))
		w.mustPrune(1)
	}
}

// TestParentOfARunStays: the snapshot that a run under way builds on outlasts a policy that would remove it, and so do its packs.
func TestParentOfARunStays(t *testing.T) {
	w := newWorld(t)
	w.add(2, 700_000)
	w.add(40, 1000)
	old := w.mustBackup()
	reading, err := w.writer().BeginReading(t.Context(), repo.RunInfo{Kind: "restore", Parent: old.Name(), Started: now})
	if err != nil {
		t.Fatal(err)
	}
	before := w.state(old)
	for range 30 {
		w.remove(0)
	}
	w.mustBackup()
	for range 3 {
		if s := w.mustPrune(1); s.Removed != 0 {
			t.Fatalf("%+v", s)
		}
	}
	w.verify(before)
	if err := reading.End(t.Context(), now); err != nil {
		t.Fatal(err)
	}
	if s := w.mustPrune(1); s.Removed != 1 {
		t.Fatalf("%+v", s)
	}
	w.sound(1)
}

// TestClockGoesBack: a server whose clock was set back goes on from its last snapshot, and prune keeps that.
func TestClockGoesBack(t *testing.T) {
	w := newWorld(t)
	w.add(30, 500)
	w.nights = 100
	w.mustBackup()
	w.nights = 10
	w.remove(0)
	last := w.state(w.mustBackup())
	w.mustPrune(1)
	w.mustPrune(1)
	w.sound(2) // the newest by its time, and the last one
	w.verify(last)
	next := w.mustBackup()
	if next.Parent != last.root.Name() || next.Counter != 3 {
		t.Errorf("snapshot %d builds on %s", next.Counter, next.Parent)
	}
}

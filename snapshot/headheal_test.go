package snapshot

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/orthokeep/orthokeep/repo"
	"github.com/orthokeep/orthokeep/repo/storage/faulty"
)

// headsInDanger leaves two nights of a server all of whose attachments are heads, with every pack of content damaged and in quarantine.
func headsInDanger(tr *trial) error {
	tr.add(30, 20_000)
	err := errors.Join(tr.initOnce(), tr.night(0, 0), tr.night(8, 0))
	return errors.Join(err, tr.spoil("packs/", func(data []byte) []byte {
		if data[5] == byte(repo.Content) {
			data[100] ^= 8
		}
		return data
	}), tr.repairOnce(false))
}

// flakyArea is the storage area of a server one request to which, an Open or a ReadAt, comes out otherwise.
type flakyArea struct {
	*world
	mu     sync.Mutex
	left   int
	open   error // of an Open
	read   error // of a ReadAt
	shrunk bool  // the file is empty
}

// turn says whether this request is the one.
func (a *flakyArea) turn() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.left--
	return a.left == -1
}

// gone says whether the request has come to pass.
func (a *flakyArea) gone() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.left < 0
}

func (a *flakyArea) Open(u UUID) (File, error) {
	if a.open != nil && a.turn() {
		return nil, a.open
	}
	f, err := a.world.Open(u)
	if err == nil && a.shrunk && a.turn() {
		return memFile{bytes.NewReader(nil)}, nil
	}
	if err != nil {
		return nil, err
	}
	return flakyFile{f, a}, nil
}

type flakyFile struct {
	File
	a *flakyArea
}

func (f flakyFile) ReadAt(p []byte, off int64) (int, error) {
	if f.a.read != nil && f.a.turn() {
		return 0, f.a.read
	}
	return f.File.ReadAt(p, off)
}

// restorable counts the snapshots whose attachments all restore; of the others some have to be named as damaged.
func (tr *trial) restorable() (n int, err error) {
	r := tr.reader()
	defer r.Close()
	for _, s := range tr.must {
		dir := memoryDir(tr.t)
		res, restoreErr := RestoreAttachments(tr.t.Context(), r, s.root, Destination{Dir: dir, Place: UUID.String, Mode: 0o600}, NoProgress{})
		switch {
		case restoreErr == nil:
			n++
		case !isDamage(restoreErr) || res.DamagedAll == 0:
			err = errors.Join(err, restoreErr)
		}
		for u, want := range s.files {
			got, readErr := os.ReadFile(filepath.Join(dir, u.String()))
			if readErr == nil && !bytes.Equal(got, want) || readErr != nil && restoreErr == nil {
				err = errors.Join(err, fmt.Errorf("attachment %s differs (%v)", u, readErr))
			}
		}
	}
	return n, err
}

// TestHealHeads: the next backup makes snapshots whole again whose heads were in danger.
func TestHealHeads(t *testing.T) {
	base, disk, err := prepared(t, operation{prepare: headsInDanger}, testKeys(t))
	if err != nil {
		t.Fatal(err)
	}
	tr := base.on(t, durable(t, disk))
	defer tr.discard()
	if n, err := tr.restorable(); n > 0 || err != nil {
		t.Fatalf("%d snapshots restore before, %v", n, err)
	}
	if err := tr.night(3, 0); err != nil {
		t.Fatal(err)
	}
	if n, err := tr.restorable(); n != 3 || err != nil {
		t.Errorf("%d of 3 snapshots restore, %v", n, err)
	}
}

// TestHealHeadsFromAnArea that fails at each request: it is reported, and nothing is published; or that has lost an attachment, or a part of it: then
// what it was in stays damaged, and says so, and all else is whole.
func TestHealHeadsFromAnArea(t *testing.T) {
	base, disk, err := prepared(t, operation{prepare: headsInDanger}, testKeys(t))
	if err != nil {
		t.Fatal(err)
	}
	for name, a := range map[string]*flakyArea{
		"cannot be opened": {open: errDisk}, "cannot be read": {read: errDisk}, "is gone": {open: fmt.Errorf("%w", ErrVanished)}, "is shorter": {shrunk: true},
	} {
		failed := 0
		for k := 0; ; k += 1 + 4*faultStride() {
			tr := base.on(t, durable(t, disk))
			area := &flakyArea{world: tr.world, left: k, open: a.open, read: a.read, shrunk: a.shrunk}
			tr.area = area
			err := tr.night(1, 0)
			tr.area = nil
			if err != nil {
				failed++
				if !errors.Is(err, errDisk) && !errors.Is(err, ErrInconsistent) {
					t.Errorf("request %d, an attachment %s: %v", k, name, err)
				}
				if roots, err := Roots(t.Context(), tr.writer()); err != nil || len(roots) != 2 {
					t.Errorf("request %d, an attachment %s: %d snapshots, %v", k, name, len(roots), err)
				}
				if err := tr.snapshot(); err != nil {
					t.Fatalf("request %d, an attachment %s, the next backup: %v", k, name, err)
				}
			}
			n, restoreErr := tr.restorable()
			whole := err == nil && !area.gone() || err != nil && errors.Is(err, errDisk)
			if restoreErr != nil || n == 0 || whole && n != 3 {
				t.Errorf("request %d, an attachment %s (%v): %d of 3 snapshots restore, %v", k, name, err, n, restoreErr)
			}
			tr.verify(tr.must[len(tr.must)-1])
			tr.discard()
			if !area.gone() {
				break
			}
		}
		if failed == 0 && (a.open == errDisk || a.read != nil) {
			t.Errorf("an attachment %s: no backup failed", name)
		}
	}
}

// TestHealHeadsOnAFailingStorage lets each request of a backup that heals fail once. It says so, or takes a snapshot; what was whole stays so, and the
// next backup makes whole what is left.
func TestHealHeadsOnAFailingStorage(t *testing.T) {
	base, disk, err := prepared(t, operation{prepare: headsInDanger}, testKeys(t))
	if err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]struct {
		at    func(*faulty.Storage, int, faulty.Fault)
		count func(*faulty.Storage) int
	}{"change": {(*faulty.Storage).FailChange, (*faulty.Storage).Changes}, "read": {(*faulty.Storage).FailRead, (*faulty.Storage).Reads}} {
		for k := 0; ; k += faultStride() {
			tr := base.on(t, durable(t, disk))
			st := faulty.Wrap(tr.st)
			f.at(st, k, faulty.NotStored)
			inner := tr.st
			tr.st = st
			err := tr.night(1, 0)
			reached := f.count(st) > k
			tr.st = inner
			if err != nil && (!reached || !errors.Is(err, faulty.ErrFailed)) {
				t.Errorf("%s %d: %v", name, k, err)
			}
			if err := tr.snapshot(); err != nil {
				t.Fatalf("%s %d, the next backup: %v", name, k, err)
			}
			if n, restoreErr := tr.restorable(); restoreErr != nil || n != len(tr.must) {
				t.Errorf("%s %d (%v): %d of %d snapshots restore, %v", name, k, err, n, len(tr.must), restoreErr)
			}
			tr.discard()
			if !reached {
				break
			}
		}
	}
}

// TestHealHeadsOutOfBounds: a head that lies outside of its chunks heals nothing.
func TestHealHeadsOutOfBounds(t *testing.T) {
	w := newMemoryWorld(t, testKeys(t))
	w.add(1, 900)
	s, _ := w.session(w.st)
	s.carry.doubtful = func(repo.ID) bool { return true }
	h := headHealer{s: s, area: w, heads: []headRef{{repo.ID{1}, 5}}, chunks: map[uint64]*rebuiltChunk{}}
	e := Entry{UUID: w.list[0].UUID, Size: 10, headLength: 10, headOffset: 7}
	if err := h.take(t.Context(), &e); !errors.Is(err, repo.ErrCorrupt) {
		t.Errorf("it says %v", err)
	}
	if n := s.run.BytesPut(); n > 0 {
		t.Errorf("%d bytes were stored", n)
	}
}

package snapshot

import (
	"bytes"
	"context"
	"errors"
	"io"
	"iter"
	"math"
	"slices"
	"testing"

	"github.com/orthokeep/orthokeep/chunk/dicomtest"
	"github.com/orthokeep/orthokeep/repo"
	"github.com/orthokeep/orthokeep/repo/storage"
	"github.com/orthokeep/orthokeep/repo/storage/faulty"
)

// failedSession begins a backup a pack of which could not be written.
func (w *world) failedSession() (*Session, *Journal) {
	w.t.Helper()
	st := faulty.Wrap(w.st)
	s, j := w.session(st)
	st.FailChange(st.Changes()+2, faulty.Full) // epoch, epoch, pack
	if _, _, err := s.StoreContent(w.t.Context(), bytes.NewReader([]byte("something new"))); err != nil {
		w.t.Fatal(err)
	}
	if _, err := s.contents.finish(); err != nil {
		w.t.Fatal(err)
	}
	s.contents = nil
	if err := s.run.Checkpoint(w.t.Context()); !errors.Is(err, storage.ErrNoSpace) {
		w.t.Fatalf("the pack was written: %v", err)
	}
	return s, j
}

// goesOnAfter ends a session that failed, and sees that nothing was published, that what was still restores, and that the next backup succeeds.
func (w *world) goesOnAfter(s *Session, j *Journal, before state) {
	w.t.Helper()
	_ = s.End(w.t.Context(), false, now) // the next one ends it
	if err := j.Close(); err != nil {
		w.t.Fatal(err)
	}
	roots, err := Roots(w.t.Context(), w.writer())
	if err != nil || len(roots) != 1 {
		w.t.Errorf("%d snapshots, %v", len(roots), err)
	}
	w.verify(before)
	w.verify(w.state(w.mustBackup()))
}

// TestLongManifestThatCannotBeStored: the lists of a manifest are so long that they are stored while they are made, and that fails: in the list of
// head chunks, and in that of entries.
func TestLongManifestThatCannotBeStored(t *testing.T) {
	for name, fill := range map[string]func(*world, *Journal) (iter.Seq2[Attachment, error], error){
		"heads": func(w *world, j *Journal) (iter.Seq2[Attachment, error], error) {
			heads := make([]headRef, 25_000)
			for i := range heads {
				heads[i] = headRef{repo.ID{byte(i), byte(i >> 8)}, 5}
			}
			return w.attachments(), j.commit(heads, nil)
		},
		"entries": func(w *world, j *Journal) (iter.Seq2[Attachment, error], error) {
			var known bulkRef
			for e, err := range w.state(w.parent()).root.Manifest.entries(t.Context(), w.writer()) {
				if err != nil {
					return nil, err
				}
				if len(e.bulk) > 0 {
					known = e.bulk[0]
				}
			}
			var list []Attachment
			var entries []Entry
			for n := range 1500 {
				e := Entry{UUID: UUID{1, byte(n), byte(n >> 8)}, Size: 30 * known.length}
				for range 30 {
					e.bulk = append(e.bulk, known)
				}
				entries = append(entries, e)
				list = append(list, Attachment{ID: int64(1000 + n), FileType: 1, UUID: e.UUID, Size: e.Size})
			}
			return withoutError(slices.Values(list)), j.commit(nil, entries)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newMemoryWorld(t, testKeys(t))
			w.add(3, 900)
			w.add(1, 200_000)
			before := w.state(w.mustBackup())
			s, j := w.failedSession()
			list, err := fill(w, j)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.StoreManifest(t.Context(), list, Difference{New: 1500}); !errors.Is(err, storage.ErrNoSpace) {
				t.Errorf("it says %v", err)
			}
			w.goesOnAfter(s, j, before)
		})
	}
}

// parent is the newest snapshot.
func (w *world) parent() *Root {
	w.t.Helper()
	roots, err := Roots(w.t.Context(), w.writer())
	if err != nil || len(roots) == 0 {
		w.t.Fatal(err)
	}
	return roots[len(roots)-1]
}

// TestLastBlockThatCannotBeStored: the block that is written when a layer ends is longer than what a stream holds in memory.
func TestLastBlockThatCannotBeStored(t *testing.T) {
	pol := testKeys(t).Writer.Polynomial
	for k := range 4 {
		w := newLayerWriter(t.Context(), &failingPutter{left: k}, pol)
		for id := range int64(420) {
			if err := w.write(&Entry{Key: Key{id + 1, 1}, Size: 60, bulk: make([]bulkRef, 60)}); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := w.finish(); !errors.Is(err, errDisk) {
			t.Errorf("blob %d: %v", k, err)
		}
	}
}

// TestManyAttachmentsThatCannotBeStored: more heads than are held in memory, and more small files than are read at a time: what is stored fails
// while there is more to be read.
func TestManyAttachmentsThatCannotBeStored(t *testing.T) {
	for name, add := range map[string]func(*world){
		"heads": func(w *world) { w.add(220, 40_000) },
		"files": func(w *world) { w.add(16, 1_200_000) },
	} {
		w := newMemoryWorld(t, testKeys(t))
		w.add(3, 900)
		before := w.state(w.mustBackup())
		add(w)
		st := faulty.Wrap(w.st)
		s, j := w.session(st)
		st.Always(faulty.Full, true)
		if _, err := s.Store(t.Context(), w, s.Missing(t.Context(), w.attachments(), new(Difference))); !errors.Is(err, storage.ErrNoSpace) {
			t.Errorf("%s: %v", name, err)
		}
		if len(j.heads()) > 0 || j.state.End > 0 {
			t.Errorf("%s: what could not be stored is noted", name)
		}
		w.goesOnAfter(s, j, before)
	}
}

// headless is a large file that can be looked at, and not read from its beginning.
type headless struct{ File }

func (headless) Read([]byte) (int, error) { return 0, errDisk }

type headlessArea struct{ *world }

func (a headlessArea) Open(u UUID) (File, error) {
	f, err := a.world.Open(u)
	return headless{f}, err
}

// TestLargeHeadThatCannotBeRead: the header of a large DICOM file fails when it is read, after it was looked at.
func TestLargeHeadThatCannotBeRead(t *testing.T) {
	w := newMemoryWorld(t, testKeys(t))
	w.add(1, 900)
	before := w.state(w.mustBackup())
	for i := range dicomtest.Study(dicomtest.Config{Kind: dicomtest.MultiCT}) {
		w.addFile(i.Data)
	}
	large := w.list[len(w.list)-1]
	head, _ := boundary(bytes.NewReader(w.files[large.UUID]), large.Size)
	if large.Size <= wholeFile || head == 0 {
		t.Fatalf("a file of %d bytes with a head of %d", large.Size, head)
	}
	s, j := w.session(w.st)
	one := func(yield func(UUID, error) bool) { yield(large.UUID, nil) }
	if _, err := s.Store(t.Context(), headlessArea{w}, one); !errors.Is(err, errDisk) {
		t.Errorf("it says %v", err)
	}
	w.goesOnAfter(s, j, before)
}

// TestParentWhoseListIsTooShort: entries of the parent have heads in chunks that its list has not, of which a hostile writer may have sealed
// another one. A backup that writes a new base says so, and publishes nothing.
func TestParentWhoseListIsTooShort(t *testing.T) {
	for name, added := range map[string]int{"renewed since it is due": 13, "renewed since it would be due": 5} {
		t.Run(name, func(t *testing.T) {
			st, err := storage.CreateOn(faulty.NewFS(), "/repo")
			if err != nil {
				t.Fatal(err)
			}
			tr := newTrial(t, st, testKeys(t))
			tr.add(30, 900)
			if err := errors.Join(tr.initOnce(), tr.night(0, 0), tr.night(added, 0)); err != nil {
				t.Fatal(err)
			}
			r := tr.reader()
			defer r.Close()
			root := tr.tampered(r, listHeads, func([]byte) []byte { return nil })
			if root.Counter != tr.must[1].root.Counter+1 || len(root.Manifest.Layers) != 2 {
				t.Fatalf("root %d has %d layers", root.Counter, len(root.Manifest.Layers))
			}
			tr.cache = memoryDir(t)
			if err := tr.night(20, 0); !errors.Is(err, repo.ErrCorrupt) {
				t.Errorf("it says %v", err)
			}
			if roots, err := Roots(t.Context(), tr.writer()); err != nil || len(roots) != 3 {
				t.Errorf("%d snapshots, %v", len(roots), err)
			}
			for _, s := range tr.must {
				tr.verify(s)
			}
		})
	}
}

// TestRootsThatCannotBeWritten: a root that could not be read again is not published.
func TestRootsThatCannotBeWritten(t *testing.T) {
	for name, c := range map[string]struct {
		root Root
		want error
	}{
		"a count below zero": {Root{Time: now, Counts: Counts{Patients: -1}}, repo.ErrCorrupt},
		"too many bytes":     {Root{Time: now, Counts: Counts{Bytes: maxBytes + 1}}, repo.ErrCorrupt},
		"endless seconds":    {Root{Time: now, Window: Window{Seconds: math.Inf(1)}}, nil},
	} {
		w := newMemoryWorld(t, testKeys(t))
		w.add(3, 900)
		before := w.state(w.mustBackup())
		s, j := w.session(w.st)
		if err := s.Publish(t.Context(), &c.root); err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
		w.goesOnAfter(s, j, before)
	}
}

// TestOrderedEndsWithTake: the first result that is not taken ends all.
func TestOrderedEndsWithTake(t *testing.T) {
	taken := 0
	work := func(_ context.Context, n int) (int, error) { return n, nil }
	err := ordered(t.Context(), 3, 3, withoutError(slices.Values(make([]int, 1000))), work, func(int) error {
		if taken++; taken == 5 {
			return io.ErrClosedPipe
		}
		return nil
	})
	if !errors.Is(err, io.ErrClosedPipe) || taken != 5 {
		t.Errorf("%d taken, %v", taken, err)
	}
}

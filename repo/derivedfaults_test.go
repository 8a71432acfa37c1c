package repo

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/orthokeep/orthokeep/repo/storage/faulty"
)

// toCommit is a repository whose catalogue has a new segment, in a volume, that index.bolt does not say yet.
func toCommit(t *testing.T) (w *world, r *Repository, segment string) {
	t.Helper()
	w = newWorld(t, 51)
	nights(w, 2)
	r = w.open(w.cache)
	packs := append(w.packs(1, 9), w.pack(5, w.epoch()))
	segment = w.segment(packs)
	r.blobs.change(func(c *collection) { c.add(segment, packs, nil); c.spill() })
	if c := r.blobs.c; c.recent.blobs() > 0 || !c.isChanged() || c.newEpochs == 0 {
		t.Fatal("there is nothing to be committed")
	}
	return w, r, segment
}

// TestCommitToADamagedIndex: index.bolt was damaged since it was read. It is not said to be committed, nothing of it is half done, and it is
// built anew.
func TestCommitToADamagedIndex(t *testing.T) {
	nested := func(bucket, name []byte) func(*bolt.Tx) error {
		return func(tx *bolt.Tx) error { return second(tx.Bucket(bucket).CreateBucket(name)) }
	}
	for name, c := range map[string]struct {
		damage func(c *collection, segment string) func(*bolt.Tx) error
		want   error
	}{
		"its state": {func(*collection, string) func(*bolt.Tx) error {
			return func(tx *bolt.Tx) error { return tx.Bucket(bucketMeta).Put(keyState, []byte("junk")) }
		}, errDerived},
		"another commit": {func(c *collection, _ string) func(*bolt.Tx) error {
			return func(tx *bolt.Tx) error {
				return second((&catalogue{"", repositoryOf(tx)}).put(tx, newCollection(""), 0, 7))
			}
		}, errConflict},
		"a segment that is a bucket": {func(_ *collection, segment string) func(*bolt.Tx) error {
			return nested(bucketSegments, []byte(segment))
		}, bolterrors.ErrIncompatibleValue},
		"an epoch that is a bucket": {func(c *collection, _ string) func(*bolt.Tx) error {
			return nested(bucketEpochs, epochKey(len(c.epochIDs)-1))
		}, bolterrors.ErrIncompatibleValue},
		"a volume that is a bucket": {func(c *collection, _ string) func(*bolt.Tx) error {
			return nested(bucketVolumes, []byte(c.volumes[len(c.volumes)-1].name()))
		}, bolterrors.ErrIncompatibleValue},
		"a merged volume that is a bucket": {func(*collection, string) func(*bolt.Tx) error {
			return nested(bucketVolumes, []byte("volume-x"))
		}, bolterrors.ErrIncompatibleValue},
	} {
		t.Run(name, func(t *testing.T) {
			w, r, segment := toCommit(t)
			db, err := bolt.Open(filepath.Join(w.cache, catalogueName), 0o600, nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(db.Update(c.damage(r.blobs.c, segment)), db.Close()); err != nil {
				t.Fatal(err)
			}
			before := w.read(r.cat.path())
			if err := r.cat.commit(r.blobs.c); !errors.Is(err, c.want) {
				t.Errorf("it is committed: %v", err)
			}
			if !r.blobs.c.isChanged() {
				t.Error("the segment is said to be committed")
			}
			if !bytes.Equal(before, w.read(r.cat.path())) {
				t.Error("a part of it is written")
			}
			if err := r.Refresh(t.Context()); err != nil {
				t.Fatal(err)
			}
			w.verify(r)
			again := w.open(w.cache)
			w.verify(again)
			if again.blobs.c.isChanged() {
				t.Error("it is never committed again")
			}
		})
	}
}

// repositoryOf is the repository that an index.bolt says it is of.
func repositoryOf(tx *bolt.Tx) string { return string(tx.Bucket(bucketMeta).Get(keyState)[:32]) }

// TestIndexThatCannotBeOpened: something else is in the place of index.bolt, or of a volume, that may not even be deleted. All answers are right.
func TestIndexThatCannotBeOpened(t *testing.T) {
	for name, replace := range map[string]func(path string) error{
		"a folder":              func(path string) error { return os.Mkdir(path, 0o700) },
		"a folder with a file":  func(path string) error { return os.MkdirAll(filepath.Join(path, "file"), 0o700) },
		"a link to itself":      func(path string) error { return os.Symlink(path, path) },
		"a link to what is not": func(path string) error { return os.Symlink(path+"-not", path) },
	} {
		for _, volume := range []bool{false, true} {
			w, r, _ := toCommit(t)
			paths := []string{r.cat.path()}
			if volume {
				paths = w.volumes()
			}
			for _, path := range paths {
				if err := os.Remove(path); err != nil {
					t.Fatal(err)
				}
				if err := replace(path); err != nil {
					t.Skip("no links here:", err)
				}
			}
			if err := r.Refresh(t.Context()); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			w.verify(r)
			w.verify(w.open(w.cache))
		}
	}
}

// TestNoPlaceForVolumes: where no file can be made at all, everything stays in memory, and is found.
func TestNoPlaceForVolumes(t *testing.T) {
	w := newWorld(t, 52)
	nights(w, 3)
	r := w.open("")
	t.Setenv("TMPDIR", filepath.Join(w.cache, "not", "there"))
	t.Setenv("TMP", filepath.Join(w.cache, "not", "there"))
	if _, err := writeVolume("", []source{r.blobs.c.recent}, nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a volume without a place: %v", err)
	}
	blobs := r.blobs.c.recent.blobs()
	r.blobs.change((*collection).spill)
	if c := r.blobs.c; c.recent.blobs() != blobs || len(c.volumes) != 0 || c.broken != nil {
		t.Errorf("%d of %d blobs in memory, %d volumes, %v", c.recent.blobs(), blobs, len(c.volumes), c.broken)
	}
	w.verify(r)
}

// TestLookAtADamagedCatalogue: how well a blob is kept is right though the volume does not say in which pack it lies, or there is an error.
func TestLookAtADamagedCatalogue(t *testing.T) {
	w := newWorld(t, 53)
	nights(w, 2)
	damaged := w.pack(3)
	w.segment([]packRecord{damaged})
	if err := w.writer.putQuarantine(t.Context(), quarantine{packs: map[packID]bool{damaged.id: true}}, at); err != nil {
		t.Fatal(err)
	}
	kept := damaged.table.entry(0).id
	w.open(w.cache).Close()
	files := w.files()
	for _, fails := range []bool{false, true} {
		w.reset(files)
		r := w.open(w.cache)
		for _, path := range w.volumes() {
			if err := writeAt(path, make([]byte, packCellSize), 0); err != nil {
				t.Fatal(err)
			}
		}
		if fails {
			st := faulty.Wrap(w.st)
			st.FailRead(0, faulty.NotStored)
			r.st = st
		}
		want := ErrCorrupt
		if fails {
			want = faulty.ErrFailed
		}
		if _, err := r.Look(t.Context(), Structure, kept); !errors.Is(err, want) {
			t.Errorf("a blob in a damaged pack alone: %v", err)
		}
		r.st = w.st
		if _, err := r.Look(t.Context(), Structure, kept); !errors.Is(err, ErrCorrupt) {
			t.Errorf("once more: %v", err)
		}
	}
}

// TestEntryOfNoPack: an entry in memory that belongs to no pack is damage of the catalogue, which is built anew.
func TestEntryOfNoPack(t *testing.T) {
	w := newWorld(t, 54)
	w.segment(w.packs(3, 20))
	r := w.open("")
	binary.LittleEndian.PutUint32(r.blobs.c.recent.entries[32:], 1000)
	if err := r.blobs.walk(blobsInto{&needed{}}); !errors.Is(err, errDerived) {
		t.Errorf("it is passed over: %v", err)
	}
	w.verifyStats(r)
	w.verify(r)
}

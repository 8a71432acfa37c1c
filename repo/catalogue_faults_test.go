package repo

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// TestVolumesThatShrink: an open volume is cut off below its readers, or has junk in it. Whatever is asked of it, lookups, walks, merges, the answer
// is right: the catalogue is built anew. So it is when they are mapped, where a page that is gone is a signal.
func TestVolumesThatShrink(t *testing.T) {
	junk := bytes.Repeat([]byte{0xA5}, 64)
	for name, spoil := range map[string]func(path string, size int64) error{
		"all of it":     func(path string, _ int64) error { return os.Truncate(path, 0) },
		"a third":       func(path string, size int64) error { return os.Truncate(path, size*2/3) },
		"the last page": func(path string, size int64) error { return os.Truncate(path, size-100) },
		"a pack":        func(path string, _ int64) error { return writeAt(path, junk, 8) },
		"a filter":      func(path string, size int64) error { return writeAt(path, junk, filterPageSize+70) },
		"an entry":      func(path string, size int64) error { return writeAt(path, junk, size-pageSize+200) },
	} {
		for ask, question := range map[string]func(*world, *Repository){
			"lookups": func(w *world, r *Repository) { w.verify(r) },
			"stats":   func(w *world, r *Repository) { w.verifyStats(r) },
			"merge": func(w *world, r *Repository) {
				for range 6 { // merges come with new segments
					w.segment(w.packs(3, 60))
					if err := r.Refresh(w.t.Context()); err != nil {
						w.t.Fatal(err)
					}
				}
				w.verify(r)
			},
			"use": func(w *world, r *Repository) {
				n := &needed{}
				packs := map[packID]bool{}
				for p, e := range w.copies() {
					n.add(e.id)
					packs[p.id] = true
				}
				u, err := r.use(w.t.Context(), n, nil, func(int, uint32) {})
				if err != nil {
					w.t.Fatal(err)
				}
				if len(u.packs) != len(packs) {
					w.t.Fatalf("%d packs instead of %d", len(u.packs), len(packs))
				}
			},
			"own": func(w *world, r *Repository) {
				if _, err := r.OwnBytes(w.t.Context(), 1, func(owns func(ID, int)) error { owns(w.ids[0], 0); return nil }); err != nil {
					w.t.Fatal(err)
				}
			},
		} {
			shrinks := func(t *testing.T, isMapped bool) {
				w := newWorld(t, 31)
				nights(w, 5)
				r := w.open(w.cache)
				if isMapped {
					w.verify(r)
				}
				for _, v := range r.blobs.c.volumes {
					if isMapped != (v.random.mapping.Load() != nil) && mapsFiles && v.random.size > mapAfter {
						t.Fatalf("of the %d bytes of %s it is wrong that they are mapped, or not", v.random.size, v.name())
					}
				}
				for _, path := range w.volumes() {
					info, err := os.Stat(path)
					if err != nil {
						t.Fatal(err)
					}
					if err := spoil(path, info.Size()); err != nil {
						t.Fatal(err)
					}
				}
				question(w, r)
			}
			t.Run(name+"/"+ask, func(t *testing.T) { shrinks(t, false) })
			t.Run(name+"/"+ask+", mapped", func(t *testing.T) { shrinks(t, true) })
		}
	}
}

func writeAt(path string, b []byte, at int64) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(b, at)
	return errors.Join(err, f.Close())
}

// TestUnwritableVolume: a disk that takes nothing, found at whichever write, leaves what is recent in memory, and found.
func TestUnwritableVolume(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_RDWR, 0)
	if err != nil {
		t.Skip("no /dev/full here")
	}
	defer full.Close()
	w := newWorld(t, 32)
	recent := &recent{}
	for range 400 {
		recent.add(w.pack(40), 1, nil)
	}
	m := &merge{file: full}
	if err := m.run([]source{recent}); err == nil {
		t.Error("a merge to a full disk ends well")
	}
	few := newRecentOf(w.pack(3))
	if err := (&merge{file: full}).run([]source{few}); err == nil {
		t.Error("a small merge to a full disk ends well")
	}
	dir := w.folder()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := writeVolume(file, []source{few}, nil); err == nil {
		t.Error("a volume below a file")
	}
	for k := range 40 {
		out := &shortWriter{left: k}
		pages := pageWriter{out: out, homes: 3}
		err := func() error {
			for i := range uint64(200) {
				e := entry{id: ID{}, sealed: 30}
				binary.BigEndian.PutUint64(e.id[:], i<<56)
				if err := pages.add(i<<56, e.appendTo(nil), 0); err != nil {
					return err
				}
			}
			_, err := pages.close()
			return err
		}()
		if out.failed != (err != nil) {
			t.Errorf("pages, write %d: %v", k, err)
		}
		out = &shortWriter{left: k}
		f := filterWriter{out: out, pages: 5}
		err = func() error {
			for i := range uint64(256) {
				if err := f.add(i << 56); err != nil {
					return err
				}
			}
			return f.close()
		}()
		if out.failed != (err != nil) {
			t.Errorf("filter, write %d: %v", k, err)
		}
	}
}

func newRecentOf(packs ...packRecord) *recent {
	r := &recent{}
	for _, p := range packs {
		r.add(p, 1, nil)
	}
	return r
}

// shortWriter takes some writes, and then none.
type shortWriter struct {
	left   int
	failed bool
}

func (w *shortWriter) Write(p []byte) (int, error) {
	if w.left--; w.left < 0 {
		w.failed = true
		return 0, io.ErrShortWrite
	}
	return len(p), nil
}

// TestDamagedSources: entries of packs that are not there, more or fewer of them than was said, make no volume.
func TestDamagedSources(t *testing.T) {
	w := newWorld(t, 33)
	good := func() *recent { return newRecentOf(w.pack(4), w.pack(2)) }
	for name, spoil := range map[string]func(*recent){
		"a pack beyond the last": func(r *recent) { binary.LittleEndian.PutUint32(r.entries[32:], 9) },
		"fewer entries":          func(r *recent) { r.index[slicesIndex(r.index)] = 0 },
		"half a pack": func(r *recent) {
			r.packs = r.packs[:packCellSize+3]
			r.packs = r.packs[: 2*packCellSize : 2*packCellSize]
			r.packs[packCellSize+40] ^= 1
		},
	} {
		r := good()
		spoil(r)
		if v, err := writeVolume(w.folder(), []source{r}, nil); !errors.Is(err, errDerived) {
			t.Errorf("%s: %v, %v", name, v, err)
		}
	}
	if _, err := good().pack(7); !errors.Is(err, errDerived) {
		t.Errorf("a pack beyond the last: %v", err)
	}
	v, err := writeVolume(w.folder(), []source{good()}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer v.release()
	if _, err := v.pack(7); !errors.Is(err, errDerived) {
		t.Errorf("a pack beyond the last: %v", err)
	}
	var m manifest
	if _, err := m.epochID(1); !errors.Is(err, errDerived) {
		t.Errorf("an epoch beyond the last: %v", err)
	}
}

func slicesIndex(index []uint32) int {
	for i, n := range index {
		if n != 0 {
			return i
		}
	}
	return 0
}

// TestHostileCatalogue: index.bolt, whole as a file, says what is not so. It is built anew, and right.
func TestHostileCatalogue(t *testing.T) {
	for name, change := range map[string]func(tx *bolt.Tx) error{
		"an epoch out of order": func(tx *bolt.Tx) error { return tx.Bucket(bucketEpochs).Put([]byte{9, 9, 9, 9}, make([]byte, 16)) },
		"a short epoch":         func(tx *bolt.Tx) error { return tx.Bucket(bucketEpochs).Put([]byte{0}, nil) },
		"a segment's state":     func(tx *bolt.Tx) error { return tx.Bucket(bucketSegments).Put([]byte("x"), []byte{1}) },
		"another segment": func(tx *bolt.Tx) error {
			return tx.Bucket(bucketSegments).Put([]byte("segments/x"), segmentState{9, true, false, 3}.marshal())
		},
		"a volume's name": func(tx *bolt.Tx) error {
			return tx.Bucket(bucketVolumes).Put([]byte("volume-zz"), shape{packs: 1, blobs: 1, filterPages: filterPages(1), homes: homesFor(1), pages: homesFor(1)}.marshal())
		},
		"a volume that is missing": func(tx *bolt.Tx) error {
			return tx.Bucket(bucketVolumes).Put([]byte(volumePrefix+"0123456789abcdef"), shape{packs: 1, blobs: 1, filterPages: filterPages(1), homes: homesFor(1), pages: homesFor(1)}.marshal())
		},
		"a volume's shape": func(tx *bolt.Tx) error {
			return tx.Bucket(bucketVolumes).Put([]byte(volumePrefix+"0123456789abcdef"), []byte{1})
		},
		"no segments":   func(tx *bolt.Tx) error { return tx.DeleteBucket(bucketSegments) },
		"no epochs":     func(tx *bolt.Tx) error { return tx.DeleteBucket(bucketEpochs) },
		"no volumes":    func(tx *bolt.Tx) error { return tx.DeleteBucket(bucketVolumes) },
		"no state":      func(tx *bolt.Tx) error { return tx.DeleteBucket(bucketMeta) },
		"a short state": func(tx *bolt.Tx) error { return tx.Bucket(bucketMeta).Put(keyState, []byte{1}) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 34)
			nights(w, 3)
			db, err := bolt.Open(filepath.Join(w.cache, catalogueName), 0o600, nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(db.Update(change), db.Close()); err != nil {
				t.Fatal(err)
			}
			r := w.open(w.cache)
			w.verify(r)
			again := w.open(w.cache)
			w.verify(again)
		})
	}
}

// TestCommitThatFails: where index.bolt cannot be written the run goes on without, and nothing is wrong.
func TestCommitThatFails(t *testing.T) {
	w := newWorld(t, 35)
	nights(w, 2)
	c := newCollection(w.cache)
	c.add("segments/y", []packRecord{w.pack(3, w.epoch())}, nil)
	db, err := bolt.Open(filepath.Join(w.folder(), "x"), 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	cat := &catalogue{w.cache, w.keys.Writer.Repository}
	if err := db.Update(func(tx *bolt.Tx) error { return second(cat.put(tx, newCollection(w.cache), 0, 1)) }); err != nil {
		t.Fatal(err)
	}
	if err := db.View(func(tx *bolt.Tx) error { return second(cat.put(tx, c, 0, 1)) }); !errors.Is(err, bolterrors.ErrTxNotWritable) && !errors.Is(err, bolterrors.ErrBucketExists) {
		t.Errorf("a catalogue that cannot be written: %v", err)
	}
	if err := cat.commit(c); err == nil { // another generation
		t.Error("a commit over another one")
	}
	gone := &catalogue{filepath.Join(w.cache, catalogueName, "below a file"), ""}
	if err := gone.commit(c); err == nil {
		t.Error("a commit below a file")
	}
	r := w.open("")
	r.cat = gone
	w.segment(w.packs(2, 9))
	if err := r.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.verify(r)
}

package repo

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"
)

// nights stores segments, of which one supersedes others, and takes each into the catalogue.
func nights(w *world, n int) {
	w.t.Helper()
	for i := range n {
		packs, old := w.packs(3, 60), []string(nil)
		if i%4 == 3 {
			for _, name := range slices.Sorted(maps.Keys(w.live))[:2] {
				packs, old = append(packs, w.live[name][1:]...), append(old, name)
			}
		}
		w.segment(packs, old...)
		w.open(w.cache).Close()
	}
}

// volumes are the paths of all volumes in the cache, or of those that begin with a name.
func (w *world) volumes() []string {
	w.t.Helper()
	paths, err := filepath.Glob(filepath.Join(w.cache, volumePrefix+"*"))
	if err != nil || len(paths) == 0 {
		w.t.Fatal("there is no volume:", err)
	}
	return paths
}

func (w *world) read(path string) []byte {
	w.t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		w.t.Fatal(err)
	}
	return b
}

// files returns what the cache holds, by path, and reset puts it back.
func (w *world) files() map[string][]byte {
	w.t.Helper()
	out := map[string][]byte{filepath.Join(w.cache, catalogueName): nil}
	for _, path := range w.volumes() {
		out[path] = nil
	}
	for path := range out {
		out[path] = w.read(path)
	}
	return out
}

func (w *world) reset(files map[string][]byte) {
	w.t.Helper()
	if err := os.RemoveAll(w.cache); err != nil {
		w.t.Fatal(err)
	}
	if err := os.Mkdir(w.cache, 0o700); err != nil {
		w.t.Fatal(err)
	}
	for path, b := range files {
		w.write(path, b)
	}
}

// TestNothingNewIsNotRead: an opening reads the segments that are new, and no others.
func TestNothingNewIsNotRead(t *testing.T) {
	w := newWorld(t, 1)
	nights(w, 6)
	for _, fresh := range []int64{0, 1, 3, 0} {
		for range fresh {
			w.segment(w.packs(2, 20))
		}
		before := w.st.segments.Load()
		w.open(w.cache).Close()
		if got := w.st.segments.Load() - before; got != fresh {
			t.Errorf("%d segments were read, of which %d are new", got, fresh)
		}
	}
}

// TestCrashStates: whatever a crash or a disk left in the cache, all answers are right, and so is the catalogue that is made from it.
func TestCrashStates(t *testing.T) {
	w := newWorld(t, 2)
	nights(w, 5)
	earlier := w.files()
	nights(w, 6)
	current := w.files()
	index := filepath.Join(w.cache, catalogueName)
	flip := func(b []byte, at int) []byte {
		b = bytes.Clone(b)
		b[at] ^= 0x10
		return b
	}
	states := map[string]func(map[string][]byte){
		"current":                         func(map[string][]byte) {},
		"index.bolt absent":               func(f map[string][]byte) { delete(f, index) },
		"index.bolt of an earlier commit": func(f map[string][]byte) { f[index] = earlier[index] },
		"all of an earlier commit":        func(f map[string][]byte) { clear(f); maps.Copy(f, earlier) },
		"junk":                            func(f map[string][]byte) { f[index] = bytes.Repeat([]byte("junk"), 9999) },
		"empty":                           func(f map[string][]byte) { f[index] = nil },
		"index.bolt cut short":            func(f map[string][]byte) { f[index] = f[index][:len(f[index])/2] },
		"volumes that no index.bolt names": func(f map[string][]byte) {
			f[filepath.Join(w.cache, volumePrefix+"0011223344556677")] = []byte("half of a volume")
		},
	}
	for _, path := range w.volumes() {
		name := filepath.Base(path)
		states[name+" absent"] = func(f map[string][]byte) { delete(f, path) }
		states[name+" torn"] = func(f map[string][]byte) { f[path] = f[path][:len(f[path])/3] }
		states[name+" not written"] = func(f map[string][]byte) { f[path] = make([]byte, len(f[path])) }
		states[name+" of another"] = func(f map[string][]byte) {
			for other, b := range f {
				if other != path && strings.HasPrefix(filepath.Base(other), volumePrefix) {
					f[path] = append(bytes.Clone(b), make([]byte, len(f[path]))...)[:len(f[path])]
				}
			}
		}
		size := len(current[path])
		for _, at := range []int{0, 33, 50, size / 4, size / 2, size - 2040, size - 2000} {
			states[fmt.Sprintf("%s with a flipped bit at %d", name, at)] = func(f map[string][]byte) { f[path] = flip(f[path], at) }
		}
	}
	for name, state := range states {
		t.Run(name, func(t *testing.T) {
			files := maps.Clone(current)
			state(files)
			w.reset(files)
			w.verify(w.open(w.cache))
			before := w.st.segments.Load()
			w.verify(w.open(w.cache)) // from what the first one made
			if n := w.st.segments.Load() - before; n > 0 {
				t.Errorf("the catalogue was not made anew: %d segments were read again", n)
			}
		})
	}
}

// TestEveryByteOfTheCatalogue flips bits in every part of every file: what is said of a blob is right, or found to be damaged.
func TestEveryByteOfTheCatalogue(t *testing.T) {
	w := newWorld(t, 3)
	w.segment(w.packs(2, 20))
	w.open(w.cache).Close()
	files := w.files()
	var never ID
	fillRandom(never[:])
	for path, b := range files {
		for at := 0; at < len(b); at += 1 + len(b)/400 {
			bad := bytes.Clone(b)
			bad[at] ^= 1 << (at % 8)
			w.reset(files)
			w.write(path, bad)
			r := w.open(w.cache)
			for _, id := range w.ids {
				if known, err := r.known(t.Context(), id); !known || err != nil {
					t.Fatalf("byte %d of %s: blob %.8s is known: %v, %v", at, path, id, known, err)
				}
			}
			if known, err := r.known(t.Context(), never); known || err != nil {
				t.Fatalf("byte %d of %s: a blob is known that never was", at, path)
			}
			r.Close()
		}
	}
}

// TestHeldCatalogue: while another process holds index.bolt, segments are read, after half a second at most.
func TestHeldCatalogue(t *testing.T) {
	w := newWorld(t, 4)
	nights(w, 3)
	db, err := bolt.Open(filepath.Join(w.cache, catalogueName), 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	w.segment(w.packs(2, 20))
	held := w.open(w.cache)
	w.verify(held)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	w.verify(w.open(w.cache))
	if err := held.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.verify(held)
}

// TestTwoWriters: of two that go on from the same catalogue the second one does not undo what the first one committed.
func TestTwoWriters(t *testing.T) {
	w := newWorld(t, 5)
	nights(w, 2)
	first, second := w.open(w.cache), w.open(w.cache)
	for i := range 5 {
		for _, r := range []*Repository{first, second} {
			packs := w.packs(2, 30)
			r.adopt(w.segment(packs), packs)
		}
		w.verify(w.open(w.cache))
		if err := []*Repository{first, second}[i%2].Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for _, r := range []*Repository{first, second} {
		if err := r.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.verify(r)
	}
}

// TestOrphansGoWhenTheyAreADayOld: before, they may be what another process is about to commit.
func TestOrphansGoWhenTheyAreADayOld(t *testing.T) {
	w := newWorld(t, 6)
	nights(w, 2)
	young, old := filepath.Join(w.cache, volumePrefix+"00000000000000aa"), filepath.Join(w.cache, volumePrefix+"00000000000000bb")
	for _, path := range []string{young, old} {
		w.write(path, []byte("half of a volume"))
	}
	if err := os.Chtimes(old, time.Time{}, time.Now().Add(-orphanAge-time.Hour)); err != nil {
		t.Fatal(err)
	}
	nights(w, 1)
	if _, err := os.Stat(young); err != nil {
		t.Error("a volume of today is gone:", err)
	}
	if _, err := os.Stat(old); err == nil {
		t.Error("a volume of yesterday that nobody names is still there")
	}
}

// TestCheckLooksAtWhatCounts: a pack is missed where a segment lists it that no other one supersedes.
func TestCheckLooksAtWhatCounts(t *testing.T) {
	w := newWorld(t, 10)
	for range 30 {
		w.change()
	}
	want := map[string]bool{}
	for p := range w.copies() {
		want[p.id.object()] = true
	}
	report, err := w.writer.Check(t.Context(), CheckOptions{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range report.Findings {
		if f.Detail == "pack is missing" && !want[f.Object] {
			t.Errorf("%s is missed, or twice", f.Object)
		}
		delete(want, f.Object)
	}
	if len(want) > 0 {
		t.Errorf("%d packs are not missed", len(want))
	}
}

// TestMergedVolumesGo: there are few volumes after many nights, and no files but theirs.
func TestMergedVolumesGo(t *testing.T) {
	w := newWorld(t, 7)
	nights(w, 40)
	r := w.open(w.cache)
	if n := len(r.blobs.c.volumes); n > 8 || len(w.volumes()) != n {
		t.Errorf("%d volumes after 40 nights, %d files", n, len(w.volumes()))
	}
	w.verify(r)
}

// TestLargeMergesWait: what is more than somebody would wait for is merged when nobody does.
func TestLargeMergesWait(t *testing.T) {
	w := newWorld(t, 11)
	c := newCollection(w.folder())
	defer c.close()
	c.most = 500
	for range 6 {
		packs := []packRecord{w.pack(300, w.epoch())}
		c.add(w.segment(packs), packs, nil)
		c.spill()
	}
	if n := len(c.volumes); n != 6 {
		t.Errorf("%d volumes of 300 blobs, none of which may be merged", n)
	}
	c.most = maxBlobs
	if c.spill(); len(c.volumes) != 1 || !c.isChanged() {
		t.Errorf("%d volumes when they may be", len(c.volumes))
	}
}

// TestSpill: more than memory is to hold goes to volumes: of the cache, or private ones that leave no file.
func TestSpill(t *testing.T) {
	w := newWorld(t, 8)
	t.Setenv("TMPDIR", w.folder())
	for range 8 {
		w.segment(w.packs(40, 1600))
	}
	w.segment([]packRecord{w.pack(10)}, slices.Sorted(maps.Keys(w.live))[:2]...)
	file := filepath.Join(w.folder(), "file")
	w.write(file, nil)
	c := newCollection(filepath.Join(file, "x"))
	for name, packs := range w.live {
		c.add(name, packs, nil)
	}
	if c.spill(); c.dir != "" || c.recent.blobs() > 0 || c.broken != nil {
		t.Errorf("where the folder takes nothing, %d blobs stay in memory: %v", c.recent.blobs(), c.broken)
	}
	c.close()
	for name, cache := range map[string]string{"cache": w.cache, "no cache": "", "no place": filepath.Join(file, "x")} {
		t.Run(name, func(t *testing.T) {
			r := w.open(cache)
			if len(r.blobs.c.volumes) == 0 {
				t.Fatal("all of it is in memory")
			}
			w.verify(r)
		})
	}
	entries, err := os.ReadDir(os.Getenv("TMPDIR"))
	if err != nil || len(entries) > 0 && os.PathSeparator == '/' {
		t.Errorf("temporary files are left: %v, %v", entries, err)
	}
}

// TestLookupsAtOnce looks up while segments are added, merged, and the catalogue is built anew. It is for the race detector.
func TestLookupsAtOnce(t *testing.T) {
	w := newWorld(t, 9)
	nights(w, 3)
	r := w.open(w.cache)
	ids := slices.Clone(w.ids)
	stop := make(chan struct{})
	var looking sync.WaitGroup
	for range 3 {
		looking.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := r.copies(t.Context(), ids[i%len(ids)]); err != nil {
					t.Error(err)
					return
				}
				if i%50 == 0 {
					if _, err := r.Stats(t.Context()); err != nil {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	for range 10 {
		packs := w.packs(2, 40)
		r.adopt(w.segment(packs), packs)
		w.segment(w.packs(1, 40))
		if err := r.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := r.rebuild(t.Context(), r.rebuilt.Load()); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	looking.Wait()
	w.verify(r)
}

package repo

import (
	"bytes"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestModel adds, supersedes and deletes segments and keys at random, treats the catalogue in every way that a crash, a disk or
// another process can, and compares all answers with those of a map.
func TestModel(t *testing.T) {
	seeds, steps := 5, 40
	if testing.Short() {
		seeds, steps = 2, 25
	}
	first := rand.Uint64N(1 << 32)
	for i := range seeds {
		seed := first + uint64(i)
		t.Logf("seed %d", seed)
		w := newWorld(t, seed)
		r := w.open(w.cache)
		var earlier []byte // an index.bolt
		for range steps {
			w.change()
			if w.rnd.IntN(3) == 0 {
				if b, err := os.ReadFile(filepath.Join(w.cache, catalogueName)); err == nil {
					earlier = b
				}
			}
			r = w.treat(r, earlier)
			w.verify(r)
		}
	}
}

// change does what runs and prune do to the storage.
func (w *world) change() {
	names := slices.Sorted(maps.Keys(w.live))
	switch n := w.rnd.IntN(10); {
	case n < 5 || len(names) < 3:
		w.segment(w.packs(w.rnd.IntN(6), 150))
	case n < 8: // some segments make place for one that lists a part of their packs
		w.rnd.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
		names = names[:1+w.rnd.IntN(min(len(names), 5))]
		kept := w.packs(w.rnd.IntN(2), 100)
		for _, name := range names {
			for _, p := range w.live[name] {
				if w.rnd.IntN(3) > 0 {
					kept = append(kept, p)
				}
			}
		}
		w.segment(kept, names...)
		for _, name := range names[:w.rnd.IntN(len(names)+1)] {
			w.delete(name)
		}
	default:
		for id := range w.keyed {
			for _, name := range epochNames(id) {
				w.delete(name)
			}
			delete(w.keyed, id)
			break
		}
	}
}

// treat brings a repository up to date: the one that is open, or another one, in the state of its cache that chance gives.
func (w *world) treat(r *Repository, earlier []byte) *Repository {
	w.t.Helper()
	index := filepath.Join(w.cache, catalogueName)
	switch w.rnd.IntN(10) {
	case 0, 1, 2:
		if err := r.Refresh(w.t.Context()); err != nil {
			w.t.Fatal(err)
		}
		return r
	case 3:
		return w.open("")
	case 4:
		w.cache = w.folder()
	case 5:
		if earlier != nil {
			w.write(index, earlier)
		}
	case 6:
		w.write(index, bytes.Repeat([]byte("junk"), w.rnd.IntN(9999)))
	case 7:
		w.damage(func(b []byte) []byte { b[w.rnd.IntN(len(b))] ^= 1 << w.rnd.IntN(8); return b })
	case 8:
		w.damage(func(b []byte) []byte { return b[:w.rnd.IntN(len(b))] })
	}
	return w.open(w.cache)
}

func (w *world) write(path string, b []byte) {
	w.t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// damage changes a volume, in a copy: whoever has it open keeps what was written.
func (w *world) damage(how func([]byte) []byte) {
	w.t.Helper()
	volumes, err := filepath.Glob(filepath.Join(w.cache, volumePrefix+"*"))
	if err != nil || len(volumes) == 0 {
		return
	}
	path := volumes[w.rnd.IntN(len(volumes))]
	b, err := os.ReadFile(path)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		w.t.Fatal(err)
	}
	w.write(path, how(b))
}

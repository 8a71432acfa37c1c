package repo

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/orthokeep/orthokeep/repo/storage"
	"github.com/orthokeep/orthokeep/repo/storage/faulty"
)

// world is a repository whose segments list packs that nobody has written, and what is right to say of their blobs.
type world struct {
	t      *testing.T
	rnd    *rand.Rand
	st     *countingStorage
	keys   Keys
	writer *Repository // without a cache: it only stores objects
	cache  string
	live   map[string][]packRecord // by segment
	keyed  map[[16]byte]bool       // epochs whose keys are stored
	ids    []ID                    // of all blobs there ever were
	old    map[string][]string     // names that a segment supersedes, by its own
	count  int
}

// countingStorage counts the segments that are read.
type countingStorage struct {
	storage.Storage
	segments atomic.Int64
}

func (s *countingStorage) Get(ctx context.Context, name string, limit int64) ([]byte, error) {
	if strings.HasPrefix(name, segmentsPrefix) {
		s.segments.Add(1)
	}
	return s.Storage.Get(ctx, name, limit)
}

func newWorld(t *testing.T, seed uint64) *world {
	t.Helper()
	inner, err := storage.CreateOn(faulty.NewFS(), "/repo")
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, rnd: rand.New(rand.NewPCG(seed, 3)), st: &countingStorage{Storage: inner}, live: map[string][]packRecord{}, keyed: map[[16]byte]bool{}, old: map[string][]string{}}
	if w.keys, err = NewKeys(); err != nil {
		t.Fatal(err)
	}
	if err := Init(t.Context(), w.st, w.keys, InitOptions{Created: time.Unix(0, 0)}); err != nil {
		t.Fatal(err)
	}
	w.cache = w.folder()
	w.writer = w.open("")
	return w
}

// folder is a temporary folder, in memory where the system has such a place.
func (w *world) folder() string {
	dir, err := os.MkdirTemp("/dev/shm", "orthokeep")
	if err != nil {
		return w.t.TempDir()
	}
	w.t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func (w *world) open(cache string) *Repository {
	w.t.Helper()
	r, err := Open(w.t.Context(), w.st, Credentials{Writer: w.keys.Writer}, cache)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(r.Close)
	return r
}

// newID is random, or begins like another one, or is another blob's, or lies at an end of the order, where many of them overflow.
func (w *world) newID() (id ID) {
	for i := 0; i < len(id); i += 8 {
		binary.LittleEndian.PutUint64(id[i:], w.rnd.Uint64())
	}
	if n := len(w.ids); n > 0 && n < 5000 {
		switch w.rnd.IntN(12) {
		case 0:
			return w.ids[w.rnd.IntN(len(w.ids))]
		case 1:
			copy(id[:8], w.ids[w.rnd.IntN(len(w.ids))][:8])
		case 2:
			copy(id[:7], bytes.Repeat([]byte{byte(w.rnd.IntN(2)) * 255}, 7))
		}
	}
	return id
}

// pack makes the record of a pack of n blobs, of the epochs given; of structure when there are none.
func (w *world) pack(n int, epochs ...[16]byte) packRecord {
	n = max(n, len(epochs))
	p := packRecord{class: Content}
	if len(epochs) == 0 {
		p.class = Structure
	}
	var entries []tableEntry
	at := uint32(packHeader)
	for range n {
		plain := uint32(w.rnd.IntN(60))
		e := tableEntry{w.newID(), structureEpoch, at, plain + sealOverhead + 1, plain}
		if len(epochs) > 0 {
			e.epoch = uint16(w.rnd.IntN(len(epochs)))
		}
		entries = append(entries, e)
		w.ids = append(w.ids, e.id)
		at += e.sealed
	}
	p.table = marshalTable(epochs, entries)
	p.size = p.table.end() + int64(len(p.table)) + sealOverhead + packTrailer
	fillRandom(p.id[:])
	return p
}

// epoch stores what stands for both copies of a key.
func (w *world) epoch() (id [16]byte) {
	fillRandom(id[:])
	for _, name := range epochNames(id) {
		w.put(name)
	}
	w.keyed[id] = true
	return id
}

func (w *world) put(name string) {
	w.t.Helper()
	if err := w.st.Put(w.t.Context(), name, []byte("nobody reads this")); err != nil {
		w.t.Fatal(err)
	}
}

// packs makes some packs of one epoch, or of two, or of structure.
func (w *world) packs(count, blobs int) (out []packRecord) {
	epochs := [][16]byte{w.epoch(), w.epoch()}
	for range count {
		out = append(out, w.pack(1+w.rnd.IntN(blobs), epochs[:w.rnd.IntN(3)]...))
	}
	return out
}

// segment stores a segment, under a name that sorts anywhere, as clocks differ, and returns the name. It supersedes what those have superseded that it supersedes, too.
func (w *world) segment(packs []packRecord, supersedes ...string) string {
	w.t.Helper()
	for _, name := range slices.Clone(supersedes) {
		supersedes = append(supersedes, w.old[name]...)
	}
	w.count++
	name := fmt.Sprintf("%s%02x-%04d", segmentsPrefix, w.rnd.IntN(256), w.count)
	if err := w.writer.PutObject(w.t.Context(), KindSegment, name, segment{supersedes, packs}.marshal()); err != nil {
		w.t.Fatal(err)
	}
	for _, old := range supersedes {
		delete(w.live, old)
	}
	w.live[name], w.old[name] = packs, supersedes
	return name
}

func (w *world) delete(name string) {
	w.t.Helper()
	if err := w.st.Delete(w.t.Context(), name); err != nil {
		w.t.Fatal(err)
	}
}

// copies yields what the live segments list.
func (w *world) copies() iter.Seq2[packRecord, tableEntry] {
	return func(yield func(packRecord, tableEntry) bool) {
		for _, packs := range w.live {
			for _, p := range packs {
				for i := range p.table.len() {
					if !yield(p, p.table.entry(i)) {
						return
					}
				}
			}
		}
	}
}

// verify compares what r says of every blob there ever was, or of twenty thousand, and of some that never were, with what is right.
func (w *world) verify(r *Repository) {
	w.t.Helper()
	type blob struct {
		copies []string
		usable bool
		plain  map[Class]int64
	}
	want := map[ID]*blob{}
	some := make([]ID, 0, len(w.ids))
	for i := 0; i < len(w.ids); i += 1 + len(w.ids)/20_000 {
		some = append(some, w.ids[i])
	}
	for _, id := range append(some, w.newID(), w.newID(), ID{}, ID(bytes.Repeat([]byte{255}, 32))) {
		want[id] = &blob{plain: map[Class]int64{}}
	}
	text := func(class Class, e tableEntry, pack packID, size int64, epoch [16]byte) string {
		return fmt.Sprintf("%s of %x in %.8s (%d) at %d: %d of %d, %x", class, e.id, pack, size, e.offset, e.sealed, e.plain, epoch)
	}
	for p, e := range w.copies() {
		b := want[e.id]
		if b == nil {
			continue
		}
		b.copies = append(b.copies, text(p.class, e, p.id, p.size, p.table.epochOf(e)))
		b.usable = b.usable || p.class == Structure || w.keyed[p.table.epochOf(e)]
		b.plain[p.class] = int64(e.plain)
	}
	for id, b := range want {
		known, err := r.known(w.t.Context(), id)
		if err != nil || known != b.usable {
			w.t.Fatalf("blob %x is known: %v, %v, want %v", id, known, err, b.usable)
		}
		found, err := r.copies(w.t.Context(), id)
		if err != nil {
			w.t.Fatal(err)
		}
		var got []string
		for _, c := range found {
			got = append(got, text(c.in.class, tableEntry{id: c.id, offset: c.offset, sealed: c.sealed, plain: c.plain}, c.in.id, c.in.size, c.epochID))
		}
		slices.Sort(got)
		slices.Sort(b.copies)
		if !slices.Equal(got, b.copies) {
			w.t.Fatalf("copies of %x:\n%s\nwant\n%s", id, strings.Join(got, "\n"), strings.Join(b.copies, "\n"))
		}
		for _, class := range []Class{Structure, Content} {
			_, listed := b.plain[class]
			if _, err := r.Look(w.t.Context(), class, id); (err == nil) != listed {
				w.t.Fatalf("%s blob %x is listed: %v", class, id, err)
			}
		}
	}
	w.verifyStats(r)
}

func (w *world) verifyStats(r *Repository) {
	w.t.Helper()
	s, err := r.Stats(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	var want Stats
	for _, e := range w.copies() {
		want.Blobs++
		if e.epoch != structureEpoch {
			want.ContentPlain += int64(e.plain)
		}
	}
	for packs := range maps.Values(w.live) {
		for _, p := range packs {
			want.Packs++
			want.PackBytes += p.size
		}
	}
	if s.Blobs != want.Blobs || s.ContentPlain != want.ContentPlain || s.Packs != want.Packs || s.PackBytes != want.PackBytes {
		w.t.Fatalf("stats %+v, want %+v", s, want)
	}
}

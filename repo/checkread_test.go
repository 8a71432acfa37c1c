package repo_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/orthokeep/orthokeep/repo"
	"github.com/orthokeep/orthokeep/repo/storage"
)

// packReads counts how often each pack is read as a whole.
type packReads struct {
	storage.Storage
	mu sync.Mutex
	n  map[string]int
}

func (p *packReads) Get(ctx context.Context, name string, limit int64) ([]byte, error) {
	if strings.HasPrefix(name, "packs/") {
		p.mu.Lock()
		p.n[name]++
		p.mu.Unlock()
	}
	return p.Storage.Get(ctx, name, limit)
}

// noted is a progress that nobody looks at.
type noted struct{}

func (noted) Add(_, _ int64) {}

// store puts blobs in a run of its own and returns their IDs.
func store(t testing.TB, r *repo.Repository, class repo.Class, seed uint64, n int) []repo.ID {
	t.Helper()
	run := begin(t, r)
	ids := put(t, run, class, blobs(seed, n))
	if err := run.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := run.End(t.Context(), repo.Published, now); err != nil {
		t.Fatal(err)
	}
	return ids
}

// TestReadPacksRotates: arcs end to end read every pack that was there when the first began, those that are added meanwhile at the latest in the next
// round, and none much oftener than once.
func TestReadPacksRotates(t *testing.T) {
	m := makeRepo(t, "")
	w := m.writer(t)
	for seed := range uint64(6) {
		store(t, w, repo.Content, seed, 60)
	}
	counts := &packReads{m.st, sync.Mutex{}, map[string]int{}}
	m.st = counts
	at := uint64(1) << 61
	night := func(n uint64) {
		a := repo.NewArc(at, 0.15)
		report, err := m.writer(t).Check(t.Context(), repo.CheckOptions{ReadPacks: a}, noted{})
		if err != nil || report.Damaged() || len(report.Findings) > 0 {
			t.Fatalf("%d findings, %v", len(report.Findings), err)
		}
		at = a.End()
		store(t, m.writer(t), repo.Content, 100+n, 25)
	}
	round := func(first uint64) {
		before := names(t, m.st, "packs/")
		if len(before) < 12 {
			t.Fatalf("%d packs: nothing can be seen", len(before))
		}
		clear(counts.n)
		for n := range uint64(7) {
			night(first + n)
		}
		for _, name := range before {
			if n := counts.n[name]; n == 0 || n > 2 {
				t.Errorf("%s was read %d times in a round", name, n)
			}
		}
	}
	round(0)
	added := len(names(t, m.st, "packs/"))
	round(10)
	if got := len(names(t, m.st, "packs/")); got <= added {
		t.Fatalf("%d packs after two rounds, %d after one: none was added", got, added)
	}
}

func names(t testing.TB, st storage.Storage, prefix string) (out []string) {
	t.Helper()
	for o, err := range st.List(t.Context(), prefix) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, o.Name)
	}
	return out
}

// flip changes one bit of a file of the repository.
func (m *made) flip(t testing.TB, name string, offset int64) {
	t.Helper()
	path := filepath.Join(m.dir, filepath.FromSlash(name))
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data[offset] ^= 0x10
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestWhatGetReadIsNotDecodedAgain: a check that remembers finds the same damage as one that does not, in blobs that were read, that could not
// be read, and that nobody read.
func TestWhatGetReadIsNotDecodedAgain(t *testing.T) {
	m := makeRepo(t, "")
	ids := store(t, m.writer(t), repo.Content, 1, 60)
	for _, name := range names(t, m.st, "packs/")[:2] {
		m.flip(t, name, 2000)
	}
	bad := func(read int) (out []repo.ID) {
		r := m.reader(t)
		c, err := r.BeginCheck(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		c.Remember()
		whole := 0
		for _, id := range ids[:read] {
			if _, err := r.Get(t.Context(), repo.Content, id, nil); err == nil {
				whole++
			}
		}
		if n := c.Remembered(); n != whole {
			t.Fatalf("%d of %d blobs are remembered", n, whole)
		}
		if err := c.ReadPacks(t.Context(), repo.CheckOptions{ReadData: repo.All()}, noted{}); err != nil {
			t.Fatal(err)
		}
		if n := int64(len(names(t, m.st, "packs/"))); c.Report().PacksRead != n {
			t.Fatalf("%d of %d packs were read", c.Report().PacksRead, n)
		}
		out = c.Report().BadBlobs
		slices.SortFunc(out, func(a, b repo.ID) int { return strings.Compare(a.String(), b.String()) })
		return out
	}
	want := bad(0)
	if len(want) != 2 {
		t.Fatalf("%d blobs are damaged instead of two", len(want))
	}
	for _, read := range []int{1, 30, 60} {
		if got := bad(read); !slices.Equal(got, want) {
			t.Errorf("with %d blobs read before: %d are damaged, want %d", read, len(got), len(want))
		}
	}
}

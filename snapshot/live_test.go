package snapshot

import (
	"context"
	"io"
	"maps"
	"slices"
	"testing"

	"github.com/orthokeep/orthokeep/repo"
)

// readGetter notes which blobs are read.
type readGetter struct {
	getter
	read map[repo.ID]bool
}

func (g readGetter) Get(ctx context.Context, class repo.Class, id repo.ID, dst []byte) ([]byte, error) {
	g.read[id] = true
	return g.getter.Get(ctx, class, id, dst)
}

// readAll reads all that a snapshot has, as a restore and the next backup do, and returns the blobs that this took.
func readAll(t *testing.T, r *repo.Repository, root *Root) map[repo.ID]bool {
	t.Helper()
	ctx, from := t.Context(), readGetter{r, map[repo.ID]bool{}}
	stream := func(class repo.Class, s Stream) {
		if _, err := io.Copy(io.Discard, newStreamReader(ctx, from, class, s)); err != nil {
			t.Fatal(err)
		}
	}
	heads := map[int][]headRef{}
	for i, l := range root.Manifest.Layers {
		stream(repo.Structure, l.Blocks)
		var err error
		if heads[i], err = readHeads(ctx, from, l); err != nil {
			t.Fatal(err)
		}
	}
	for e, err := range root.Manifest.entries(ctx, from) {
		if err != nil {
			t.Fatal(err)
		}
		for part, err := range e.headParts(heads[e.layer]) {
			if err != nil {
				t.Fatal(err)
			}
			from.read[heads[e.layer][part.chunk].id] = true
		}
		for _, b := range e.bulk {
			from.read[b.id] = true
		}
	}
	for _, l := range root.Index.Layers {
		stream(repo.Content, l.Pages)
		stream(repo.Structure, l.Hashes)
	}
	stream(repo.Content, root.Files.List)
	stream(repo.Content, root.Files.Contents)
	return from.read
}

// TestFindNeeds: of many subsets of a history with several bases, what is found to be needed is exactly what reading each of its
// snapshots takes.
func TestFindNeeds(t *testing.T) {
	w := newWorld(t)
	w.add(300, 1500)
	w.add(3, 700_000)
	var roots []*Root
	for night := range 10 {
		roots = append(roots, w.mustBackup())
		w.add(5+night*15, 2000)
		w.add(1, 600_000)
		for range 6 {
			w.remove(w.rnd.IntN(len(w.list)))
		}
	}
	if n := len(chains(roots)); n < 2 || n == len(roots) {
		t.Fatalf("%d snapshots have %d chains", len(roots), n)
	}
	r := w.reader()
	read := map[*Root]map[repo.ID]bool{}
	for _, root := range roots {
		read[root] = readAll(t, r, root)
	}
	structure := w.writer() // no recovery key
	for range 40 {
		var some []*Root
		want := map[repo.ID]bool{}
		for _, root := range roots {
			if w.rnd.IntN(3) == 0 {
				some = append(some, root)
				maps.Copy(want, read[root])
			}
		}
		w.rnd.Shuffle(len(some), func(i, j int) { some[i], some[j] = some[j], some[i] })
		got := map[repo.ID]bool{}
		owners := map[repo.ID]int{}
		_, err := findNeeds(t.Context(), structure, some, func(id repo.ID, owner int) error {
			if before, seen := owners[id]; seen && before != owner {
				owner = shared
			}
			got[id], owners[id] = true, owner
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if !maps.Equal(got, want) {
			t.Fatalf("%d snapshots: %d blobs are found to be needed, reading them takes %d", len(some), len(got), len(want))
		}
		for id, owner := range owners {
			readers := 0
			for i, root := range some {
				if read[root][id] {
					readers++
					if owner != shared && owner != i {
						t.Fatalf("snapshot %d reads what is said to be that of %d alone", i, owner)
					}
				}
			}
			if readers == 1 != (owner != shared) {
				t.Fatalf("%d snapshots read what is said to be of %d", readers, owner)
			}
		}
	}
}

// TestChains joins manifests of which one continues the other, in whatever order they come.
func TestChains(t *testing.T) {
	layer := func(n byte) Layer { return Layer{Entries: Stream{1, 0, []item{{repo.ID{n}, 1}}}, Count: int64(n)} }
	root := func(layers ...byte) *Root {
		r := &Root{ID: "0123456789abcdef"}
		for _, n := range layers {
			r.Manifest.Layers = append(r.Manifest.Layers, layer(n))
		}
		return r
	}
	all := chains([]*Root{root(1), root(1, 2, 3), root(4), root(1, 2), root(1, 2), root(4, 5), root(1, 6)})
	var ends [][]int
	for _, c := range all {
		ends = append(ends, append([]int{len(c.layers)}, c.lengths()...))
	}
	slices.SortFunc(ends, slices.Compare)
	if want := [][]int{{2, 1, 2}, {2, 2}, {3, 1, 2, 3}}; !slices.EqualFunc(ends, want, slices.Equal) {
		t.Errorf("chains of %v, want %v", ends, want)
	}
}

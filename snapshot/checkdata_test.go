package snapshot

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/orthokeep/orthokeep/repo"
	"github.com/orthokeep/orthokeep/repo/storage/faulty"
)

// flip changes a bit in the middle of an object of the repository.
func (w *world) flip(name string) {
	w.t.Helper()
	path := filepath.Join(w.dir(), filepath.FromSlash(name))
	data, err := os.ReadFile(path)
	if err == nil {
		err = os.Chmod(path, 0o600)
	}
	if err == nil {
		data[len(data)/2] ^= 0x20
		err = os.WriteFile(path, data, 0o600)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// dir is the folder of the repository.
func (w *world) dir() string { return w.st.(interface{ String() string }).String() }

// packs are the names of all packs.
func (w *world) packs() (names []string) {
	w.t.Helper()
	for o, err := range w.st.List(w.t.Context(), "packs/") {
		if err != nil {
			w.t.Fatal(err)
		}
		names = append(names, o.Name)
	}
	return names
}

// hostileBackup takes a snapshot of a writer who says other MD5s of some attachments, whose MD5s the index must not state, than those of their bytes.
func (w *world) hostileBackup(wrong ...UUID) *Root {
	w.t.Helper()
	w.lie = wrong
	defer func() { w.lie = nil }()
	return w.mustBackup()
}

// checkData is CheckData of all snapshots.
func (w *world) checkData(arc repo.Arc) (DataRead, []Problem) {
	w.t.Helper()
	r := w.reader()
	roots, err := Roots(w.t.Context(), r)
	if err != nil {
		w.t.Fatal(err)
	}
	read, problems, err := CheckData(w.t.Context(), r, roots, arc, NoProgress{})
	if err != nil {
		w.t.Fatal(err)
	}
	return read, problems
}

// attachmentProblems counts the damaged attachments of each snapshot, those that are not named too.
func attachmentProblems(problems []Problem) map[string]int64 {
	n := map[string]int64{}
	for _, p := range problems {
		if strings.Contains(p.Detail, "attachment ") {
			n[p.Snapshot]++
		} else if more, ok := strings.CutPrefix(p.Detail, "and "); ok {
			number, _ := strconv.Atoi(strings.TrimSuffix(more, " more"))
			n[p.Snapshot] += int64(number)
		}
	}
	return n
}

// TestCheckDataReadsEachAttachmentOnce: nights with several bases, over which attachments are carried.
func TestCheckDataReadsEachAttachmentOnce(t *testing.T) {
	w := newWorld(t)
	w.add(300, 1500)
	w.add(3, 700_000)
	all := map[UUID]int64{}
	bases := 0
	for night := range 9 {
		for u, data := range w.files {
			all[u] = int64(len(data))
		}
		if len(w.mustBackup().Manifest.Layers) == 1 {
			bases++
		}
		w.add(5+night*20, 3000)
		w.remove(w.rnd.IntN(len(w.list)))
	}
	if bases < 2 {
		t.Fatalf("%d bases: nothing can be seen", bases)
	}
	read, problems := w.checkData(repo.All())
	var bytes int64
	for _, size := range all {
		bytes += size
	}
	if read.Attachments != int64(len(all)) || read.Bytes != bytes || read.Damaged != 0 || len(problems) > 0 {
		t.Errorf("%+v of %d attachments with %d bytes, %v", read, len(all), bytes, problems)
	}
}

// TestCheckDataFindsWhatARestoreDoesNot damages one pack after the other: in every snapshot as many attachments are damaged as a restore leaves out.
func TestCheckDataFindsWhatARestoreDoesNot(t *testing.T) {
	w := newWorld(t)
	w.add(60, 2000)
	w.add(5, 700_000)
	w.mustBackup()
	w.add(80, 2000) // more than the base holds: another one
	w.add(2, 700_000)
	w.remove(1)
	w.mustBackup()
	w.add(3, 2000)
	w.mustBackup()
	roots, err := Roots(t.Context(), w.reader())
	if err != nil || len(roots) != 3 {
		t.Fatalf("%d snapshots, %v", len(roots), err)
	}
	if len(chains(roots)) < 2 {
		t.Fatal("all snapshots have one base: nothing can be seen")
	}
	damagedAt := 0
	for _, name := range w.packs() {
		w.flip(name)
		read, problems := w.checkData(repo.All())
		got := attachmentProblems(problems)
		whole := true
		for _, root := range roots {
			res, err := RestoreAttachments(t.Context(), w.reader(), root, Destination{Dir: memoryDir(t), Place: UUID.String, Mode: 0o600}, NoProgress{})
			if err != nil && res.Attachments+res.DamagedAll != root.Manifest.Attachments { // its manifest is damaged
				if !slices.ContainsFunc(problems, func(p Problem) bool {
					return p.Snapshot == root.Short() && strings.HasPrefix(p.Detail, "manifest: ")
				}) {
					t.Errorf("%s: snapshot %s cannot be restored (%v), and has no such problem: %v", name, root.Short(), err, problems)
				}
				whole = false
				continue
			}
			if got[root.Short()] != res.DamagedAll {
				t.Errorf("%s: %d attachments of snapshot %s are damaged, a restore leaves out %d", name, got[root.Short()], root.Short(), res.DamagedAll)
			}
			whole = whole && res.DamagedAll == 0
		}
		if !whole {
			damagedAt++
		}
		if read.Damaged > 0 && whole {
			t.Errorf("%s: %d attachments are damaged, and a restore has all", name, read.Damaged)
		}
		w.flip(name) // and back
	}
	if damagedAt < 3 {
		t.Errorf("%d packs cost anything: nothing was seen", damagedAt)
	}
}

// TestCheckDataFindsWrongMD5s that a hostile writer states, which nothing else can find: in arcs end to end, while attachments are added.
func TestCheckDataFindsWrongMD5s(t *testing.T) {
	w := newWorld(t)
	w.add(80, 3000)
	var wrong []UUID
	for i := range w.list {
		if w.list[i].HasMD5 = i%9 != 0; !w.list[i].HasMD5 {
			wrong = append(wrong, w.list[i].UUID)
		}
	}
	first := w.hostileBackup(wrong...)
	w.sound(1)
	found := map[string]int{}
	at := uint64(3) << 60
	for range 5 {
		arc := repo.NewArc(at, 0.2)
		at = arc.End()
		w.add(10, 3000)
		w.mustBackup()
		_, problems := w.checkData(arc)
		for _, p := range problems {
			if !strings.HasPrefix(p.Detail, "manifest: attachment ") || !strings.HasSuffix(p.Detail, ": MD5 mismatch: "+repo.ErrCorrupt.Error()) {
				t.Errorf("another problem: %+v", p)
			}
			if p.Snapshot == first.Short() {
				found[strings.TrimPrefix(p.Detail, "manifest: attachment ")[:36]]++
			}
		}
	}
	for _, u := range wrong {
		if found[u.String()] != 1 {
			t.Errorf("attachment %s was found %d times in a round", u, found[u.String()])
		}
	}
	if len(found) != len(wrong) {
		t.Errorf("%d attachments were found, %d are wrong", len(found), len(wrong))
	}
}

// TestCheckDataOfOrphans: they are read like attachments, and named as what they are.
func TestCheckDataOfOrphans(t *testing.T) {
	w := newWorld(t)
	w.add(3, 100_000)
	lost := w.list[1]
	w.more = func(ctx context.Context, s *Session, root *Root) (err error) {
		list := func(yield func(Orphan, error) bool) { yield(Orphan{lost.UUID, lost.Size}, nil) }
		root.Orphans, err = s.StoreOrphans(ctx, w, list)
		return err
	}
	w.list = slices.Delete(w.list, 1, 2)
	w.mustBackup()
	if read, problems := w.checkData(repo.All()); read.Attachments != 3 || len(problems) > 0 {
		t.Fatalf("%+v, %v", read, problems)
	}
}

func TestCheckDataIsCancelled(t *testing.T) {
	w := newWorld(t)
	w.add(200, 3000)
	root := w.mustBackup()
	ctx, cancel := context.WithCancel(t.Context())
	p := &cancelAfter{n: 20, cancel: cancel}
	if _, _, err := CheckData(ctx, w.reader(), []*Root{root}, repo.All(), p); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled check: %v", err)
	}
}

// cancelAfter ends a context when so many attachments are done.
type cancelAfter struct {
	NoProgress
	n      int
	cancel func()
}

func (c *cancelAfter) Add(_, _ int64) {
	if c.n--; c.n == 0 {
		c.cancel()
	}
}

// TestEachIndex: the index of every snapshot is the one that it was taken of, with each layer read once, and what is wrong is said of those
// that have it alone.
func TestEachIndex(t *testing.T) {
	w := newWorld(t)
	w.add(20, 1000)
	want := map[string][]byte{}
	var roots []*Root
	for night := range 8 {
		root := w.mustBackup()
		want[root.ID], roots = bytes.Clone(w.index), append(roots, root)
		if night == 3 {
			w.index = append(w.index, make([]byte, 4096)...)
		}
		if night != 5 {
			w.touch(12)
		}
	}
	path := filepath.Join(w.cache, "assembled")
	each := func(r *repo.Repository, roots []*Root) map[string]error {
		t.Helper()
		said := map[string]error{}
		err := EachIndex(t.Context(), r, roots, path, func(of []*Root, damage error) error {
			got, err := os.ReadFile(path)
			for _, root := range of {
				if err != nil || damage == nil && !bytes.Equal(got, want[root.ID]) {
					t.Errorf("index of snapshot %s differs, %v", root.Short(), err)
				}
				if _, again := said[root.ID]; again {
					t.Errorf("index of snapshot %s comes twice", root.Short())
				}
				said[root.ID] = damage
			}
			return nil
		})
		if err != nil || len(said) != len(roots) {
			t.Fatalf("%d of %d indexes, %v", len(said), len(roots), err)
		}
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the file is left: %v", err)
		}
		return said
	}
	layers := map[int]bool{}
	for _, root := range roots {
		layers[len(root.Index.Layers)] = true
		if err := each(w.reader(), roots)[root.ID]; err != nil {
			t.Errorf("index of snapshot %s: %v", root.Short(), err)
		}
	}
	if len(layers) < 3 || len(indexChains(roots)) < 2 {
		t.Fatalf("indexes of %v layers with %d bases: too little is tried", layers, len(indexChains(roots)))
	}
	each(w.reader(), []*Root{roots[7], roots[2]})

	// A layer is missing, a hash is wrong, a size is wrong, the page hashes are another index's: each harms its own, and those that go on from it.
	i := slices.IndexFunc(roots, func(r *Root) bool { return len(r.Index.Layers) == 3 })
	for name, harm := range map[string]func(x *Index){
		"layer":  func(x *Index) { x.Layers[2].Pages.items[0].id[0] ^= 1 },
		"hash":   func(x *Index) { x.Hash = roots[0].Index.Hash },
		"size":   func(x *Index) { x.Size += 4096 },
		"hashes": func(x *Index) { x.Layers[2].Hashes = x.Layers[1].Hashes },
		"none":   func(x *Index) { x.Layers = nil },
		"page":   func(x *Index) { x.PageSize = 1 << 20 },
	} {
		again, err := Roots(t.Context(), w.reader())
		if err != nil {
			t.Fatal(err)
		}
		harm(&again[i].Index)
		for id, damage := range each(w.reader(), again) {
			if harmed := id == roots[i].ID; harmed != (errors.Is(damage, repo.ErrCorrupt) || errors.Is(damage, repo.ErrNotFound)) {
				t.Errorf("%s: snapshot %s: %v", name, id[:8], damage)
			}
		}
	}
}

// TestCheckDataPassesNothingOver: snapshots of two bases have an attachment that is damaged, and one read fails. Each of them names it, or has a list
// that could not be read: what was to be read with the other is not taken for read.
func TestCheckDataPassesNothingOver(t *testing.T) {
	w := newMemoryWorld(t, testKeys(t))
	w.add(20, 900)
	wrong := newest(w.list)
	wrong.HasMD5 = false
	first := w.hostileBackup(wrong.UUID)
	w.add(40, 900)
	roots := []*Root{first, w.mustBackup()}
	if n := len(chains(roots)); n != 2 {
		t.Fatalf("%d chains", n)
	}
	st := faulty.Wrap(w.st)
	w.st = st
	for k := 0; ; k++ {
		r := w.reader()
		before := st.Reads()
		st.FailRead(before+k, faulty.Flipped)
		_, problems, err := CheckData(t.Context(), r, roots, repo.All(), NoProgress{})
		reached := st.Reads() > before+k
		r.Close()
		if err != nil {
			t.Errorf("read %d: %v", k, err)
		}
		for _, root := range roots {
			if !slices.ContainsFunc(problems, func(p Problem) bool {
				return p.Snapshot == root.Short() && (strings.Contains(p.Detail, wrong.UUID.String()) || !strings.Contains(p.Detail, "attachment"))
			}) {
				t.Errorf("read %d: snapshot %s is taken for sound: %v", k, root.Short(), problems)
			}
		}
		if !reached {
			break
		}
	}
}

func newest[T any](list []T) *T { return &list[len(list)-1] }

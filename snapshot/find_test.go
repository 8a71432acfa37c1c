package snapshot

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"testing"

	"github.com/orthokeep/orthokeep/chunk"
	"github.com/orthokeep/orthokeep/chunk/pixel"
	"github.com/orthokeep/orthokeep/repo"
)

// TestCopyAttachment looks every attachment up in a snapshot of several layers, and keys that it does not have: before
// the first, deleted, between two and behind the last.
func TestCopyAttachment(t *testing.T) {
	w := newWorld(t)
	w.add(1500, 1500)
	w.add(3, 700_000)
	w.mustBackup()
	w.add(20, 3000)
	gone := []Key{w.list[0].Key(), w.list[700].Key(), w.list[1510].Key()}
	for _, i := range []int{1510, 700, 0} {
		w.remove(i)
	}
	root := w.mustBackup()
	if len(root.Manifest.Layers) != 2 {
		t.Fatalf("the manifest has %d layers, two are wanted", len(root.Manifest.Layers))
	}
	ctx, r := t.Context(), w.reader()
	for _, a := range w.list {
		var got bytes.Buffer
		if err := CopyAttachment(ctx, r, root, a.Key(), &got); err != nil || !bytes.Equal(got.Bytes(), w.files[a.UUID]) {
			t.Fatalf("attachment %v differs (%v)", a.Key(), err)
		}
	}
	for _, key := range append(gone, Key{0, 1}, Key{-1, 1}, Key{1, 2}, Key{1 << 40, 1}) {
		if err := CopyAttachment(ctx, r, root, key, io.Discard); !errors.Is(err, ErrNoAttachment) {
			t.Errorf("attachment %v: %v", key, err)
		}
	}
}

// TestCopyAttachmentReadsLittle holds a look-up to what it reads: a list of blocks, a block, a list of heads and the bytes.
func TestCopyAttachmentReadsLittle(t *testing.T) {
	w := newWorld(t)
	w.add(30000, 60)
	root := w.mustBackup()
	from := &countingGetter{getter: w.reader()}
	if _, err := root.Manifest.find(t.Context(), from, w.list[22321].Key()); err != nil {
		t.Fatal(err)
	}
	entries := root.Manifest.Layers[0].Entries
	if blobs := int64(len(entries.items)); entries.depth == 0 && blobs < 7 {
		t.Fatalf("the manifest is of %d blobs: too few to tell", blobs)
	}
	if n := from.n.Load(); n > 5 { // blocks, and of the entries a list and the one or two blobs that hold the block
		t.Errorf("%d blobs were read", n)
	}
}

// TestSkip skips to every kind of place in a stream whose lists are nested.
func TestSkip(t *testing.T) {
	ctx := t.Context()
	blobs := memoryBlobs{}
	w := newStreamWriter(ctx, blobs, 0x3DA3358B4DC173, chunk.Stream, repo.Structure)
	w.cut = nil // items are added by hand, so that there are enough for two levels of lists
	var whole []byte
	for i := range maxListItems*2 + 5 {
		part := bytes.Repeat([]byte{byte(i), byte(i >> 8)}, 1+i%3)
		whole = append(whole, part...)
		if err := w.put(part); err != nil {
			t.Fatal(err)
		}
	}
	for len(w.levels) < 3 {
		for level := range len(w.levels) {
			if err := w.fold(level); err != nil {
				t.Fatal(err)
			}
		}
	}
	top := len(w.levels) - 1
	s := Stream{int64(len(whole)), top, w.levels[top]}
	for _, n := range []int{0, 1, 2, 3, 4096 * 4, len(whole) / 2, len(whole)/2 + 1, len(whole) - 1, len(whole)} {
		r := newStreamReader(ctx, blobs, repo.Structure, s)
		if err := r.skip(int64(n)); err != nil {
			t.Fatalf("skip %d: %v", n, err)
		}
		if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, whole[n:]) {
			t.Fatalf("after %d bytes, %d of %d follow (%v)", n, len(got), len(whole)-n, err)
		}
	}
	if err := newStreamReader(ctx, blobs, repo.Structure, s).skip(int64(len(whole) + 1)); !errors.Is(err, repo.ErrCorrupt) {
		t.Errorf("beyond the end: %v", err)
	}
}

// TestUUIDFilter: what was added is always known, and few of the others are.
func TestUUIDFilter(t *testing.T) {
	w := newWorld(t)
	w.add(3000, 10)
	f := newUUIDFilter(2000)
	for _, a := range w.list[:2000] {
		f.add(a.UUID)
	}
	for _, a := range w.list[:2000] {
		if !f.perhaps(a.UUID) {
			t.Fatalf("%s was added and is not known", a.UUID)
		}
	}
	wrong := 0
	for _, a := range w.list[2000:] {
		if f.perhaps(a.UUID) {
			wrong++
		}
	}
	if wrong > 30 {
		t.Errorf("%d of 1000 that were not added are known", wrong)
	}
	if f := newUUIDFilter(0); f.perhaps(w.list[0].UUID) {
		t.Error("an empty filter knows something")
	}
}

// TestNotStored: all that is new is read ahead, but for what the filter takes for known, and nothing that is stored.
func TestNotStored(t *testing.T) {
	w := newWorld(t)
	w.add(1000, 100)
	w.mustBackup()
	old := len(w.list)
	w.add(1000, 100)
	j, err := OpenJournal(w.cache + "/s.state")
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	s, err := Begin(t.Context(), w.writer(), j, "s", "h", now.AddDate(0, 1, 0), NoProgress{})
	if err != nil {
		t.Fatal(err)
	}
	var listed []UUID
	for _, a := range w.list {
		listed = append(listed, a.UUID)
	}
	var got []UUID
	for u, err := range s.NotStored(t.Context(), withoutError(slices.Values(listed))) {
		if err != nil {
			t.Fatal(err)
		}
		if slices.Contains(listed[:old], u) {
			t.Fatalf("%s is stored", u)
		}
		got = append(got, u)
	}
	if len(got) < 960 {
		t.Errorf("%d of 1000 new ones are listed", len(got))
	}
}

// memoryBlobs keeps blobs by their IDs, which it makes up.
type memoryBlobs map[repo.ID][]byte

func (m memoryBlobs) Get(_ context.Context, _ repo.Class, id repo.ID, dst []byte) ([]byte, error) {
	b, ok := m[id]
	if !ok {
		return nil, repo.ErrNotFound
	}
	return append(dst, b...), nil
}

func (m memoryBlobs) Put(_ context.Context, _ repo.Class, plain []byte, _ pixel.Layout) (repo.ID, bool, error) {
	id := repo.ID(binary.LittleEndian.AppendUint64(make([]byte, 24), uint64(len(m)+1)))
	m[id] = bytes.Clone(plain)
	return id, true, nil
}

package snapshot

import (
	"bytes"
	"context"
	"errors"
	"io"
	"iter"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/orthokeep/orthokeep/repo"
)

// countingGetter counts the blobs that are read.
type countingGetter struct {
	getter
	n atomic.Int64
}

func (c *countingGetter) Get(ctx context.Context, class repo.Class, id repo.ID, dst []byte) ([]byte, error) {
	c.n.Add(1)
	return c.getter.Get(ctx, class, id, dst)
}

// TestRestoreReadsEachHeadChunkOnce reads attachments in the order of their UUIDs, as a stopped server's storage area is
// listed: in the order of the manifest nearly every head lies in another chunk than the one before.
func TestRestoreReadsEachHeadChunkOnce(t *testing.T) {
	w := newWorld(t)
	w.add(3000, 3000)
	ctx, r := t.Context(), w.writer()
	j, err := OpenJournal(w.cache + "/s.state")
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	s, err := Begin(ctx, r, j, "s", "h", now, NoProgress{})
	if err != nil {
		t.Fatal(err)
	}
	listed := make([]UUID, 0, len(w.list))
	for u := range w.files {
		listed = append(listed, u)
	}
	slices.SortFunc(listed, func(a, b UUID) int { return bytes.Compare(a[:], b[:]) })
	if _, err := s.Store(ctx, w, withoutError(slices.Values(listed))); err != nil {
		t.Fatal(err)
	}
	root, err := w.fill(ctx, s, now)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.End(ctx, true, now); err != nil {
		t.Fatal(err)
	}
	w.verify(w.state(root))

	from := &countingGetter{getter: w.reader()}
	out := newAttachmentWriter(w.reader(), Destination{})
	if err := out.open(ctx, root.Manifest); err != nil {
		t.Fatal(err)
	}
	chunks := len(out.heads[0])
	if chunks < 5 {
		t.Fatalf("only %d head chunks: nothing can be seen", chunks)
	}
	read := func(seq iter.Seq2[placed, error]) int64 {
		from.n.Store(0)
		out.cache = newHeadCache(from, 2)
		for p, err := range seq {
			if err == nil {
				err = out.copy(ctx, io.Discard, p)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		return from.n.Load()
	}
	if n := read(byPlace(root.Manifest.entries(ctx, out.repo), placeBatch)); n != int64(chunks) {
		t.Errorf("%d reads of %d head chunks", n, chunks)
	}
	if n := read(byPlace(root.Manifest.entries(ctx, out.repo), 1000)); n > 3*int64(chunks) {
		t.Errorf("%d reads of %d head chunks in three batches", n, chunks)
	}
}

func withoutError[T any](seq iter.Seq[T]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for v := range seq {
			if !yield(v, nil) {
				return
			}
		}
	}
}

// TestByPlaceKeepsAllAndErrors sees that sorting in batches neither loses nor repeats, ends early when told, and passes on errors.
func TestByPlaceKeepsAllAndErrors(t *testing.T) {
	broken := errors.New("broken")
	const n = 25
	source := func(fail error) iter.Seq2[placed, error] {
		return func(yield func(placed, error) bool) {
			var e Entry // the same one each time, as a manifest does
			for i := range n {
				e = Entry{Key: Key{ID: int64(i)}, headChunk: uint64(i * 7 % n)}
				if !yield(placed{&e, 0, 0}, nil) {
					return
				}
			}
			if fail != nil {
				yield(placed{}, fail)
			}
		}
	}
	for _, size := range []int{1, 4, n - 1, n, n + 1} {
		seen := map[int64]bool{}
		for p, err := range byPlace(source(nil), size) {
			if err != nil || seen[p.ID] {
				t.Fatalf("batches of %d: entry %d twice, or %v", size, p.ID, err)
			}
			seen[p.ID] = true
		}
		if len(seen) != n {
			t.Errorf("batches of %d: %d of %d entries", size, len(seen), n)
		}
		var last error
		for _, err := range byPlace(source(broken), size) {
			last = err
		}
		if last != broken {
			t.Errorf("batches of %d: the error became %v", size, last)
		}
		for range byPlace(source(nil), size) {
			break
		}
	}
}

// TestRestoreBatches sees that small attachments come together, large ones alone, all in order, and errors last.
func TestRestoreBatches(t *testing.T) {
	broken := errors.New("broken")
	sizes := slices.Repeat([]int64{1000}, md5Lanes+2)                                      // one full batch, and two
	sizes = append(sizes, wholeFile+1, wholeFile+1, 0, wholeFile, wholeFile, wholeFile, 5) // two alone; what fits into a batch, and the rest
	list := func(yield func(placed, error) bool) {
		for i, size := range sizes {
			if !yield(placed{Entry: &Entry{Key: Key{ID: int64(i)}, Size: size}}, nil) {
				return
			}
		}
		yield(placed{}, broken)
	}
	var got []int
	var next int64
	var last error
	for batch, err := range copyBatches(list) {
		if last = err; err != nil {
			continue
		}
		got = append(got, len(batch))
		for _, p := range batch {
			if p.ID != next {
				t.Fatalf("entry %d in the place of %d", p.ID, next)
			}
			next++
		}
	}
	if want := []int{md5Lanes, 2, 1, 1, 3, 2}; !slices.Equal(got, want) || next != int64(len(sizes)) || last != broken {
		t.Errorf("batches of %v, %d entries, then %v; want %v", got, next, last, want)
	}
}

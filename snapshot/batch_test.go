package snapshot

import (
	"crypto/md5"
	"errors"
	"iter"
	"testing"
)

// TestBatch reads small and large attachments together, more small ones than a batch holds at once, with one that has vanished and one
// whose reading fails.
func TestBatch(t *testing.T) {
	w := newWorld(t)
	for i, size := range []int{0, 100, 700_000, wholeFile, wholeFile + 1, 3 << 20, 3 << 20, 3 << 20, 3 << 20, 3 << 20, 9 << 20, 65_537} {
		data := make([]byte, size)
		for k := range data {
			data[k] = byte(k * (i + 1) >> 7)
		}
		w.addFile(data)
	}
	gone := w.list[1].UUID
	delete(w.files, gone)
	var batch []UUID
	for _, a := range w.list {
		batch = append(batch, a.UUID)
	}
	reader := newBatchReader(nowhere{}, func(m [16]byte) [16]byte { return m }, w.writer().Polynomial())
	for range 2 { // the second time with the memory of the first
		out, err := reader.store(t.Context(), w, batch)
		if err != nil {
			t.Fatal(err)
		}
		for i, s := range out {
			data := w.files[batch[i]]
			switch {
			case s.UUID != batch[i] || s.vanished != (batch[i] == gone):
				t.Errorf("attachment %d: %v, vanished %v", i, s.UUID, s.vanished)
			case !s.vanished && (s.Size != int64(len(data)) || s.MD5 != md5.Sum(data)):
				t.Errorf("attachment %d: %d bytes with MD5 %x", i, s.Size, s.MD5)
			}
		}
	}
	failing := errors.New("unreadable")
	if _, err := reader.store(t.Context(), failingArea{w, batch[len(batch)-1], failing}, batch); !errors.Is(err, failing) {
		t.Errorf("an attachment that cannot be read: %v", err)
	}
	if out, err := reader.store(t.Context(), w, batch[:3]); err != nil || out[2].MD5 != md5.Sum(w.files[batch[2]]) {
		t.Errorf("after a failure: %v", err)
	}
}

// failingArea cannot open one attachment.
type failingArea struct {
	Area
	which UUID
	err   error
}

// Open implements Area.
func (f failingArea) Open(u UUID) (File, error) {
	if u == f.which {
		return nil, f.err
	}
	return f.Area.Open(u)
}

func TestBatches(t *testing.T) {
	failing := errors.New("end")
	list := func(n int, end error) iter.Seq2[int, error] {
		return func(yield func(int, error) bool) {
			for i := range n {
				if !yield(i, nil) {
					return
				}
			}
			if end != nil {
				yield(0, end)
			}
		}
	}
	for _, c := range []struct {
		items, batches int
		end            error
	}{{0, 0, nil}, {1, 1, nil}, {4, 1, nil}, {5, 2, nil}, {8, 2, failing}, {9, 3, failing}, {0, 0, failing}} {
		var items, got int
		var last error
		for batch, err := range batches(list(c.items, c.end), 4) {
			if last = err; err == nil {
				got++
				for _, i := range batch {
					if i != items {
						t.Errorf("%+v: item %d in the place of %d", c, i, items)
					}
					items++
				}
			}
		}
		if items != c.items || got != c.batches || last != c.end {
			t.Errorf("%+v: %d items in %d batches, then %v", c, items, got, last)
		}
	}
}

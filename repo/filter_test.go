package repo

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestFilter: what was added may be there, always; of the rest one in a hundred at most.
func TestFilter(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{1, 100, filterPerPage, 50_000} {
		in := make([]uint64, n)
		for i := range in {
			in[i] = rnd.Uint64()
		}
		slices.Sort(in)
		var out bytes.Buffer
		w := filterWriter{out: &out, pages: filterPages(uint32(n)), seed: 7}
		for _, prefix := range in {
			if err := w.add(prefix); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.close(); err != nil {
			t.Fatal(err)
		}
		f := filter{in: bytes.NewReader(out.Bytes()), count: w.pages, seed: 7}
		for _, prefix := range in {
			if may, err := f.mayHold(prefix); !may || err != nil {
				t.Fatalf("%d blobs: one of them is said not to be there: %v", n, err)
			}
		}
		wrong := 0
		for range 10_000 {
			may, err := f.mayHold(rnd.Uint64())
			if err != nil {
				t.Fatal(err)
			}
			if may {
				wrong++
			}
		}
		if wrong > 100 {
			t.Errorf("%d blobs: %d of 10000 others may be there", n, wrong)
		}
	}
}

// FuzzPage: a page that some other program has written gives entries of the ID that was asked for, or damage.
func FuzzPage(f *testing.F) {
	var out bytes.Buffer
	w := pageWriter{out: &out, homes: 1}
	e := entry{id: ID{9: 1}, pack: 1, plain: 2}
	if err := w.add(prefixOf(e.id), e.appendTo(nil), 3); err != nil {
		f.Fatal(err)
	}
	if _, err := w.close(); err != nil {
		f.Fatal(err)
	}
	f.Add(out.Bytes(), e.id[:])
	f.Add([]byte{0, 0, 0, 0, 39}, make([]byte, 32))
	f.Fuzz(func(t *testing.T, b, want []byte) {
		var page [pageSize]byte
		var id ID
		copy(page[:], b)
		copy(id[:], want)
		binary.LittleEndian.PutUint32(page[:], checksum(0, 0, page[4:]))
		count, err := parsePage(page[:], 0, 0)
		if err != nil {
			return
		}
		for i := searchPage(page[:], count, prefixOf(id)); i < count; i++ {
			if b := entryOf(page[:], i); !bytes.Equal(parseEntry(b).appendTo(nil), b) {
				t.Fatal("an entry reads otherwise than it was written")
			}
		}
	})
}

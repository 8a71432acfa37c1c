package snapshot

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/orthokeep/orthokeep/chunk"
	"github.com/orthokeep/orthokeep/repo"
)

func FuzzBlocks(f *testing.F) {
	entries, _, _ := goldenLayer(f)
	f.Add(entries)
	f.Add([]byte{1, 0, 0, 0, 0})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		r := newBlockReader(bytes.NewReader(b))
		var out, index bytes.Buffer
		w := newBlockWriter(&out, &index)
		for {
			var e Entry
			err := r.read(&e)
			if err == io.EOF {
				break
			}
			if err != nil {
				if !errors.Is(err, repo.ErrCorrupt) {
					t.Fatal(err)
				}
				return
			}
			if err := w.write(&e); err != nil {
				t.Fatal("what was read cannot be written:", err)
			}
			if len(r.block) == 0 { // keep the blocks of the input
				if err := w.flush(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if !bytes.Equal(out.Bytes(), b) {
			t.Fatalf("another encoding of the same entries was accepted:\n%x\n%x", b, out.Bytes())
		}
	})
}

func FuzzStreamReference(f *testing.F) {
	f.Add([]byte(`{"length":5,"depth":0,"blobs":["` + repo.ID{1}.String() + `:5"]}`))
	f.Add([]byte(`{"length":-1,"depth":9,"blobs":["x:y"]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var s Stream
		if json.Unmarshal(b, &s) != nil {
			return
		}
		again, err := json.Marshal(s)
		var same Stream
		if err != nil || json.Unmarshal(again, &same) != nil || same.length != s.length || !slices.Equal(same.items, s.items) {
			t.Fatalf("%s became %s", b, again)
		}
	})
}

func FuzzRoot(f *testing.F) {
	id := "0123456789abcdef0123456789abcdef"
	body, err := json.Marshal(Root{Version: 1, ID: id, Time: time.Unix(0, 0).UTC(), Server: "s"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(body)
	f.Add([]byte(`{"version":2}`))
	f.Add([]byte(`{"version":1,"id":"` + id + `","manifest":{"attachments":1,"layers":[{"count":1,"entries":{"length":43,"blobs":["` + repo.ID{1}.String() + `:43"]}}]},` +
		`"index":{"size":512,"page_size":512,"layers":[{"size":512,"pages":{"length":512,"blobs":["` + repo.ID{2}.String() + `:512"]},"hashes":{"length":16,"blobs":["` + repo.ID{3}.String() + `:16"]}}]},"orphans":{}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := parseRoot("20260101T000000Z-"+id, b)
		if err != nil && !errors.Is(err, repo.ErrCorrupt) && !errors.Is(err, repo.ErrUnsupported) {
			t.Fatal(err)
		}
		if err != nil {
			return
		}
		if r.ID != id {
			t.Fatalf("a root of another ID: %q", r.ID)
		}
		if body, err := r.marshal(); err == nil { // a time may be read, and not written
			again, err := parseRoot("20260101T000000Z-"+id, body)
			if err != nil {
				t.Fatal("what was read is written, and not read again:", err)
			}
			if more, err := again.marshal(); err != nil || !bytes.Equal(more, body) {
				t.Fatalf("%s became %s, %v", body, more, err)
			}
		}
	})
}

// TestCutter writes in pieces of all sizes and compares with one splitter over the whole.
func TestCutter(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 3))
	pol, err := chunk.RandomPol()
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{0, 1, 1000, 300_000, 3 << 20} {
		data := make([]byte, size)
		for i := range data {
			data[i] = byte(rnd.Uint32())
		}
		var want [][]byte
		s := chunk.NewSplitter(pol, chunk.Stream)
		s.Reset(bytes.NewReader(data))
		for {
			c, err := s.Next(nil)
			if err == io.EOF {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			want = append(want, c)
		}
		var got [][]byte
		c := newCutter(pol, chunk.Stream, func(b []byte) error { got = append(got, bytes.Clone(b)); return nil })
		for rest := data; len(rest) > 0; {
			n := min(len(rest), 1+rnd.IntN(200_000))
			if _, err := c.Write(rest[:n]); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		if !slices.EqualFunc(got, want, bytes.Equal) {
			t.Errorf("%d bytes: %d chunks, one splitter makes %d", size, len(got), len(want))
		}
	}
}

func TestNewerRootIsNotDamage(t *testing.T) {
	if _, err := parseRoot("x", []byte(`{"version":2,"later":[1]}`)); !errors.Is(err, repo.ErrUnsupported) || errors.Is(err, repo.ErrCorrupt) {
		t.Errorf("a newer root: %v", err)
	}
}

func TestPathsOfExtraFiles(t *testing.T) {
	for path, want := range map[string]bool{"/etc/orthanc/orthanc.json": true, "/": false, "": false, "etc/x": false, "/etc/../x": false, "/etc//x": false, "/etc/x/": false, "/a\x00b": false, "/..": false} {
		if safePath(path) != want {
			t.Errorf("%q: %v", path, !want)
		}
	}
}

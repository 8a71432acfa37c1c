package snapshot

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/zeebo/blake3"

	"github.com/orthokeep/orthokeep/repo"
)

// The fuzz targets of what is read from blobs, but blocks of entries, references and roots (format_test.go).

// accepted fails unless an error says that it is damage, and that in at most limit bytes of memory.
func accepted(t *testing.T, limit uint64, parse func() error) bool {
	t.Helper()
	var err error
	if n := allocated(func() { err = parse() }); n > limit {
		t.Fatalf("%d bytes allocated", n)
	}
	if err != nil && !errors.Is(err, repo.ErrCorrupt) && !errors.Is(err, repo.ErrUnsupported) {
		t.Fatalf("error %v", err)
	}
	return err == nil
}

// memoryFor is what a parser may take for n bytes of input.
func memoryFor(n int) uint64 { return 1<<20 + 64*uint64(n) }

// FuzzEntry reads an entry as the journal keeps it.
func FuzzEntry(f *testing.F) {
	for _, e := range goldenEntries() {
		f.Add(e.append(nil, 0))
	}
	f.Add([]byte{0x80, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		var e Entry
		var rest []byte
		if accepted(t, memoryFor(len(b)), func() (err error) { rest, err = e.parse(b, 0); return err }) {
			if again := append(e.append(nil, 0), rest...); !bytes.Equal(again, b) {
				t.Fatalf("another encoding of the same entry was accepted: %x", again)
			}
		}
	})
}

func FuzzList(f *testing.F) {
	f.Add(marshalList([]item{{repo.ID{1}, 5}, {repo.ID{2}, 7}}), 0, int64(12))
	f.Add(make([]byte, listItem), 3, int64(0))
	f.Fuzz(func(t *testing.T, b []byte, depth int, length int64) {
		var items []item
		if accepted(t, memoryFor(len(b)), func() (err error) { items, err = parseList(b, depth, length); return err }) && !bytes.Equal(marshalList(items), b) {
			t.Fatal("another encoding of the same list was accepted")
		}
	})
}

// FuzzStream reads a stream of two depths, of which the list blobs may be anything.
func FuzzStream(f *testing.F) {
	leaf := repo.ID{3}
	f.Add(marshalList([]item{{repo.ID{2}, 6}}), marshalList([]item{{leaf, 3}, {leaf, 3}}), int64(6), int64(4))
	f.Add(marshalList([]item{{repo.ID{2}, 1 << 40}}), marshalList([]item{{repo.ID{1}, 1 << 40}}), int64(1)<<40, int64(1))
	f.Fuzz(func(t *testing.T, top, below []byte, length, skip int64) {
		b := blobs{{1}: top, {2}: below, leaf: []byte("abc")}
		s := Stream{length, 2, []item{{repo.ID{1}, length}}}
		text, err := json.Marshal(s)
		if err != nil || json.Unmarshal(text, &s) != nil {
			return
		}
		limit := memoryFor(4 * (len(top) + len(below)))
		var n int64
		damaged := func(err error) error {
			if errors.Is(err, repo.ErrNotFound) {
				return repo.ErrCorrupt
			}
			return err
		}
		ok := accepted(t, limit, func() (err error) {
			n, err = io.Copy(io.Discard, newStreamReader(t.Context(), b, repo.Structure, s))
			return damaged(err)
		})
		if ok && n != s.length {
			t.Fatalf("%d bytes of %d", n, s.length)
		}
		if skip >= 0 {
			accepted(t, limit, func() error { return damaged(newStreamReader(t.Context(), b, repo.Structure, s).skip(skip)) })
		}
		accepted(t, limit, func() error {
			return damaged(s.walk(t.Context(), b, repo.Structure, func(repo.Class, item, bool) error { return nil }))
		})
	})
}

func FuzzHeads(f *testing.F) {
	_, _, heads := goldenLayer(f)
	f.Add(heads)
	f.Add(make([]byte, headItem))
	f.Fuzz(func(t *testing.T, b []byte) {
		in := blobs{}
		if len(b) == 0 || len(b) > maxStructure {
			return
		}
		l := Layer{Heads: in.stream(b)}
		var heads []headRef
		if !accepted(t, memoryFor(len(b)), func() (err error) { heads, err = readHeads(context.Background(), in, l); return err }) {
			return
		}
		var again []byte
		for _, h := range heads {
			again = h.append(again)
		}
		if !bytes.Equal(again, b) {
			t.Fatal("another encoding of the same head chunks was accepted")
		}
	})
}

// FuzzFind looks a key up in a layer of which blocks and entries may be anything.
func FuzzFind(f *testing.F) {
	entries, blocks, _ := goldenLayer(f)
	f.Add(entries, blocks, int64(9), 3)
	f.Add(entries, blocks, int64(5), 1)
	f.Add(entries, []byte{}, int64(1), 1)
	f.Fuzz(func(t *testing.T, entries, blocks []byte, id int64, fileType int) {
		if len(entries) == 0 || len(blocks) == 0 || len(entries)+len(blocks) > maxStructure {
			return
		}
		in := blobs{}
		l := Layer{Entries: in.stream(entries), Blocks: in.stream(blocks)}
		key := Key{id, fileType}
		var e *Entry
		ok := accepted(t, memoryFor(4*(len(entries)+len(blocks)))+2<<20, func() (err error) {
			e, err = l.find(context.Background(), in, key)
			if errors.Is(err, ErrNoAttachment) {
				return repo.ErrCorrupt
			}
			return err
		})
		if ok && e.Key != key {
			t.Fatalf("%v was found in the place of %v", e.Key, key)
		}
		var raw [blockItem]byte
		copy(raw[:], blocks)
		if b, err := parseBlockRef(raw); err == nil && !bytes.Equal(b.append(nil), raw[:]) {
			t.Fatal("another encoding of the same block was accepted")
		}
	})
}

// FuzzPageDelta applies a delta to a file of four pages.
func FuzzPageDelta(f *testing.F) {
	const page = 512
	pages := make([]byte, 4*page)
	delta := func(numbers ...uint32) []byte {
		out := binary.LittleEndian.AppendUint32(nil, uint32(len(numbers)))
		for _, n := range numbers {
			out = binary.LittleEndian.AppendUint32(out, n)
		}
		return append(out, make([]byte, page*len(numbers))...)
	}
	for _, numbers := range [][]uint32{{}, {1}, {0, 3, 4}, {9}, {2, 1}} {
		f.Add(delta(numbers...), int64(5*page))
	}
	f.Add([]byte{0xff, 0xff, 0xff, 0xff}, int64(1)<<50)
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, d []byte, size int64) {
		if len(d) == 0 || len(d) > 1<<20 {
			return
		}
		in := blobs{}
		n := (int64(len(d)) - pageNumberSize) / (page + pageNumberSize)
		x := Index{Size: size, PageSize: page, Layers: []IndexLayer{{4 * page, in.stream(pages), Stream{length: 4 * pageHashSize}},
			{size, in.stream(d), Stream{length: n * (pageNumberSize + pageHashSize)}}}}
		path := filepath.Join(dir, "index")
		if err := os.WriteFile(path, pages, 0o600); err != nil {
			t.Fatal(err)
		}
		file, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		ok := accepted(t, memoryFor(4*len(d)), func() error {
			if err := x.check(); err != nil {
				return err
			}
			return applyDelta(context.Background(), in, file, x.Layers[1], page)
		})
		info, err := file.Stat()
		if err != nil {
			t.Fatal(err)
		}
		if ok && info.Size() != size || info.Size() > max(4, 4+n)*page {
			t.Fatalf("%d bytes", info.Size())
		}
	})
}

// FuzzPageHashes puts the hashes of a base and a delta together.
func FuzzPageHashes(f *testing.F) {
	f.Add(make([]byte, 64), make([]byte, 40), int64(4*512), 4)
	f.Add(make([]byte, 64), append([]byte{3, 0, 0, 0}, make([]byte, 16)...), int64(5*512), 2)
	f.Fuzz(func(t *testing.T, base, delta []byte, size int64, pages int) {
		if len(base) == 0 || len(delta) == 0 || len(base)+len(delta) > maxStructure || pages < 0 || pages > 1000 {
			return
		}
		in, n := blobs{}, int64(len(delta)/(pageNumberSize+pageHashSize))
		first := int64(len(base)/pageHashSize) * 512
		x := Index{Size: size, PageSize: 512, Layers: []IndexLayer{{first, Stream{length: first}, in.stream(base)},
			{size, Stream{length: pageNumberSize + n*(512+pageNumberSize)}, in.stream(delta)}}}
		var out []byte
		ok := accepted(t, memoryFor(4*(len(base)+len(delta)))+16*uint64(pages), func() (err error) {
			out, err = pageHashes(context.Background(), in, x, pages)
			return err
		})
		if ok && int64(len(out)) != min(size/512, int64(pages))*pageHashSize {
			t.Fatalf("%d bytes for %d pages", len(out), pages)
		}
	})
}

func FuzzFiles(f *testing.F) {
	good, err := json.Marshal(Files{Configuration: "/etc/orthanc", Storage: "/s", Index: "/i", Files: []ExtraFile{
		{Path: "/etc/orthanc/orthanc.json", Kind: "configuration", Mode: 0o640, User: "root", Modified: time.Unix(0, 0).UTC(), Size: 5},
		{Path: "/etc/x.lua", Offset: 5, Size: 7, Link: "y.lua"}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good, int64(12))
	f.Add([]byte(`{"files":[{"path":"/../x"}]}`), int64(0))
	f.Add([]byte(`{"files":[{},null]}`), int64(1)<<50)
	f.Fuzz(func(t *testing.T, b []byte, contents int64) {
		if contents < 0 {
			return
		}
		var files Files
		if !accepted(t, memoryFor(2*len(b)), func() (err error) { files, err = parseFiles(b, contents); return err }) {
			return
		}
		for _, e := range files.Files {
			if place := filepath.Join("/target", e.Path); !safePath(e.Path) || place != "/target"+e.Path {
				t.Fatalf("%q goes to %q", e.Path, place)
			}
		}
		text, err := json.Marshal(files)
		if err != nil {
			return // a time that is read, and not written
		}
		if again, err := parseFiles(text, contents); err != nil || !reflect.DeepEqual(again, files) {
			t.Fatalf("%s was read as %+v, %v", text, again, err)
		}
	})
}

func FuzzLabel(f *testing.F) {
	f.Add([]byte(`{"tags":["a","b"],"held":true}`), labelName("20261123T020417Z-77aa", 3))
	f.Add([]byte(`{"tags":null}`), labelsPrefix+"x.99999999999999999999")
	f.Fuzz(func(t *testing.T, b []byte, name string) {
		if root, n, ok := parseLabelName(name); ok && labelName(root, n) != name {
			t.Fatalf("%q is label %d of %q", name, n, root)
		}
		var l, again Label
		if !accepted(t, memoryFor(len(b)), func() error { return repo.UnmarshalJSON(b, &l, maxLabelValues) }) {
			return
		}
		text, err := json.Marshal(l)
		if err != nil || json.Unmarshal(text, &again) != nil || !reflect.DeepEqual(again, l) {
			t.Fatalf("%s was read as %+v", text, again)
		}
	})
}

// FuzzWhen reads what a person types: a snapshot, and a span of time.
func FuzzWhen(f *testing.F) {
	for _, s := range []string{"latest", "7f3a", "2026-11-23", "2026-11-23 02:00", "1y6m", "90d", "99999999999999999999y", ""} {
		f.Add(s)
	}
	roots := []*Root{{ID: "7f3a", Time: now, name: "20261123T020000Z-7f3a"}, {ID: "7b", Time: now.Add(time.Hour), name: "20261123T030000Z-7b"}}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := Resolve(roots, s, "", time.UTC)
		if (r == nil) == (err == nil) || err != nil && !errors.Is(err, ErrNoSnapshot) && !errors.Is(err, ErrAmbiguous) {
			t.Fatalf("%q: %v, %v", s, r, err)
		}
		if span, err := ParseSpan(s); err == nil && span.before(now).After(now) {
			t.Fatalf("%q goes forward", s)
		}
	})
}

// FuzzJournal: what is read of a journal is read again as it is written.
func FuzzJournal(f *testing.F) {
	sealed := func(body []byte) []byte {
		sum := blake3.Sum256(body)
		return append(append(hex.AppendEncode(nil, sum[:]), '\n'), body...)
	}
	_, good, _ := bytes.Cut(journalState{Run: "r", Last: &lastRoot{"x", "n", 3}, Seed: 7, End: 16, Heads: []headRef{{repo.ID{1}, 5}}}.marshal(), []byte("\n"))
	f.Add(good)
	f.Add([]byte(`{"heads":["00"],"end":-1}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		s, err := parseJournal(sealed(body))
		if err != nil {
			return
		}
		if again, err := parseJournal(s.marshal()); err != nil || !bytes.Equal(again.marshal(), s.marshal()) {
			t.Fatalf("%s was read as %+v, %v", s.marshal(), again, err)
		}
		if _, err := parseJournal(body); err == nil {
			t.Fatal("a journal without a checksum")
		}
	})
}

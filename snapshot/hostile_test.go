package snapshot

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/orthokeep/orthokeep/repo"
)

// What somebody writes who holds the writer key: seals and identities are right, and what is sealed is not. Every case is refused in little memory
// and time only because of a limit.

// allocated returns the bytes that f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// refusedWithin fails unless f refuses what it reads as damage, within seconds, and allocates at most limit bytes.
func refusedWithin(t *testing.T, limit uint64, f func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var err error
	if n := allocated(func() { err = f(ctx) }); n > limit {
		t.Errorf("%d bytes allocated, at most %d are wanted", n, limit)
	}
	if !errors.Is(err, repo.ErrCorrupt) {
		t.Errorf("error %v", err)
	}
}

// blobs is a repository of a few blobs in memory.
type blobs map[repo.ID][]byte

func (b blobs) put(plain []byte) item {
	var id repo.ID
	binary.LittleEndian.PutUint64(id[:], uint64(len(b)+1))
	b[id] = plain
	return item{id, int64(len(plain))}
}

func (b blobs) Get(ctx context.Context, _ repo.Class, id repo.ID, dst []byte) ([]byte, error) {
	plain, ok := b[id]
	if !ok {
		return nil, repo.ErrNotFound
	}
	return append(dst, plain...), ctx.Err()
}

// stream is one blob.
func (b blobs) stream(plain []byte) Stream {
	it := b.put(plain)
	return Stream{it.length, 0, []item{it}}
}

// repeated is a stream that is one blob again and again: 4096 times for each depth, 16 times at the end.
func (b blobs) repeated(plain []byte, depth int) Stream {
	it := b.put(plain)
	for range depth {
		items := make([]item, maxListItems)
		for i := range items {
			items[i] = it
		}
		length := it.length * maxListItems
		it = b.put(marshalList(items))
		it.length = length
	}
	return Stream{it.length, depth, []item{it}}
}

// repeatedDelta is a page delta of n pages, 4096², that is one blob again and again.
func (b blobs) repeatedDelta(n uint32, page int) Stream {
	list := func(it item) item { return item{b.put(marshalList([]item{it})).id, it.length} }
	count := list(list(b.put(binary.LittleEndian.AppendUint32(nil, n))))
	rest := b.repeated(make([]byte, pageNumberSize+page), 2)
	return Stream{count.length + rest.length, 2, []item{count, rest.items[0]}}
}

func TestHostileStreams(t *testing.T) {
	b := blobs{}
	endless := b.repeated([]byte("x"), maxDepth)
	t.Run("a place before the stream", func(t *testing.T) {
		refusedWithin(t, 1<<20, func(ctx context.Context) error { return newStreamReader(ctx, b, repo.Structure, endless).skip(-1) })
	})
	t.Run("a walk of 2^48 blobs", func(t *testing.T) {
		n := 0
		err := endless.walk(t.Context(), b, repo.Structure, func(repo.Class, item, bool) error {
			if n++; n > 1<<20 {
				return errors.New("it goes on")
			}
			return nil
		})
		if err != nil || n != maxListItems+maxDepth {
			t.Errorf("%d visits, %v", n, err)
		}
	})
	t.Run("a long blob of structure", func(t *testing.T) {
		s := b.stream(make([]byte, maxStructure+1))
		refusedWithin(t, 1<<20, func(ctx context.Context) error {
			_, err := io.ReadAll(newStreamReader(ctx, b, repo.Structure, s))
			return err
		})
	})
	for name, s := range map[string]Stream{
		"a list of another length": {endless.length - 1, endless.depth, []item{{endless.items[0].id, endless.length - 1}}},
		"a list that is none":      {41, 1, []item{{b.put(make([]byte, 41)).id, 41}}},
		"a list of nothing":        {1, 1, []item{{b.put(nil).id, 1}}},
		"a list that is too long":  {1, 1, []item{{b.put(make([]byte, listItem*(maxListItems+1))).id, 1}}},
		"a blob of another length": {2, 0, []item{{b.put([]byte("x")).id, 2}}},
	} {
		t.Run(name, func(t *testing.T) {
			refusedWithin(t, 2<<20, func(ctx context.Context) error {
				_, err := io.Copy(io.Discard, newStreamReader(ctx, b, repo.Structure, s))
				return err
			})
		})
	}
}

// TestStreamKey: a stream that is looked at in the place of another one lets a prune delete what the other needs.
func TestStreamKey(t *testing.T) {
	id := repo.ID{1}
	a := Stream{10, 1, []item{{id, 10}}}
	for name, other := range map[string]Stream{"depth": {10, 0, []item{{id, 10}}}, "length": {11, 1, []item{{id, 11}}}} {
		if a.key() == other.key() {
			t.Errorf("streams of another %s have one key", name)
		}
	}
	b := blobs{}
	deep := b.repeated([]byte("abc"), 1)
	flat := Stream{deep.length, 0, deep.items}
	var needed []repo.ID
	roots := []*Root{
		{ID: strings.Repeat("a", 32), Index: Index{Layers: []IndexLayer{{Pages: flat}}}},
		{ID: strings.Repeat("b", 32), Index: Index{Layers: []IndexLayer{{Pages: deep}}}},
	}
	if _, err := findNeeds(t.Context(), b, roots, func(id repo.ID, _ int) error { needed = append(needed, id); return nil }); err != nil {
		t.Fatal(err)
	}
	if want := (repo.ID{1}); len(needed) < 3 || needed[2] != want {
		t.Errorf("the blobs of the second snapshot are not needed: %v", needed)
	}
}

func TestHostileManifests(t *testing.T) {
	b := blobs{}
	head := bytes.Repeat(headRef{repo.ID{1}, 1}.append(nil), 4096)
	t.Run("head chunks without end", func(t *testing.T) {
		l := Layer{Heads: b.repeated(head, 2)}
		refusedWithin(t, 1<<20, func(ctx context.Context) error { _, err := readHeads(ctx, b, l); return err })
	})
	t.Run("the same block without end", func(t *testing.T) {
		var e, index bytes.Buffer
		w := newBlockWriter(&e, &index)
		if err := errors.Join(w.write(&Entry{Key: Key{1, 1}}), w.flush()); err != nil {
			t.Fatal(err)
		}
		m := Manifest{Layers: []Layer{{Entries: b.repeated(e.Bytes(), 3)}}}
		refusedWithin(t, 4<<20, func(ctx context.Context) error {
			for _, err := range m.entries(ctx, b) {
				if err != nil {
					return err
				}
			}
			return nil
		})
	})
	raw := func(entries ...byte) []byte {
		return append(binary.LittleEndian.AppendUint32(nil, uint32(len(entries))), entries...)
	}
	many := raw(bytes.Repeat([]byte{1, 1, flagDeleted}, blockEntries+1)...)
	for name, block := range map[string][]byte{
		"a block of 4 GB":             {0xff, 0xff, 0xff, 0xff},
		"a block of nothing":          {0, 0, 0, 0},
		"a block that is cut short":   {200, 0, 0, 0, 1},
		"a block of too many entries": many,
		"a key that comes twice":      raw(1, 1, flagDeleted, 0, 1, flagDeleted),
		"a file type beyond":          raw(1, 0x80, 0x80, 4, flagDeleted),
		"an id beyond 2^62":           raw(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 1, flagDeleted),
		"a number written otherwise":  raw(0x81, 0, 1, flagDeleted),
		"flags that are not known":    raw(1, 1, 8),
		"a deletion with more":        raw(1, 1, flagDeleted|flagStated),
		"more bulk than bytes":        raw(append(append([]byte{1, 1, 0}, make([]byte, 16)...), append([]byte{0, 1}, append(make([]byte, 16), 0, 0xff, 0xff, 3)...)...)...),
	} {
		t.Run(name, func(t *testing.T) {
			refusedWithin(t, 1<<20, func(context.Context) error {
				r := newBlockReader(bytes.NewReader(block))
				for {
					if err := r.read(&Entry{}); err != nil {
						return err
					}
				}
			})
		})
	}
}

// TestHostileHeads: two references to one chunk that say different lengths of it, and heads that lie outside.
func TestHostileHeads(t *testing.T) {
	b := blobs{}
	it := b.put([]byte("0123456789"))
	right, wrong := headRef{it.id, 10}, headRef{it.id, 1000}
	for _, order := range [][]headRef{{right, wrong}, {wrong, right}} {
		cache := newHeadCache(b, 2)
		for _, h := range order {
			data, err := cache.get(t.Context(), h)
			if h == right && (err != nil || len(data) != 10) || h == wrong && !errors.Is(err, repo.ErrCorrupt) {
				t.Errorf("length %d: %d bytes, %v", h.length, len(data), err)
			}
		}
	}
	for _, e := range []Entry{
		{headLength: 1, headChunk: 1 << 40}, {headLength: 1, headOffset: 10}, {headLength: 11}, {headLength: maxFileSize},
	} {
		var last error
		for _, last = range e.headParts([]headRef{right}) {
			if last != nil {
				break
			}
		}
		if !errors.Is(last, repo.ErrCorrupt) {
			t.Errorf("%+v: %v", e, last)
		}
	}
}

func TestHostileBlockLists(t *testing.T) {
	good := blockRef{Key{1, 1}, 1, 0, 100}
	for name, change := range map[string]func(*blockRef){
		"a negative offset":  func(b *blockRef) { b.offset = -1 },
		"an offset beyond":   func(b *blockRef) { b.offset = 1 << 60 },
		"a gap":              func(b *blockRef) { b.offset = 7 },
		"no entries":         func(b *blockRef) { b.entries = 0 },
		"too many entries":   func(b *blockRef) { b.entries = blockEntries + 1 },
		"a length of 4 GB":   func(b *blockRef) { b.length = 1<<32 - 1 },
		"no length":          func(b *blockRef) { b.length = blockPrefix },
		"a negative id":      func(b *blockRef) { b.first.ID = -1 },
		"a file type beyond": func(b *blockRef) { b.first.FileType = maxFileType + 1 },
	} {
		t.Run(name, func(t *testing.T) {
			bad, b := good, blobs{}
			change(&bad)
			l := Layer{Blocks: b.stream(bad.append(nil)), Entries: b.stream(make([]byte, 100))}
			refusedWithin(t, 1<<20, func(ctx context.Context) error { _, err := l.find(ctx, b, Key{1, 1}); return err })
		})
	}
	t.Run("half a block", func(t *testing.T) {
		b := blobs{}
		l := Layer{Blocks: b.stream(good.append(nil)[:blockItem/2]), Entries: b.stream(make([]byte, 100))}
		refusedWithin(t, 1<<20, func(ctx context.Context) error { _, err := l.find(ctx, b, Key{1, 1}); return err })
	})
	t.Run("the same block without end", func(t *testing.T) {
		b := blobs{}
		l := Layer{Blocks: b.repeated(good.append(nil), 3), Entries: b.stream(make([]byte, 100))}
		refusedWithin(t, 1<<20, func(ctx context.Context) error { _, err := l.find(ctx, b, Key{9, 1}); return err })
	})
}

// restoredIndex writes the deltas of an index, and returns what came of it.
func restoredIndex(t *testing.T, x Index, b blobs) error {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "index"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := x.check(); err != nil {
		return err
	}
	for i, l := range x.Layers {
		if i > 0 {
			err = applyDelta(t.Context(), b, f, l, x.PageSize)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func TestHostileIndices(t *testing.T) {
	const page = 4096
	delta := func(count uint32, pages int, numbers ...uint32) []byte {
		out := binary.LittleEndian.AppendUint32(nil, count)
		for _, n := range numbers {
			out = binary.LittleEndian.AppendUint32(out, n)
		}
		return append(out, make([]byte, pages*page)...)
	}
	b := blobs{}
	sums := func(n, size int) Stream { return b.stream(make([]byte, n*size)) }
	base := IndexLayer{2 * page, b.stream(make([]byte, 2*page)), sums(2, 16)}
	layer := func(size int64, d []byte, hashes Stream) IndexLayer { return IndexLayer{size, b.stream(d), hashes} }
	x := func(size int64, layers ...IndexLayer) Index { return Index{size, page, "", layers} }
	with := func(x Index, pageSize int) Index { x.PageSize = pageSize; return x }
	good := x(3*page, base, layer(3*page, delta(2, 2, 0, 2), sums(2, 20)))
	if err := restoredIndex(t, good, b); err != nil {
		t.Fatal("a good one:", err)
	}
	zeros := make([]byte, 1<<20)
	for _, c := range []struct {
		name string
		x    Index
	}{
		{"no page size", with(good, 0)},
		{"a page size of 1", with(good, 1)},
		{"a negative page size", with(good, -page)},
		{"a page size of 4095", with(good, page-1)},
		{"pages that have it", with(x(2*4095, IndexLayer{2 * 4095, b.stream(make([]byte, 2*4095)), sums(2, 16)}), page-1)},
		{"a page size of 1 MB", with(good, 1<<20)},
		{"a negative size", x(-page, IndexLayer{-page, Stream{}, Stream{}})},
		{"another size than that of its layers", x(4*page, base)},
		{"a base of another size", x(page, IndexLayer{page, base.Pages, sums(1, 16)})},
		{"no hashes", x(2*page, IndexLayer{2 * page, base.Pages, Stream{}})},
		{"hashes without end", x(2*page, IndexLayer{2 * page, base.Pages, b.repeated(zeros[:1600], 4)})},
		{"65 layers", x(2*page, bytesLayers(base, 65)...)},
		{"a delta that makes the file grow for nothing", x(1<<40, base, layer(1<<40, delta(0, 0), Stream{}))},
		{"a delta of more pages than it has", x(2*page, base, layer(2*page, delta(1<<32-1, 1, 0), sums(1, 20)))},
		{"a delta of more pages than the file", x(page, base, layer(page, delta(2, 2, 0, 1), sums(2, 20)))},
		{"a delta of 2^24 pages that are one", x(1<<24*page, base, IndexLayer{1 << 24 * page, b.repeatedDelta(1<<24, page), Stream{length: 1 << 24 * 20}})},
		{"a page beyond the file", x(2*page, base, layer(2*page, delta(1, 1, 2), sums(1, 20)))},
		{"a page that comes twice", x(2*page, base, layer(2*page, delta(2, 2, 1, 1), sums(2, 20)))},
		{"pages that are not ascending", x(2*page, base, layer(2*page, delta(2, 2, 1, 0), sums(2, 20)))},
		{"more pages than SQLite takes", with(x(512<<32, IndexLayer{512 << 32, Stream{512 << 32, 0, nil}, Stream{16 << 32, 0, nil}}), 512)},
	} {
		t.Run(c.name, func(t *testing.T) {
			refusedWithin(t, 4<<20, func(context.Context) error { return restoredIndex(t, c.x, b) })
		})
	}
	t.Run("a delta without a number of pages", func(t *testing.T) {
		f, err := os.Create(filepath.Join(t.TempDir(), "index"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		short := Index{PageSize: page, Layers: []IndexLayer{base, {Pages: b.stream([]byte{1, 0})}}}
		refusedWithin(t, 1<<20, func(ctx context.Context) error { return applyLayer(ctx, b, f, short, 1) })
	})
	t.Run("hashes of a parent of 2^26 pages", func(t *testing.T) {
		hash := b.repeated(zeros[:256<<10], 1)
		size := hash.length / 16 * page
		huge := x(size, IndexLayer{size, Stream{length: size}, hash})
		n := allocated(func() {
			if out, err := pageHashes(t.Context(), b, huge, 100); err != nil || len(out) != 1600 {
				t.Errorf("%d bytes, %v", len(out), err)
			}
		})
		if n > 1<<20 {
			t.Errorf("%d bytes allocated", n)
		}
	})
}

func bytesLayers(l IndexLayer, n int) (all []IndexLayer) {
	for range n {
		all = append(all, l)
	}
	return all
}

func TestHostileRoots(t *testing.T) {
	id := "0123456789abcdef0123456789abcdef"
	body := func(more string) []byte {
		return fmt.Appendf(nil, `{"version":1,"id":%q,"time":"2026-01-01T00:00:00Z"%s}`, id, more)
	}
	parse := func(b []byte) error { _, err := parseRoot("20260101T000000Z-"+id, b); return err }
	if err := parse(body("")); err != nil {
		t.Fatal("a good one:", err)
	}
	list := func(value string) string { return strings.Repeat(value+",", 1<<20) + value }
	for _, c := range []struct{ name, more string }{
		{"a million empty layers", `,"manifest":{"layers":[` + list("{}") + `]}`},
		{"a million layers of nothing", `,"index":{"layers":[` + list("null") + `]}`},
		{"a million blobs of a stream", `,"files":{"list":{"blobs":[` + list(`""`) + `]}}`},
		{"a million tags", `,"tags":[` + list(`""`) + `]`},
		{"nested without end", `,"x":` + strings.Repeat("[", 60_000)},
		{"65 layers", `,"manifest":{"layers":[{}` + strings.Repeat(",{}", 64) + `]}`},
		{"2^60 attachments", `,"manifest":{"attachments":1152921504606846976}`},
		{"a negative number of attachments", `,"manifest":{"attachments":-1}`},
		{"a layer of more entries than bytes", `,"manifest":{"layers":[{"count":1}]}`},
		{"a layer of negative deletions", `,"manifest":{"layers":[{"deleted":-1}]}`},
		{"a count of 2^62 bytes", `,"counts":{"bytes":4611686018427387904}`},
		{"a negative count", `,"counts":{"attachments":-1}`},
		{"orphans of negative bytes", `,"orphans":{"bytes":-1}`},
		{"a stream of negative length", `,"files":{"list":{"length":-1}}`},
		{"a stream that is too deep", `,"files":{"list":{"depth":5}}`},
		{"a stream of 2^62 bytes", `,"files":{"list":{"length":4611686018427387904,"depth":4,"blobs":["` + strings.Repeat("0", 64) + `:4611686018427387904"]}}`},
		{"a blob of 17 MB", `,"files":{"list":{"length":17825792,"blobs":["` + strings.Repeat("0", 64) + `:17825792"]}}`},
		{"an index of no size", `,"index":{"layers":[{}]}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := body(c.more)
			refusedWithin(t, 1<<20, func(context.Context) error { return parse(b) })
		})
	}
}

func TestHostileExtraFiles(t *testing.T) {
	files := func(paths ...string) []byte {
		f := Files{}
		for _, p := range paths {
			f.Files = append(f.Files, ExtraFile{Path: p})
		}
		b, err := json.Marshal(f)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	long := strings.Repeat("a", 256)
	cases := map[string][]byte{
		"a file without a path":         []byte(`{"files":[{}]}`),
		"a million of them":             []byte(`{"files":[` + strings.Repeat("{},", 1<<20) + `{}]}`),
		"more files than a limit":       manyFiles(maxExtraFiles + 1),
		"files of nothing":              []byte(`{"files":[null]}`),
		"above the target":              files("/../etc/passwd"),
		"relative":                      files("etc/passwd"),
		"a relative way up":             files("../../etc/passwd"),
		"a dot":                         files("/etc/./passwd"),
		"an empty part":                 files("/etc//passwd"),
		"the target itself":             files("/"),
		"a folder":                      files("/etc/"),
		"a zero":                        files("/etc/a\x00b"),
		"a part of 256 bytes":           files("/" + long),
		"a path of 5000 bytes":          files(strings.Repeat("/abcd", 1000)),
		"the same twice":                files("/etc/a", "/etc/b", "/etc/a"),
		"a file below a file":           files("/etc/a/b/c", "/etc/a"),
		"a size beyond the contents":    []byte(`{"files":[{"path":"/a","size":1001}]}`),
		"an offset beyond the contents": []byte(`{"files":[{"path":"/a","offset":9223372036854775807,"size":1}]}`),
		"a negative offset":             []byte(`{"files":[{"path":"/a","offset":-1,"size":1}]}`),
		"a negative size":               []byte(`{"files":[{"path":"/a","size":-1}]}`),
		"files that share contents":     []byte(`{"files":[{"path":"/a","size":600},{"path":"/b","size":600}]}`),
		"a configuration above":         []byte(`{"configuration":"/../x"}`),
		"a storage area above":          []byte(`{"storage":"../x"}`),
		"an index folder of zeros":      []byte(`{"index":"/x\u0000"}`),
	}
	for name, b := range cases {
		t.Run(name, func(t *testing.T) {
			refusedWithin(t, 160<<20, func(context.Context) error { _, err := parseFiles(b, 1000); return err })
		})
	}
	f, err := parseFiles([]byte(`{"configuration":"/etc/orthanc","files":[{"path":"/dev/null","size":400},{"path":"/DEV/null","offset":400,"size":600}]}`), 1000)
	if err != nil || len(f.Files) != 2 || f.Files[1].Path != "/DEV/null" || f.Configuration != "/etc/orthanc" {
		t.Errorf("good ones: %+v, %v", f, err)
	}
}

// manyFiles is a list of n files.
func manyFiles(n int) []byte {
	out := []byte(`{"files":[{"path":"/0"}`)
	for i := 1; i < n; i++ {
		out = fmt.Appendf(out, `,{"path":"/%d"}`, i)
	}
	return append(out, "]}"...)
}

// TestMostExtraFiles: what may be stored can be read.
func TestMostExtraFiles(t *testing.T) {
	e := ExtraFile{Kind: "worklist", Key: "Worklists.Database", Mode: 0o644, UID: 110, GID: 112, User: "orthanc", Group: "orthanc", Modified: time.Unix(1, 2).UTC(), Link: "/x"}
	var f Files
	for i := range maxExtraFiles {
		e.Path, e.Offset, e.Size = fmt.Sprintf("/var/lib/orthanc/worklists/%d.wl", i), int64(i), 1
		f.Files = append(f.Files, e)
	}
	b, err := json.Marshal(f)
	if err != nil || len(b) > maxFilesDocument {
		t.Fatalf("%d bytes, %v", len(b), err)
	}
	got, err := parseFiles(b, maxExtraFiles)
	if err != nil || len(got.Files) != maxExtraFiles {
		t.Fatalf("%d files, %v", len(got.Files), err)
	}
}

// TestWithin: a manifest that lists more than the snapshot says fills no disk.
func TestWithin(t *testing.T) {
	sizes := func(sizes ...int64) func(func(placed, error) bool) {
		return func(yield func(placed, error) bool) {
			for _, n := range sizes {
				if !yield(placed{Entry: &Entry{Size: n}}, nil) {
					return
				}
			}
		}
	}
	for _, c := range []struct {
		attachments, bytes int64
		good               bool
	}{{3, 111, true}, {4, 1000, true}, {2, 111, false}, {3, 110, false}, {3, 0, false}} {
		n := 0
		var last error
		for _, err := range within(sizes(1, 10, 100), c.attachments, c.bytes) {
			if last = err; err == nil {
				n++
			}
		}
		if c.good != (last == nil && n == 3) || last != nil && !errors.Is(last, repo.ErrCorrupt) {
			t.Errorf("%+v: %d entries, %v", c, n, last)
		}
	}
}

// TestByPlaceOfLargeFiles: a batch ends at a number of chunks too, 40 bytes each; one entry may have thirty thousand.
func TestByPlaceOfLargeFiles(t *testing.T) {
	const each = 30_000
	bulk, given := make([]bulkRef, each), 0
	source := func(yield func(placed, error) bool) {
		for range 200 {
			if given++; !yield(placed{Entry: &Entry{bulk: bulk}}, nil) {
				return
			}
		}
	}
	n, most := 0, 0
	for range byPlace(source, placeBatch) {
		most = max(most, given-n)
		n++
	}
	if n != 200 || most > placeBulk/each+1 {
		t.Errorf("%d of 200 entries, up to %d at once", n, most)
	}
}

func TestFilterOfHostileCounts(t *testing.T) {
	for _, n := range []int64{-1, -1 << 60} {
		if f := newUUIDFilter(n); f.perhaps(UUID{1}) {
			t.Errorf("%d: not empty", n)
		}
	}
	if n := len(newUUIDFilter(1<<40).bits) * 8; n > 400<<20 {
		t.Errorf("%d bytes for 2^40 attachments", n)
	}
}

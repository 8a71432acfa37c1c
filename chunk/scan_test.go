package chunk_test

import (
	"bytes"
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/orthokeep/orthokeep/chunk"
	"github.com/orthokeep/orthokeep/chunk/dicomtest"
	"github.com/orthokeep/orthokeep/chunk/pixel"
)

var update = flag.Bool("update", false, "rewrite the seeds of FuzzScan under testdata")

// padded is a file that begins with data and goes on with zeros. It counts what is asked of it.
type padded struct {
	data  []byte
	size  int64
	reads int
	bytes int
}

func (p *padded) ReadAt(b []byte, off int64) (int, error) {
	p.reads++
	if off >= p.size {
		return 0, io.EOF
	}
	n := int(min(int64(len(b)), p.size-off))
	p.bytes += n
	clear(b[:n])
	if off < int64(len(p.data)) {
		copy(b[:n], p.data[off:])
	}
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func scan(data []byte) (chunk.Boundary, bool) {
	return chunk.Scan(bytes.NewReader(data), int64(len(data)))
}

// TestScanGenerated: the boundary is where the generator put it, for all kinds and encodings, copies included.
func TestScanGenerated(t *testing.T) {
	for _, kind := range dicomtest.Kinds() {
		for s := dicomtest.ExplicitLE; s <= dicomtest.ExplicitBE; s++ {
			columns := 200
			if kind == dicomtest.JPEG2000 {
				columns = 480 // so that the file is not below MinSize
			}
			for i := range dicomtest.Study(dicomtest.Config{Seed: 1, Kind: kind, Columns: columns, Syntax: s, Frames: 2}) {
				for name, c := range map[string]dicomtest.Instance{"original": i, "modified": i.Modify(1), "anonymized": i.Anonymize(2)} {
					name := fmt.Sprintf("%v, syntax %d, %s", kind, s, name)
					got, ok := scan(c.Data)
					if kind == dicomtest.SR {
						if ok {
							t.Errorf("%s: boundary %+v in a file without pixel data", name, got)
						}
						continue
					}
					want := chunk.Boundary{Offset: int64(c.Header)}
					switch kind {
					case dicomtest.JPEG2000:
						want.Encapsulated = true
					case dicomtest.US:
						want.Layout = pixel.Layout{Bits: 8, Columns: columns, Samples: 3, BigEndian: s == dicomtest.ExplicitBE}
					default:
						want.Layout = pixel.Layout{Bits: 16, Columns: columns, Samples: 1, BigEndian: s == dicomtest.ExplicitBE}
					}
					if !ok || got != want {
						t.Errorf("%s: boundary %+v, %v, want %+v", name, got, ok, want)
					}
					if !bytes.Equal(c.Data[c.Header:], i.Data[i.Header:]) {
						t.Errorf("%s: pixel data differs from the original's", name)
					}
				}
			}
		}
	}
}

// TestScanReads: a usual header costs one read, and a file below MinSize none.
func TestScanReads(t *testing.T) {
	for i := range dicomtest.Study(dicomtest.Config{Kind: dicomtest.CT, Columns: 256}) {
		r := &padded{data: i.Data, size: int64(len(i.Data))}
		if _, ok := chunk.Scan(r, r.size); !ok || r.reads != 1 {
			t.Errorf("a CT header of %d bytes took %d reads, boundary %v", i.Header, r.reads, ok)
		}
		r = &padded{data: i.Data, size: chunk.MinSize - 1}
		if _, ok := chunk.Scan(r, r.size); ok || r.reads != 0 {
			t.Errorf("a file below MinSize took %d reads, boundary %v", r.reads, ok)
		}
	}
}

// el is an element in Explicit VR Little Endian whose length has 32 bits; length -1 stands for an undefined one.
func el(tag uint32, vr string, length int, value ...[]byte) []byte {
	b := binary.LittleEndian.AppendUint16(nil, uint16(tag>>16))
	b = binary.LittleEndian.AppendUint16(b, uint16(tag))
	b = append(b, vr...)
	if vr != "" {
		b = append(b, 0, 0)
	}
	b = binary.LittleEndian.AppendUint32(b, uint32(length))
	return append(b, slices.Concat(value...)...)
}

func us(tag uint32, v uint16) []byte {
	b := binary.LittleEndian.AppendUint16(nil, uint16(tag>>16))
	b = binary.LittleEndian.AppendUint16(b, uint16(tag))
	return binary.LittleEndian.AppendUint16(append(b, "US\x02\x00"...), v)
}

func part10(syntax string, set ...[]byte) []byte {
	if len(syntax)%2 == 1 {
		syntax += "\x00"
	}
	b := append(make([]byte, 128), "DICM\x02\x00\x10\x00UI"...)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(syntax)))
	return append(append(b, syntax...), slices.Concat(set...)...)
}

// Short names for what the cases below are made of.
const (
	little  = "1.2.840.10008.1.2.1"
	implied = "1.2.840.10008.1.2"
	jpeg    = "1.2.840.10008.1.2.4.50"
)

var (
	itemOpen  = el(0xfffee000, "", -1)
	itemEnd   = el(0xfffee00d, "", 0)
	seqEnd    = el(0xfffee0dd, "", 0)
	item4     = el(0xfffee000, "", 4, []byte{1, 2, 3, 4})
	pixels    = el(0x7fe00010, "OW", 60_000)
	image16   = slices.Concat(us(0x00280002, 1), us(0x00280011, 256), us(0x00280100, 16))
	fragments = slices.Concat(el(0x7fe00010, "OB", -1), el(0xfffee000, "", 0), item4, seqEnd)
)

// scanCases are files of 128 KiB, zeros after what is given. at is where the boundary is, from the end of the part that is given if
// negative or zero; noBoundary when there is none.
var scanCases = []struct {
	name string
	data []byte
	at   int
	want chunk.Boundary // but for Offset
}{
	{"native", part10(little, image16, pixels), 0, chunk.Boundary{Layout: pixel.Layout{Bits: 16, Columns: 256, Samples: 1}}},
	{"rgb by plane", part10(little, us(0x00280002, 3), us(0x00280006, 1), us(0x00280011, 100), us(0x00280100, 8), pixels), 0,
		chunk.Boundary{Layout: pixel.Layout{Bits: 8, Columns: 100, Samples: 3, Planar: true}}},
	{"grey by plane", part10(little, us(0x00280002, 1), us(0x00280006, 1), us(0x00280011, 100), us(0x00280100, 8), pixels), 0,
		chunk.Boundary{Layout: pixel.Layout{Bits: 8, Columns: 100, Samples: 1}}},
	{"pixel data of numbers", part10(little, image16, us(0x7fe00010, 5)), noBoundary, chunk.Boundary{}},
	{"bits of 32", part10(little, us(0x00280002, 1), us(0x00280011, 100), us(0x00280100, 32), pixels), 0, chunk.Boundary{}},
	{"bits of 1", part10(little, us(0x00280002, 1), us(0x00280011, 100), us(0x00280100, 1), pixels), 0, chunk.Boundary{}},
	{"no columns", part10(little, us(0x00280002, 1), us(0x00280100, 16), pixels), 0, chunk.Boundary{}},
	{"columns 0", part10(little, us(0x00280002, 1), us(0x00280011, 0), us(0x00280100, 16), pixels), 0, chunk.Boundary{}},
	{"two samples", part10(little, us(0x00280002, 2), us(0x00280011, 9), us(0x00280100, 16), pixels), 0, chunk.Boundary{}},
	{"float", part10(little, image16, el(0x7fe00008, "OF", 60_000)), 0, chunk.Boundary{}},
	{"double", part10(little, image16, el(0x7fe00009, "OD", 60_000)), 0, chunk.Boundary{}},
	{"encapsulated", part10(jpeg, image16, fragments), -len(fragments) + 12, chunk.Boundary{Encapsulated: true}},
	{"encapsulated, no items", part10(jpeg, image16, el(0x7fe00010, "OB", -1), seqEnd), noBoundary, chunk.Boundary{}},
	{"encapsulated syntax, defined length", part10(jpeg, image16, pixels), 0, chunk.Boundary{}},
	{"deflated", part10("1.2.840.10008.1.2.1.99", image16, pixels), noBoundary, chunk.Boundary{}},
	{"no transfer syntax", part10("", image16, pixels), noBoundary, chunk.Boundary{}},
	{"no preamble", part10(little, image16, pixels)[128:], noBoundary, chunk.Boundary{}},
	{"not DICOM", []byte("SQLite format 3"), noBoundary, chunk.Boundary{}},
	{"no pixel data", part10(little, image16), noBoundary, chunk.Boundary{}},
	{"empty pixel data", part10(little, image16, el(0x7fe00010, "OW", 0)), noBoundary, chunk.Boundary{}},
	{"longer than the file", part10(little, image16, el(0x7fe00010, "OW", 128<<10)), noBoundary, chunk.Boundary{}},
	{"value beyond the file", part10(little, el(0x00091001, "OB", 0x7ffffffe), pixels), noBoundary, chunk.Boundary{}},
	{"out of order", part10(little, us(0x00280011, 256), us(0x00280002, 1), pixels), noBoundary, chunk.Boundary{}},
	{"twice", part10(little, us(0x00280011, 256), us(0x00280011, 256), pixels), noBoundary, chunk.Boundary{}},
	{"unknown VR", part10(little, el(0x00091001, "XY", 2, []byte{1, 2}), pixels), 0, chunk.Boundary{}},
	{"bad VR", part10(little, el(0x00091001, "??", 2, []byte{1, 2}), pixels), noBoundary, chunk.Boundary{}},
	{"text of undefined length", part10(little, el(0x00091001, "UT", -1), pixels), noBoundary, chunk.Boundary{}},
	{"icon", part10(little, el(0x00880200, "SQ", -1), itemOpen, image16, el(0x7fe00010, "OW", 4, []byte{1, 2, 3, 4}), itemEnd, seqEnd, pixels), 0, chunk.Boundary{}},
	{"encapsulated icon", part10(little, el(0x00880200, "SQ", -1), itemOpen, image16, fragments, itemEnd, seqEnd, pixels), 0, chunk.Boundary{}},
	{"open sequence at the pixel data", part10(little, el(0x00880200, "SQ", -1), itemOpen, pixels), noBoundary, chunk.Boundary{}},
	{"item of known length in an open sequence", part10(little, el(0x00880200, "SQ", -1), item4, item4, seqEnd, pixels), 0, chunk.Boundary{}},
	{"open item not ended", part10(little, el(0x00880200, "SQ", -1), itemOpen, seqEnd, pixels), noBoundary, chunk.Boundary{}},
	{"end of an item outside", part10(little, itemEnd, pixels), noBoundary, chunk.Boundary{}},
	{"UN of undefined length", part10(little, el(0x00091001, "UN", -1), itemOpen, el(0x00091002, "", 2, []byte{1, 2}),
		el(0x00091003, "", -1), itemOpen, el(0x00091004, "", 0), itemEnd, seqEnd, itemEnd, seqEnd, us(0x00280100, 16), pixels), 0, chunk.Boundary{}},
	{"implicit", part10(implied, el(0x00280002, "", 2, []byte{1, 0}), el(0x00280011, "", 2, []byte{0, 2}), el(0x00280100, "", 2, []byte{16, 0}),
		el(0x00880200, "", -1), itemOpen, itemEnd, seqEnd, el(0x7fe00010, "", 60_000)), 0,
		chunk.Boundary{Layout: pixel.Layout{Bits: 16, Columns: 512, Samples: 1}}},
	{"implicit with fragments", part10(implied, el(0x7fe00010, "", -1), item4, seqEnd), noBoundary, chunk.Boundary{}},
	{"large values skipped", part10(little, el(0x00091001, "OB", 20_000, make([]byte, 20_000)), el(0x00091002, "OB", 17_000, make([]byte, 17_000)), pixels), 0, chunk.Boundary{}},
	{"deep", part10(little, bytes.Repeat(slices.Concat(el(0x00091001, "SQ", -1), itemOpen), 30), bytes.Repeat(slices.Concat(itemEnd, seqEnd), 30), pixels), 0, chunk.Boundary{}},
	{"too deep", part10(little, bytes.Repeat(slices.Concat(el(0x00091001, "SQ", -1), itemOpen), 33), bytes.Repeat(slices.Concat(itemEnd, seqEnd), 33), pixels), noBoundary, chunk.Boundary{}},
}

const (
	noBoundary = 1
	caseSize   = 128 << 10
)

func TestScanCases(t *testing.T) {
	for _, c := range scanCases {
		got, ok := chunk.Scan(&padded{data: c.data, size: caseSize}, caseSize)
		if c.at == noBoundary {
			if ok {
				t.Errorf("%s: boundary %+v, want none", c.name, got)
			}
			continue
		}
		want := c.want
		want.Offset = int64(len(c.data) + c.at)
		if !ok || got != want {
			t.Errorf("%s: %+v, %v, want %+v", c.name, got, ok, want)
		}
	}
}

// TestScanTruncated: no part of a header has a boundary, whatever follows.
func TestScanTruncated(t *testing.T) {
	for s := dicomtest.ExplicitLE; s <= dicomtest.ExplicitBE; s++ {
		for i := range dicomtest.Study(dicomtest.Config{Seed: 2, Kind: dicomtest.MultiMR, Columns: 64, Syntax: s, Frames: 9}) {
			file := bytes.Repeat([]byte{0xff}, chunk.MinSize)
			for n := range i.Header {
				if b, ok := scan(file); ok {
					t.Fatalf("syntax %d: boundary %+v in the first %d of %d bytes of header", s, b, n, i.Header)
				}
				file[n] = i.Data[n]
			}
			for _, n := range []int{i.Header, i.Header + 1, len(i.Data) - 1} {
				if b, ok := scan(i.Data[:n]); ok {
					t.Errorf("syntax %d: boundary %+v in a file cut off at %d of %d bytes", s, b, n, len(i.Data))
				}
			}
		}
	}
}

// TestScanBounds: a header without end is given up after a bounded number of reads.
func TestScanBounds(t *testing.T) {
	tiny := bytes.Repeat(item4, 17<<20/len(item4))
	for name, data := range map[string][]byte{
		"many small items": part10(little, el(0x00091001, "SQ", -1), tiny),
		"many large items": part10(little, el(0x00091001, "SQ", -1), bytes.Repeat(el(0xfffee000, "", 20_000, make([]byte, 20_000)), 1100)),
	} {
		r := &padded{data: data, size: int64(len(data))}
		if _, ok := chunk.Scan(r, r.size); ok || r.reads > 1024 || r.bytes > 16<<20 {
			t.Errorf("%s: boundary %v after %d reads of %d bytes", name, ok, r.reads, r.bytes)
		}
	}
}

type brokenReader struct{}

func (brokenReader) ReadAt([]byte, int64) (int, error) { return 0, io.ErrClosedPipe }

func TestScanReadError(t *testing.T) {
	if b, ok := chunk.Scan(brokenReader{}, 1<<20); ok {
		t.Errorf("boundary %+v in a file that cannot be read", b)
	}
}

// TestScanReal compares with what is known of real files: all end with their pixel data.
func TestScanReal(t *testing.T) {
	root := os.Getenv("ORTHOKEEP_DICOM")
	if root == "" {
		root = filepath.Join("..", "..", "shared", "dicom")
	}
	names, err := filepath.Glob(filepath.Join(root, "*", "*.dcm"))
	if err != nil || len(names) == 0 {
		t.Skipf("no real DICOM files in %s (ORTHOKEEP_DICOM names the folder)", root)
	}
	for _, n := range names {
		data, err := os.ReadFile(n)
		if err != nil {
			t.Fatal(err)
		}
		columns := 512
		if strings.Contains(n, "mr-") {
			columns = 460
		}
		want := chunk.Boundary{Offset: int64(len(data) - 512*columns*2), Layout: pixel.Layout{Bits: 16, Columns: columns, Samples: 1}}
		if got, ok := scan(data); !ok || got != want {
			t.Errorf("%s: %+v, %v, want %+v", filepath.Base(n), got, ok, want)
		}
	}
}

// seeds are the headers of generated files and the cases above, with the sizes of the files that they begin.
func seeds() map[string]fuzzInput {
	all := map[string]fuzzInput{}
	for _, kind := range dicomtest.Kinds() {
		for s := dicomtest.ExplicitLE; s <= dicomtest.ExplicitBE; s++ {
			if kind != dicomtest.CT && (int(kind)+int(s))%3 != 0 {
				continue
			}
			for i := range dicomtest.Study(dicomtest.Config{Seed: 3, Kind: kind, Columns: 200, Syntax: s, Frames: 1}) {
				all[fmt.Sprintf("%v-%d", kind, s)] = fuzzInput{i.Data[:min(i.Header+16, len(i.Data))], uint32(len(i.Data))}
			}
		}
	}
	for _, c := range scanCases {
		if len(c.data) < 4096 {
			all["case-"+strings.NewReplacer(" ", "-", ",", "").Replace(c.name)] = fuzzInput{c.data, caseSize}
		}
	}
	return all
}

type fuzzInput struct {
	data []byte
	size uint32
}

// TestFuzzSeeds holds the seeds under testdata to what the generator makes; -update rewrites them.
func TestFuzzSeeds(t *testing.T) {
	folder := filepath.Join("testdata", "fuzz", "FuzzScan")
	for name, in := range seeds() {
		file := filepath.Join(folder, name)
		want := fmt.Appendf(nil, "go test fuzz v1\n[]byte(%q)\nuint32(%d)\n", in.data, in.size)
		if *update {
			if err := os.MkdirAll(folder, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := os.ReadFile(file); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not what the generator makes (%v): run go test -update", file, err)
		}
	}
}

// FuzzScan: any file of any size, the bytes after data being zero, gives no boundary or one that makes sense, within
// bounded reads, and the same when asked again.
func FuzzScan(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte, size uint32) {
		r := &padded{data: data, size: int64(size)}
		b, ok := chunk.Scan(r, r.size)
		if r.reads > 1024 || r.bytes > 16<<20 {
			t.Errorf("%d reads of %d bytes", r.reads, r.bytes)
		}
		if again, okAgain := chunk.Scan(r, r.size); again != b || okAgain != ok {
			t.Errorf("first %+v, %v, then %+v, %v", b, ok, again, okAgain)
		}
		if !ok {
			if b != (chunk.Boundary{}) {
				t.Errorf("no boundary, yet %+v", b)
			}
			return
		}
		l := b.Layout
		if b.Offset <= 132 || b.Offset >= r.size || r.size < chunk.MinSize {
			t.Errorf("boundary at %d in a file of %d bytes", b.Offset, r.size)
		}
		if l.Known() && (b.Encapsulated || l.RowBytes() <= 0 || l.Phase != 0 || l.Bits != 8 && l.Bits != 16) {
			t.Errorf("layout %+v, encapsulated %v", l, b.Encapsulated)
		}
	})
}

func BenchmarkScan(b *testing.B) {
	for _, kind := range []dicomtest.Kind{dicomtest.CT, dicomtest.MultiCT} {
		b.Run("kind="+kind.String(), func(b *testing.B) {
			var name string
			for i := range dicomtest.Study(dicomtest.Config{Kind: kind, Columns: 256}) {
				name = filepath.Join(b.TempDir(), "image")
				if err := os.WriteFile(name, i.Data, 0o600); err != nil {
					b.Fatal(err)
				}
			}
			f, err := os.Open(name)
			if err != nil {
				b.Fatal(err)
			}
			defer f.Close()
			info, err := f.Stat()
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, ok := chunk.Scan(f, info.Size()); !ok {
					b.Fatal("no boundary")
				}
			}
		})
	}
}

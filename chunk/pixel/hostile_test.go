package pixel_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/orthokeep/orthokeep/chunk/pixel"
)

// A stream is a small coded image, for tests that damage it.
type stream struct {
	name  string
	plain []byte
	coded []byte
}

func streams(t testing.TB) []stream {
	t.Helper()
	var all []stream
	r := rand.New(rand.NewPCG(21, 22))
	for i, p := range pictures {
		for j, l := range layouts(33) {
			src := p.make(r, 1501)
			l.Phase = int64(i+j) % l.RowBytes()
			enc := pixel.Encoder{Level: levels[(i+j)%3]}
			if coded, ok := enc.Encode(nil, src, l); ok {
				all = append(all, stream{p.name, src, coded})
			}
		}
	}
	if len(all) < 20 {
		t.Fatalf("only %d streams", len(all))
	}
	return all
}

// refused fails unless err is one of the package's.
func refused(t testing.TB, err error) {
	t.Helper()
	if !errors.Is(err, pixel.ErrCorrupt) && !errors.Is(err, pixel.ErrUnsupported) {
		t.Fatalf("error %v", err)
	}
}

func TestDecodeDamaged(t *testing.T) {
	var dec pixel.Decoder
	dst := []byte("kept")
	try := func(src []byte, size int) (changed bool) {
		out, err := dec.Decode(dst, src, size)
		if err != nil {
			refused(t, err)
			if string(out) != "kept" {
				t.Fatal("an error changed dst")
			}
			return true
		}
		if len(out) != 4+size {
			t.Fatalf("%d bytes, not %d", len(out)-4, size)
		}
		return false
	}
	for k, s := range streams(t) {
		n := len(s.plain)
		for i := range s.coded {
			if i > 100 && (i+k)%(8*stride) != 0 {
				continue
			}
			if !try(s.coded[:i], n) {
				t.Fatalf("%s: a stream cut at %d of %d was read", s.name, i, len(s.coded))
			}
			bad := bytes.Clone(s.coded)
			bad[i] ^= 1 << (i % 8)
			try(bad, n)
			bad[i] = 0xff
			try(bad, n)
		}
		if !try(append(bytes.Clone(s.coded), 0), n) {
			t.Fatalf("%s: a byte too many was read", s.name)
		}
		for _, size := range []int{0, 1, n / 2, n - 4, n + 1, n + 4, n + 1000, 1 << 20} {
			try(s.coded, size)
		}
	}
}

func TestDecodeNewerVersion(t *testing.T) {
	var dec pixel.Decoder
	if _, err := dec.Decode(nil, []byte{3, 0, 64, 0, 0, 0}, 100); !errors.Is(err, pixel.ErrUnsupported) {
		t.Errorf("version 3: %v", err)
	}
	for _, src := range [][]byte{nil, {1}, {2}, {0, 0}, {2, 0, 32}, {2, 0, 32, 32, 0, 0}} {
		if _, err := dec.Decode(nil, src, 100); !errors.Is(err, pixel.ErrCorrupt) {
			t.Errorf("%x: %v", src, err)
		}
	}
}

// decodeBound is what Decode says that it allocates at most.
func decodeBound(size int) uint64 { return uint64(17*size + 1<<20) }

// TestDecodeAllocs has heads that promise much.
func TestDecodeAllocs(t *testing.T) {
	for _, src := range [][]byte{
		{1, 0, 0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0, 0},
		{1, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 0, 0, 0},
		{1, 1, 0x80, 0x80, 0x40, 0, 0, 0}, // a row of a megabyte
		{2, 1, 0x80, 0x80, 0x40, 0xff, 0xff, 0x3f, 0, 0, 0},
		{1, 0x80, 64, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f},
	} {
		for _, size := range []int{100, 70_000, 1<<20 + 5} {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			var dec pixel.Decoder
			_, err := dec.Decode(nil, src, size)
			runtime.ReadMemStats(&after)
			refused(t, err)
			if got := after.TotalAlloc - before.TotalAlloc; got > decodeBound(size) {
				t.Errorf("%x, %d bytes: %d bytes allocated", src, size, got)
			}
		}
	}
}

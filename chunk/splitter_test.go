package chunk_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/iotest"

	"github.com/restic/chunker"

	"github.com/orthokeep/orthokeep/chunk"
)

const testPol = chunk.Pol(0x3DA3358B4DC173)

// kinds has small bounds beside the real ones, so that the properties see many cuts in little data.
var kinds = []struct {
	name   string
	bounds chunk.Bounds
}{
	{"bulk", chunk.Bulk},
	{"heads", chunk.Heads},
	{"stream", chunk.Stream},
	{"small", chunk.Bounds{Min: 256, Max: 4096, AverageBits: 9}},
	{"least", chunk.Bounds{Min: 64, Max: 512, AverageBits: 8}},
}

func random(seed uint64, n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8(sha256.Sum256(fmt.Append(nil, seed))).Read(b)
	return b
}

// cut returns the chunks of r, each in memory of its own.
func cut(t testing.TB, s *chunk.Splitter, r io.Reader) [][]byte {
	t.Helper()
	var (
		chunks [][]byte
		buf    []byte
	)
	s.Reset(r)
	for {
		data, err := s.Next(buf)
		if err == io.EOF {
			return chunks
		}
		if err != nil {
			t.Fatal(err)
		}
		chunks = append(chunks, bytes.Clone(data))
		buf = data
		for i := range buf { // the caller may do what it likes with data that it is done with
			buf[i] = 0xaa
		}
	}
}

func lengths(chunks [][]byte) []int {
	var n []int
	for _, c := range chunks {
		n = append(n, len(c))
	}
	return n
}

// sizes are the lengths around the bounds and restic/chunker's buffer, where mistakes would be, and a long one.
func sizes(b chunk.Bounds) []int {
	lo := int(b.Min)
	return []int{0, 1, 63, 64, 65, lo - 1, lo, lo + 1, 2 * lo, 512<<10 - 1, 512 << 10, 512<<10 + 1, 3 << 20}
}

// TestSameAsRestic holds the cuts to those of restic/chunker alone, for one splitter used for all streams in turn.
func TestSameAsRestic(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			data := random(1, 3<<20)
			s := chunk.NewSplitter(testPol, k.bounds)
			for _, n := range sizes(k.bounds) {
				ref := chunker.NewWithBoundaries(bytes.NewReader(data[:n]), testPol, k.bounds.Min, k.bounds.Max)
				ref.SetAverageBits(k.bounds.AverageBits)
				var want []int
				for {
					c, err := ref.Next(nil)
					if err != nil {
						break
					}
					want = append(want, len(c.Data))
				}
				chunks := cut(t, s, bytes.NewReader(data[:n]))
				if got := lengths(chunks); !slices.Equal(got, want) {
					t.Fatalf("%d bytes: cut into %v, restic/chunker cuts into %v", n, got, want)
				}
				if !bytes.Equal(slices.Concat(chunks...), data[:n]) {
					t.Fatalf("%d bytes: joined chunks differ from the input", n)
				}
				for i, c := range chunks {
					if len(c) > int(k.bounds.Max) || len(c) < int(k.bounds.Min) && i < len(chunks)-1 {
						t.Fatalf("%d bytes: chunk %d has %d bytes", n, i, len(c))
					}
				}
			}
		})
	}
}

// TestSlicing: the cuts do not depend on how the reader slices the stream.
func TestSlicing(t *testing.T) {
	b := chunk.Bounds{Min: 1024, Max: 16 << 10, AverageBits: 12}
	s := chunk.NewSplitter(testPol, b)
	for _, n := range []int{0, 1, 1023, 1024, 1025, 300_000} {
		data := random(2, n)
		want := lengths(cut(t, s, bytes.NewReader(data)))
		var inMemory []int
		for rest := data; len(rest) > 0; rest = rest[inMemory[len(inMemory)-1]:] {
			inMemory = append(inMemory, s.Cut(rest))
		}
		if !slices.Equal(inMemory, want) {
			t.Errorf("%d bytes in memory: cut into %v, want %v", n, inMemory, want)
		}
		for name, r := range map[string]io.Reader{
			"one byte":       iotest.OneByteReader(bytes.NewReader(data)),
			"half":           iotest.HalfReader(bytes.NewReader(data)),
			"data and error": iotest.DataErrReader(bytes.NewReader(data)),
			"two parts":      io.MultiReader(bytes.NewReader(data[:n/2]), bytes.NewReader(data[n/2:])),
		} {
			chunks := cut(t, s, r)
			if got := lengths(chunks); !slices.Equal(got, want) || !bytes.Equal(slices.Concat(chunks...), data) {
				t.Errorf("%s reader of %d bytes: cut into %v, want %v", name, n, got, want)
			}
		}
	}
}

// TestGoldenCuts: these lengths are stored in repositories. A difference means that every stream would be stored again.
func TestGoldenCuts(t *testing.T) {
	golden := map[string][]int{
		"bulk": {
			856550, 668397, 2333497, 540133, 2036030, 1110013, 955678, 2147583, 753874, 1146742,
			1074318, 2858873, 295528,
		},
		"heads": {
			831252, 403382, 290313, 683503, 796440, 433067, 420487, 504567, 455268, 1616328, 1110013, 511780, 332208,
		},
		"stream": {
			30280, 173319, 137022, 84352, 16609, 35257, 28274, 150658, 175481, 25298, 18163, 50417, 82312, 41134,
		},
	}
	for _, k := range kinds[:3] {
		n := min(16<<20, 4*int(k.bounds.Max))
		got := lengths(cut(t, chunk.NewSplitter(testPol, k.bounds), bytes.NewReader(random(3, n))))
		if !slices.Equal(got, golden[k.name]) {
			t.Errorf("%s: cut into %#v", k.name, got)
		}
	}
}

// TestInsert: a byte put in changes the chunk it falls in and few after it, wherever it is.
func TestInsert(t *testing.T) {
	const seeds, at = 4, 8
	b := chunk.Bounds{Min: 1024, Max: 16 << 10, AverageBits: 12}
	s := chunk.NewSplitter(testPol, b)
	for seed := range uint64(seeds) {
		data := random(100+seed, 400_000)
		known := map[string]bool{}
		for _, c := range cut(t, s, bytes.NewReader(data)) {
			known[string(c)] = true
		}
		for i := range at {
			p := i * len(data) / at
			fresh := 0
			for _, c := range cut(t, s, bytes.NewReader(slices.Insert(slices.Clone(data), p, 'x'))) {
				if !known[string(c)] {
					fresh++
				}
			}
			if fresh < 1 || fresh > 8 {
				t.Errorf("seed %d: a byte put in at %d changed %d of %d chunks", seed, p, fresh, len(known))
			}
		}
	}
}

// TestReaderError: the error comes back as it is, wherever it strikes, again and again; io.ErrUnexpectedEOF included,
// which restic/chunker by itself takes for the end.
func TestReaderError(t *testing.T) {
	b := chunk.Bounds{Min: 1024, Max: 16 << 10, AverageBits: 12}
	data := random(4, 64<<10)
	s := chunk.NewSplitter(testPol, b)
	for _, want := range []error{errors.New("broken"), io.ErrUnexpectedEOF} {
		for _, n := range []int{0, 1, 1023, 1024, 1025, 20_000, len(data)} {
			s.Reset(io.MultiReader(bytes.NewReader(data[:n]), iotest.ErrReader(want)))
			var (
				got int
				err error
			)
			for err == nil {
				var c []byte
				c, err = s.Next(nil)
				got += len(c)
			}
			if err != want || got > n {
				t.Errorf("error after %d bytes: got %d bytes and %v, want %v", n, got, err, want)
			}
			if _, err := s.Next(nil); err != want {
				t.Errorf("Next after the error: %v, want %v again", err, want)
			}
		}
		if n := lengths(cut(t, s, bytes.NewReader(data))); len(n) < 2 {
			t.Errorf("after an error the next stream is cut into %v", n)
		}
	}
}

func TestNoStream(t *testing.T) {
	s := chunk.NewSplitter(testPol, chunk.Bulk)
	if _, err := s.Next(nil); err != io.EOF {
		t.Errorf("Next before Reset: %v, want io.EOF", err)
	}
}

// TestSplitterAllocs: a splitter in use allocates nothing when it is given its buffer back.
func TestSplitterAllocs(t *testing.T) {
	data := random(5, 200_000)
	s := chunk.NewSplitter(testPol, chunk.Stream)
	buf := make([]byte, chunk.Stream.Max)
	var r bytes.Reader
	n := testing.AllocsPerRun(20, func() {
		for _, part := range [][]byte{data[:100], data} {
			r.Reset(part)
			s.Reset(&r)
			for {
				if _, err := s.Next(buf); err != nil {
					break
				}
			}
		}
	})
	if n > 0 {
		t.Errorf("%v allocations for two streams, want none", n)
	}
}

func TestRandomPol(t *testing.T) {
	a, errA := chunk.RandomPol()
	b, errB := chunk.RandomPol()
	if errA != nil || errB != nil {
		t.Fatal(errA, errB)
	}
	if a == b || !a.Irreducible() || a.Deg() != chunker.Pol(testPol).Deg() {
		t.Errorf("RandomPol gives %v and %v", a, b)
	}
}

func BenchmarkSplitter(b *testing.B) {
	for _, k := range []struct {
		name string
		size int
	}{{"slice", 512 << 10}, {"multiframe", 32 << 20}} {
		b.Run("stream="+k.name, func(b *testing.B) {
			data := random(6, k.size)
			s := chunk.NewSplitter(testPol, chunk.Bulk)
			buf := make([]byte, chunk.Bulk.Max)
			b.SetBytes(int64(k.size))
			b.ReportAllocs()
			for b.Loop() {
				s.Reset(bytes.NewReader(data))
				for {
					if _, err := s.Next(buf); err != nil {
						break
					}
				}
			}
		})
	}
}

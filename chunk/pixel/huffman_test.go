package pixel

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/klauspost/compress/huff0"
)

// decodedByHuff0 is what another implementation makes of a code.
func decodedByHuff0(t testing.TB, coded []byte, size int) []byte {
	t.Helper()
	scratch, streams, err := huff0.ReadTable(coded, nil)
	if err != nil {
		t.Fatal(err)
	}
	out, err := scratch.Decoder().Decompress4X(make([]byte, 0, size), streams)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// tokensLike makes tokens as residuals have them: of a spread, so many that are not.
func tokensLike(rnd *rand.Rand, n int, spread float64, wild int) []byte {
	out := make([]byte, n)
	for i := range out {
		v := math.Abs(rnd.NormFloat64()) * spread
		if wild > 0 && rnd.IntN(wild) == 0 {
			v = float64(rnd.IntN(256))
		}
		out[i] = byte(min(v, 255))
	}
	return out
}

// TestHuffmanIsAsSmallAsHuff0: both find codes of the least length when none is limited, and other ones when some are.
func TestHuffmanIsAsSmallAsHuff0(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	var h huffmanWriter
	var scratch huff0.Scratch
	var ours, theirs int
	for _, n := range []int{12, 13, 100, 500, 3000, 32 << 10, sectionPart - 1, sectionPart} {
		for _, spread := range []float64{0.4, 3, 30, 90} {
			for _, wild := range []int{0, 5, 300} {
				data := tokensLike(rnd, n, spread, wild)
				scratch.Reuse = huff0.ReusePolicyNone
				want, _, theirErr := huff0.Compress4X(data, &scratch)
				got, ok := h.append([]byte("before"), data)
				if ok != (theirErr == nil) {
					t.Errorf("%d bytes, spread %v: %v, huff0 says %v", n, spread, ok, theirErr)
				}
				if !ok {
					if string(got) != "before" {
						t.Errorf("%d bytes, spread %v: not coded, and %d bytes", n, spread, len(got))
					}
					continue
				}
				got = got[len("before"):]
				if back := decodedByHuff0(t, got, n); !bytes.Equal(back, data) {
					t.Fatalf("%d bytes, spread %v: huff0 reads something else", n, spread)
				}
				ours, theirs = ours+len(got), theirs+len(want)
				if float64(len(got)) > 1.01*float64(len(want))+2 {
					t.Errorf("%d bytes, spread %v: %d bytes, huff0 makes %d", n, spread, len(got), len(want))
				}
			}
		}
	}
	if float64(ours) > 1.0005*float64(theirs) {
		t.Errorf("%d bytes in all, huff0 makes %d", ours, theirs)
	}
}

// TestCodesAreComplete: whatever the counts, no code is longer than the limit, and there is neither a gap nor too much.
func TestCodesAreComplete(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	for range 20_000 {
		var h huffmanWriter
		n := 2 + rnd.IntN(255)
		size, used := 0, 0
		for symbol := range n {
			if symbol == n-1 || rnd.IntN(3) > 0 {
				h.count[symbol] = 1 + uint32(math.Exp2(rnd.Float64()*17))
				used++
			}
			size += int(h.count[symbol])
		}
		if used < 2 {
			continue
		}
		longest := h.build(n, min(size, sectionPart))
		total := 0
		for symbol, c := range h.code[:n] {
			if (c.n > 0) != (h.count[symbol] > 0) || int(c.n) > longest || longest > maxCodeBits || int(c.bits)>>c.n != 0 {
				t.Fatalf("symbol %d, %d times: a code of %d bits, %b; the longest is %d", symbol, h.count[symbol], c.n, c.bits, longest)
			}
			if c.n > 0 {
				total += 1 << (longest - int(c.n))
			}
		}
		if total != 1<<longest {
			t.Fatalf("%d symbols: codes for %d of %d", used, total, 1<<longest)
		}
	}
}

// FuzzHuffman: what is coded is read back by another implementation, and the same without assembly.
func FuzzHuffman(f *testing.F) {
	f.Add([]byte("abracadabra, abracadabra"))
	f.Add(bytes.Repeat([]byte{0, 0, 1}, 5000))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) == 0 || len(data) > sectionPart {
			return
		}
		sameWithoutAssembly(t, data)
		var h huffmanWriter
		coded, ok := h.append(nil, data)
		if !ok {
			return
		}
		if back := decodedByHuff0(t, coded, len(data)); !bytes.Equal(back, data) {
			t.Fatalf("%x is read as %x", data, back)
		}
	})
}

// TestCodeRuns: the code of symbols with and without assembly is the same, for every length, and wherever the rarest symbols are.
func TestCodeRuns(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 6))
	for n := range 1500 {
		if n >= 600 && n%17 != 0 {
			continue
		}
		for _, spread := range []float64{0.4, 3, 30, 90} {
			data := tokensLike(rnd, n, spread, []int{0, 5, 300}[rnd.IntN(3)])
			if n%3 == 0 {
				slices.Sort(data) // so that the longest codes are beside each other
			}
			sameWithoutAssembly(t, data)
		}
	}
	for _, n := range []int{sectionPart - 63, sectionPart} {
		sameWithoutAssembly(t, tokensLike(rnd, n, 10, 100))
	}
}

// TestCodeStaysInside: codes are written to no more memory than there may be, also where all have the greatest length.
func TestCodeStaysInside(t *testing.T) {
	var h huffmanWriter
	for i := range h.code {
		h.code[i] = code{uint16(i), maxCodeBits}
	}
	for n := 1; n < 700; n++ {
		out := bytes.Repeat([]byte{0xa5}, (n*maxCodeBits+7)/8+wordBytes+200)
		used := len(out) - 200
		w := bitWriter{out: out[:used:used]}
		h.put(&w, make([]byte, n))
		if !bytes.Equal(out[used:], bytes.Repeat([]byte{0xa5}, 200)) {
			t.Fatalf("%d symbols: written behind the memory given", n)
		}
		if got := 8*w.pos + int(w.n); got != n*maxCodeBits {
			t.Fatalf("%d symbols: %d bits", n, got)
		}
	}
}

// sameWithoutAssembly codes data with and without assembly.
func sameWithoutAssembly(t testing.TB, data []byte) {
	t.Helper()
	var h huffmanWriter
	fast, ok := h.append([]byte("before"), data)
	fast = append(fast, h.appendStreams(nil, data)...) // also of what is no smaller when coded
	var slow []byte
	var slowOK bool
	Portable(func() {
		slow, slowOK = h.append([]byte("before"), data)
		slow = append(slow, h.appendStreams(nil, data)...)
	})
	if ok != slowOK || !bytes.Equal(fast, slow) {
		t.Fatalf("%d bytes become %d, without assembly %d", len(data), len(fast), len(slow))
	}
}

// BenchmarkHuffman counts and codes one class's tokens.
func BenchmarkHuffman(b *testing.B) {
	for _, spread := range []float64{0.4, 3, 12, 40} {
		for _, n := range []int{1 << 10, 1 << 15, sectionPart} {
			var h huffmanWriter
			data := tokensLike(rand.New(rand.NewPCG(7, 8)), n, spread, 1000)
			out, ok := h.append(nil, data)
			if !ok {
				b.Fatal("not smaller")
			}
			measure := func(part string, run func()) {
				b.Run(fmt.Sprintf("bits=%.1f/size=%d/part=%s", 8*float64(len(out))/float64(n), n, part), func(b *testing.B) {
					for b.Loop() {
						run()
					}
					b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/symbol")
				})
			}
			measure("count", func() { histogram(&h.count, data) })
			measure("build", func() { h.build(len(h.count), n) })
			measure("code", func() { out = h.appendStreams(out[:0], data) })
			measure("all", func() { out, _ = h.append(out[:0], data) })
		}
	}
}

// TestHistogram: bytes are counted right whatever there is of them.
func TestHistogram(t *testing.T) {
	rnd := rand.New(rand.NewPCG(9, 10))
	for _, n := range []int{0, 1, 4095, 4096, 5000, 8191, 8192, 8193, 9000, sectionPart - 1, sectionPart} {
		for _, spread := range []float64{0, 0.4, 30, 200, 1e9} { // from zeros only to 255 only
			data := tokensLike(rnd, n, spread, []int{0, 1, 3, 300}[rnd.IntN(4)])
			var got, want [256]uint32
			for _, v := range data {
				want[v]++
			}
			most, highest := slices.Max(want[:]), 0
			for v, c := range want {
				if c > 0 {
					highest = v
				}
			}
			if gotHighest, gotMost := histogram(&got, data); got != want || gotHighest != uint8(highest) || gotMost != int(most) {
				t.Fatalf("%d bytes, spread %v: %v, %d, %d; want %v, %d, %d", n, spread, got, gotHighest, gotMost, want, highest, most)
			}
		}
	}
}

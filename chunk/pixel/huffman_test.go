package pixel

import (
	"bytes"
	"math"
	"math/rand/v2"
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

// FuzzHuffman: what is coded is read back by another implementation.
func FuzzHuffman(f *testing.F) {
	f.Add([]byte("abracadabra, abracadabra"))
	f.Add(bytes.Repeat([]byte{0, 0, 1}, 5000))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) == 0 || len(data) > sectionPart {
			return
		}
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

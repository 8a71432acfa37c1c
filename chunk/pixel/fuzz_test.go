package pixel_test

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/orthokeep/orthokeep/chunk/pixel"
)

// FuzzRoundTrip codes any bytes under any layout. A flag's bits: 1 for 16 bits, 2 three samples, 4 planar, 8 big endian, the upper
// half the level (mod 3).
func FuzzRoundTrip(f *testing.F) {
	r := rand.New(rand.NewPCG(31, 32))
	for i, p := range pictures {
		f.Add(p.make(r, 700+i), byte(i*7), 33+i, int64(i))
	}
	var c codec
	f.Fuzz(func(t *testing.T, src []byte, flags byte, columns int, phase int64) {
		l := pixel.Layout{Bits: 8 + int(flags&1)*8, Columns: columns, Samples: 1 + int(flags&2),
			Planar: flags&4 != 0, BigEndian: flags&8 != 0, Phase: phase}
		c.enc.Level = levels[flags>>4%3]
		c.roundTrip(t, src, l)
	})
}

// FuzzDecode reads any bytes: an error or the size asked for, the same the second time, and no more memory than promised.
func FuzzDecode(f *testing.F) {
	for i, s := range streams(f) {
		if i%5 == 0 {
			f.Add(s.coded, uint32(len(s.plain)))
		}
	}
	for _, g := range golden {
		coded, err := os.ReadFile(filepath.Join("testdata", "v2", g.name+".pixel"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(coded, uint32(g.size))
	}
	f.Fuzz(func(t *testing.T, src []byte, size uint32) {
		n := int(size % (1 << 21))
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		var dec pixel.Decoder
		out, err := dec.Decode(nil, src, n)
		runtime.ReadMemStats(&after)
		if got := after.TotalAlloc - before.TotalAlloc; got > decodeBound(n) {
			t.Errorf("%d bytes allocated for %d", got, n)
		}
		if err != nil {
			refused(t, err)
			return
		}
		if len(out) != n {
			t.Fatalf("%d bytes, not %d", len(out), n)
		}
		again, err := dec.Decode(nil, src, n)
		if err != nil || !bytes.Equal(out, again) {
			t.Fatalf("read twice: %v", err)
		}
	})
}

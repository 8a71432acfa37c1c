package pixel_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/orthokeep/orthokeep/chunk/pixel"
)

var levels = []pixel.Level{pixel.Fast, pixel.Balanced, pixel.Small}

// layouts are all kinds of layouts, with rows of columns pixels.
func layouts(columns int) []pixel.Layout {
	return []pixel.Layout{
		{Bits: 16, Columns: columns, Samples: 1},
		{Bits: 16, Columns: columns, Samples: 1, BigEndian: true},
		{Bits: 16, Columns: columns, Samples: 3},
		{Bits: 16, Columns: columns, Samples: 3, BigEndian: true},
		{Bits: 16, Columns: columns, Samples: 3, Planar: true},
		{Bits: 8, Columns: columns, Samples: 1},
		{Bits: 8, Columns: columns, Samples: 3},
		{Bits: 8, Columns: columns, Samples: 3, Planar: true},
	}
}

// A picture makes n bytes of a certain look.
type picture struct {
	name string
	make func(r *rand.Rand, n int) []byte
}

func samples16(n int, f func(i int) int) []byte {
	b := make([]byte, n+1)
	for i := range (n + 1) / 2 {
		binary.LittleEndian.PutUint16(b[2*i:], uint16(f(i)))
	}
	return b[:n]
}

// smooth is a surface with noise that a CT or MR could have; rows are 64 samples.
func smooth(r *rand.Rand, noise int) func(i int) int {
	return func(i int) int {
		x, y := i%64, i/64%64
		v := 900 + 8*x - 3*y + (x*y)>>5 + r.IntN(noise+1)
		if x < 6 {
			v = 0
		}
		return v
	}
}

var pictures = []picture{
	{"noise", func(r *rand.Rand, n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		return b
	}},
	{"zero", func(_ *rand.Rand, n int) []byte { return make([]byte, n) }},
	{"constant", func(_ *rand.Rand, n int) []byte { return bytes.Repeat([]byte{0x37, 0x12}, n/2+1)[:n] }},
	{"extremes", func(r *rand.Rand, n int) []byte {
		return samples16(n, func(int) int { return []int{0, 0xffff, 0x7fff, 0x8000}[r.IntN(4)] })
	}},
	{"steps", func(_ *rand.Rand, n int) []byte { return samples16(n, func(i int) int { return i / 97 * 21845 }) }},
	{"smooth", func(r *rand.Rand, n int) []byte { return samples16(n, smooth(r, 7)) }},
	{"signed", func(r *rand.Rand, n int) []byte {
		f := smooth(r, 20)
		return samples16(n, func(i int) int { return f(i) - 1024 })
	}},
	{"padded", func(r *rand.Rand, n int) []byte {
		f := smooth(r, 20)
		return samples16(n, func(i int) int {
			if v := f(i); v > 0 {
				return v
			}
			return -2000
		})
	}},
	{"scaled", func(r *rand.Rand, n int) []byte {
		f := smooth(r, 30)
		return samples16(n, func(i int) int { return f(i) * 137 / 10 })
	}},
	{"busy", func(r *rand.Rand, n int) []byte { return samples16(n, smooth(r, 3000)) }},
	{"mask", func(_ *rand.Rand, n int) []byte { return samples16(n, func(i int) int { return i % 64 / 40 * 0x0101 }) }},
	{"bytes", func(r *rand.Rand, n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(100 + i%192/3 + r.IntN(4))
		}
		return b
	}},
}

// codec is an encoder and a decoder that are used again and again, as the repository does.
type codec struct {
	enc pixel.Encoder
	dec pixel.Decoder
	out []byte
}

// roundTrip fails unless src comes back, and reports whether pixel coding was used.
func (c *codec) roundTrip(t testing.TB, src []byte, l pixel.Layout) bool {
	t.Helper()
	out, ok := c.enc.Encode(append(c.out[:0], "before"...), src, l)
	c.out = out
	if string(out[:6]) != "before" {
		t.Fatalf("%+v, %d bytes: what dst held is lost", l, len(src))
	}
	if !ok {
		if len(out) != 6 {
			t.Fatalf("%+v, %d bytes: refused, and dst changed", l, len(src))
		}
		return false
	}
	if len(out)-6 >= len(src) {
		t.Fatalf("%+v: %d bytes became %d", l, len(src), len(out)-6)
	}
	back, err := c.dec.Decode([]byte("kept"), out[6:], len(src))
	if err != nil {
		t.Fatalf("%+v, %d bytes: %v", l, len(src), err)
	}
	if string(back[:4]) != "kept" || !bytes.Equal(back[4:], src) {
		t.Fatalf("%+v, %d bytes: came back changed", l, len(src))
	}
	return true
}

// TestEveryLength takes all pictures at short lengths, and turns about at the others.
func TestEveryLength(t *testing.T) {
	var c codec
	for k, p := range pictures {
		src := p.make(rand.New(rand.NewPCG(1, 2)), 4096)
		for n := range 4097 {
			if n >= 300 && n%len(pictures) != k || n%stride != 0 {
				continue
			}
			all := layouts(1 + n%70)
			l := all[(n/12+k)%len(all)]
			l.Phase = int64(n) % l.RowBytes()
			c.enc.Level = levels[n/8%3]
			c.roundTrip(t, src[:n], l)
		}
	}
}

func TestEveryPhase(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	var c codec
	for _, p := range pictures {
		src := p.make(r, 3001)
		for _, l := range layouts(11) {
			for l.Phase = range l.RowBytes() {
				if l.Phase%stride != 0 {
					continue
				}
				c.enc.Level = levels[l.Phase%3]
				c.roundTrip(t, src, l)
			}
		}
	}
}

func TestLarge(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	var c codec
	for i := range 12 {
		p := pictures[r.IntN(len(pictures))]
		all := layouts([]int{64, 512, 460, 1, 3000, 65535}[i/2])
		l := all[r.IntN(len(all))]
		l.Phase = r.Int64N(l.RowBytes())
		c.enc.Level = levels[i%3]
		c.roundTrip(t, p.make(r, 200_000+r.IntN(800_000)), l)
	}
}

// TestMixed has an image, then noise: one block is coded, the other stored.
func TestMixed(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	src := append(samples16(1<<20, smooth(r, 7)), pictures[0].make(r, 1<<19)...)
	src = append(src, src[:1<<18+3]...)
	var c codec
	for _, c.enc.Level = range levels {
		if !c.roundTrip(t, src, pixel.Layout{Bits: 16, Columns: 64, Samples: 1}) {
			t.Errorf("%v: the noise made it refuse the image", c.enc.Level)
		}
	}
}

// TestPortable codes with and without assembly: the streams are the same, and each reads the other's.
func TestPortable(t *testing.T) {
	for _, l := range []pixel.Layout{{Bits: 16, Columns: 64, Samples: 1}, {Bits: 8, Columns: 61, Samples: 3}} {
		r := rand.New(rand.NewPCG(15, 16))
		for _, p := range pictures {
			for _, n := range []int{200, 1111, 250_000} {
				portable(t, p.name, p.make(r, n), l)
			}
		}
	}
}

// TestEdgesFollowPhase: where an image is cut within a row, its rows begin where the phase says, so that the noise at the end of one does not
// spoil what is predicted at the begin of the next.
func TestEdgesFollowPhase(t *testing.T) {
	r := rand.New(rand.NewPCG(19, 20))
	const columns, cut = 64, 24
	src := samples16(2*columns*500, func(i int) int {
		if i%columns >= columns-4 {
			return r.IntN(1 << 12)
		}
		return 1000 + i/columns + r.IntN(3)
	})[2*cut:]
	var enc pixel.Encoder
	size := func(phase int64) int {
		coded, ok := enc.Encode(nil, src, pixel.Layout{Bits: 16, Columns: columns, Samples: 1, Phase: phase})
		if !ok {
			t.Fatal("refused")
		}
		return len(coded)
	}
	if right, wrong := size(2*cut), size(2*cut+columns); right+40 > wrong {
		t.Errorf("%d bytes with the right phase, %d with a wrong one", right, wrong)
	}
}

// TestPortableWidths is TestPortable for rows of all kinds: shorter than what the assembly does at once, odd, and longer than a block's half.
func TestPortableWidths(t *testing.T) {
	r := rand.New(rand.NewPCG(17, 18))
	for k, columns := range []int{1, 31, 32, 33, 40, 47, 63, 96, 100, 255, 256, 333, 500, 512, 513, 1023, 140_000} {
		p := pictures[k%len(pictures)]
		l := pixel.Layout{Bits: 16, Columns: columns, Samples: 1}
		l.Phase = r.Int64N(l.RowBytes())
		portable(t, p.name, p.make(r, 600_000), l)
		l = pixel.Layout{Bits: 8, Columns: columns, Samples: 1, Phase: l.Phase / 2}
		portable(t, p.name, samples16(150_000, smooth(r, 5)), l)
	}
}

func portable(t *testing.T, name string, src []byte, l pixel.Layout) {
	t.Helper()
	n := len(src)
	var fast, slow, back []byte
	var enc pixel.Encoder
	var dec pixel.Decoder
	var err error
	fast, ok := enc.Encode(nil, src, l)
	pixel.Portable(func() {
		slow, _ = enc.Encode(nil, src, l)
		if ok {
			back, err = dec.Decode(nil, fast, n)
		}
	})
	if !bytes.Equal(fast, slow) {
		t.Errorf("%s, %d bytes: assembly writes other bytes", name, n)
	}
	if ok && (err != nil || !bytes.Equal(back, src)) {
		t.Errorf("%s, %d bytes: written with assembly, not read without: %v", name, n, err)
	}
	if !ok {
		return
	}
	if back, err = dec.Decode(nil, slow, n); err != nil || !bytes.Equal(back, src) {
		t.Errorf("%s, %d bytes: written without assembly, not read with it: %v", name, n, err)
	}
}

func TestWrongLayout(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	src := samples16(100_001, smooth(r, 9))
	var c codec
	for _, l := range []pixel.Layout{
		{},
		{Bits: 16},
		{Bits: 12, Columns: 64, Samples: 1},
		{Bits: 16, Columns: -3, Samples: 1},
		{Bits: 16, Columns: 64, Samples: 2},
		{Bits: 16, Columns: 64, Samples: 1, Phase: -1},
		{Bits: 16, Columns: 1 << 40, Samples: 1},
	} {
		if c.roundTrip(t, src, l) {
			t.Errorf("%+v was used", l)
		}
	}
	for _, l := range []pixel.Layout{
		{Bits: 16, Columns: 64, Samples: 1, Phase: 1 << 50},
		{Bits: 16, Columns: 63, Samples: 1, Phase: 1},
		{Bits: 8, Columns: 5, Samples: 3, Planar: true},
		{Bits: 16, Columns: 30_000, Samples: 3, BigEndian: true},
	} {
		c.roundTrip(t, src, l)
	}
}

// TestPays holds the codec to what it is for: each picture at least as small as given, of 256 KiB in rows of 64 samples.
func TestPays(t *testing.T) {
	least := map[string]float64{
		"smooth": 3.4, "signed": 2.8, "padded": 2.6, "scaled": 2.6, "mask": 250, "constant": 2500, "zero": 2500,
	}
	r := rand.New(rand.NewPCG(11, 12))
	for _, p := range pictures {
		want, ok := least[p.name]
		if !ok {
			continue
		}
		src := p.make(r, 1<<18)
		for _, level := range levels {
			enc := pixel.Encoder{Level: level}
			out, ok := enc.Encode(nil, src, pixel.Layout{Bits: 16, Columns: 64, Samples: 1})
			if got := float64(len(src)) / float64(len(out)); !ok || got < want {
				t.Errorf("%s, %v: ratio %.2f, want %.2f", p.name, level, got, want)
			}
		}
	}
}

func TestNoAllocs(t *testing.T) {
	r := rand.New(rand.NewPCG(13, 14))
	src := samples16(300_000, smooth(r, 30))
	for _, l := range layouts(64)[:2] {
		var c codec
		c.roundTrip(t, src, l)
		out, back := c.out, make([]byte, 0, len(src))
		got := testing.AllocsPerRun(5, func() {
			out, _ = c.enc.Encode(out[:0], src, l)
			if _, err := c.dec.Decode(back, out, len(src)); err != nil {
				t.Fatal(err)
			}
		})
		if got > 8 { // the format, once on each side, and what the code tables need
			t.Errorf("%v allocations", got)
		}
	}
}

func ExampleEncoder_Encode() {
	frame := make([]byte, 2*64*64)
	for i := range 64 * 64 {
		frame[2*i] = byte(i%64 + i/64 + i*i*i>>7%5)
	}
	layout := pixel.Layout{Bits: 16, Columns: 64, Samples: 1}
	var enc pixel.Encoder
	coded, ok := enc.Encode(nil, frame, layout)
	var dec pixel.Decoder
	back, err := dec.Decode(nil, coded, len(frame))
	fmt.Println(ok, len(coded) < len(frame)/4, bytes.Equal(back, frame), err)
	// Output: true true true <nil>
}

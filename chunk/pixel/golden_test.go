package pixel_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/orthokeep/orthokeep/chunk/pixel"
)

var update = flag.Bool("update", false, "write the golden streams anew; keep those that change in testdata/v2/earlier")

// lcg is a random source that stays what it is.
type lcg uint32

func (r *lcg) next(n int) int {
	*r = *r*1664525 + 1013904223
	return int(*r>>8) % n
}

// golden are streams of version 2. They must be written the same on every architecture, and stay readable.
var golden = []struct {
	name   string
	level  pixel.Level
	layout pixel.Layout
	size   int
	sample func(r *lcg, i int) int
}{
	{"grey16", pixel.Balanced, pixel.Layout{Bits: 16, Columns: 64, Samples: 1, Phase: 40}, 6000, ramp(9)},
	{"grey16-small", pixel.Small, pixel.Layout{Bits: 16, Columns: 64, Samples: 1}, 16000, ramp(9)},
	{"grey16-odd", pixel.Balanced, pixel.Layout{Bits: 16, Columns: 50, Samples: 1, Phase: 7}, 5003, ramp(200)},
	{"big-endian", pixel.Balanced, pixel.Layout{Bits: 16, Columns: 64, Samples: 1, BigEndian: true}, 4001, ramp(5)},
	{"signed", pixel.Small, pixel.Layout{Bits: 16, Columns: 61, Samples: 1}, 6000, func(r *lcg, i int) int { return ramp(7)(r, i) - 1000 }},
	{"gaps", pixel.Balanced, pixel.Layout{Bits: 16, Columns: 64, Samples: 1}, 6000, func(r *lcg, i int) int { return (1000 + i/64 + r.next(5)) * 77 / 10 }},
	{"colour16", pixel.Balanced, pixel.Layout{Bits: 16, Columns: 30, Samples: 3, Phase: 5}, 6000, ramp(6)},
	{"escapes", pixel.Balanced, pixel.Layout{Bits: 16, Columns: 64, Samples: 1}, 6000, func(r *lcg, i int) int { return ramp(4)(r, i) + i%41/40*30000 }},
	{"grey8", pixel.Balanced, pixel.Layout{Bits: 8, Columns: 64, Samples: 1}, 4001, func(r *lcg, i int) int { return (100 + i%64 + r.next(3)) * 257 }},
	{"colour8", pixel.Small, pixel.Layout{Bits: 8, Columns: 33, Samples: 3, Phase: 4}, 6001, func(r *lcg, i int) int { return (90 + i%48 + r.next(4)) * 257 }},
	{"planar8", pixel.Balanced, pixel.Layout{Bits: 8, Columns: 64, Samples: 3, Planar: true}, 4000, func(r *lcg, i int) int { return (i%32 + r.next(2)) * 257 }},
}

// ramp is a tilted plane with some noise.
func ramp(noise int) func(r *lcg, i int) int {
	return func(r *lcg, i int) int { return 1000 + i%64*5 - i/64*3 + r.next(noise) }
}

// bytesOf makes size bytes; with 8 bits to a sample, both halves of a 16-bit word say the same.
func bytesOf(size int, l pixel.Layout, sample func(r *lcg, i int) int) []byte {
	order := binary.ByteOrder(binary.LittleEndian)
	if l.BigEndian {
		order = binary.BigEndian
	}
	r := lcg(1)
	b := make([]byte, 2*size+2)
	for i := range size {
		order.PutUint16(b[2*i:], uint16(sample(&r, i)))
	}
	if l.Bits == 8 {
		for i := range size {
			b[i] = b[2*i]
		}
	}
	return b[l.Phase%2:][:size]
}

func TestGolden(t *testing.T) {
	for _, g := range golden {
		t.Run(g.name, func(t *testing.T) {
			src := bytesOf(g.size, g.layout, g.sample)
			enc := pixel.Encoder{Level: g.level}
			coded, ok := enc.Encode(nil, src, g.layout)
			if !ok {
				t.Fatal("refused")
			}
			file := filepath.Join("testdata", "v2", g.name+".pixel")
			if *update {
				if err := os.WriteFile(file, coded, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var dec pixel.Decoder
			back, err := dec.Decode(nil, want, len(src))
			if err != nil || !bytes.Equal(back, src) {
				t.Errorf("the stored stream does not give the image: %v", err)
			}
			if !bytes.Equal(coded, want) {
				t.Errorf("%d bytes that differ from the %d stored", len(coded), len(want))
			}
		})
	}
}

// TestEarlierStreams: streams of version 1, and what encoders wrote that chose other codes for the same images, stay readable.
func TestEarlierStreams(t *testing.T) {
	for folder, least := range map[string]int{"v1": len(golden), "v1/earlier": 5} {
		read := 0
		for _, g := range golden {
			coded, err := os.ReadFile(filepath.Join("testdata", folder, g.name+".pixel"))
			if errors.Is(err, fs.ErrNotExist) {
				continue // it is the same now
			}
			if err != nil {
				t.Fatal(err)
			}
			src := bytesOf(g.size, g.layout, g.sample)
			check := func() {
				var dec pixel.Decoder
				if back, err := dec.Decode(nil, coded, len(src)); err != nil || !bytes.Equal(back, src) {
					t.Errorf("%s/%s: the stored stream does not give the image: %v", folder, g.name, err)
				}
			}
			check()
			pixel.Portable(check)
			read++
		}
		if read < least {
			t.Errorf("%s: %d streams were read", folder, read)
		}
	}
}

// TestFormatExample compares the worked example of FORMAT.md with what the encoder writes.
func TestFormatExample(t *testing.T) {
	doc, err := os.ReadFile("FORMAT.md")
	if err != nil {
		t.Fatal(err)
	}
	_, example, ok := strings.Cut(string(doc), "<!-- example -->")
	example, _, ok2 := strings.Cut(example, "<!-- end -->")
	if !ok || !ok2 {
		t.Fatal("FORMAT.md has no example")
	}
	var text strings.Builder
	for line := range strings.Lines(example) {
		if cell := strings.Split(line, "|"); len(cell) > 2 && !strings.Contains(line, "| what |") && !strings.Contains(line, "---") {
			text.WriteString(strings.ReplaceAll(strings.TrimSpace(cell[1]), " ", ""))
		}
	}
	want, err := hex.DecodeString(text.String())
	if err != nil {
		t.Fatal(err)
	}
	src := make([]byte, 512) // 32 columns, 8 rows
	for i := range 256 {
		x, y := i%32, i/32
		binary.LittleEndian.PutUint16(src[2*i:], uint16(100+(x*x*y*37)>>9&3))
	}
	var enc pixel.Encoder
	got, ok := enc.Encode(nil, src, pixel.Layout{Bits: 16, Columns: 32, Samples: 1})
	if !ok || !bytes.Equal(got, want) {
		t.Errorf("the encoder writes\n%x, FORMAT.md has\n%x", got, want)
	}
	var dec pixel.Decoder
	if back, err := dec.Decode(nil, want, len(src)); err != nil || !bytes.Equal(back, src) {
		t.Errorf("FORMAT.md's example does not give the image: %v", err)
	}
}

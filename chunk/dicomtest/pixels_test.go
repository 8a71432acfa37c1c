package dicomtest

import (
	"encoding/binary"
	"fmt"
	"iter"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/klauspost/compress/huff0"
	"github.com/klauspost/compress/zstd"
)

// zstdRatio is input to output of klauspost's zstd at its default level over all images.
func zstdRatio(t testing.TB, images [][]byte) float64 {
	t.Helper()
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	var in, out int
	for _, im := range images {
		in += len(im)
		out += len(enc.EncodeAll(im, nil))
	}
	return float64(in) / float64(out)
}

// medRatio is input to output of the simplest codec with a predictor: residuals of the median predictor (JPEG-LS) of
// 16-bit samples, zig-zagged, one byte each with an escape to two more, through huff0.
func medRatio(t testing.TB, images [][]byte, cols int) float64 {
	t.Helper()
	var in, out int
	var s huff0.Scratch
	for _, im := range images {
		in += len(im)
		above, row := make([]int32, cols+1), make([]int32, cols+1) // with a zero to the left
		tokens := make([]byte, 0, len(im)/2)
		for ; len(im) >= 2*cols; im = im[2*cols:] {
			for x := range cols {
				v := int32(binary.LittleEndian.Uint16(im[2*x:]))
				left, up, corner := row[x], above[x+1], above[x]
				guess := left + up - corner
				if corner >= max(left, up) {
					guess = min(left, up)
				} else if corner <= min(left, up) {
					guess = max(left, up)
				}
				row[x+1] = v
				d := v - guess
				z := uint32(d<<1 ^ d>>31)
				if z >= 255 {
					z, out = 255, out+2
				}
				tokens = append(tokens, byte(z))
			}
			above, row = row, above
		}
		for len(tokens) > 0 {
			n := min(len(tokens), 64<<10)
			packed, _, err := huff0.Compress1X(tokens[:n], &s)
			switch err {
			case nil:
				out += len(packed)
			case huff0.ErrUseRLE:
				out++
			default:
				out += n
			}
			tokens = tokens[n:]
		}
	}
	return float64(in) / float64(out)
}

// realImages returns the pixel data of a folder of real files, which all end with it; nothing when the folder is not
// there.
func realImages(t testing.TB, folder string, size int) [][]byte {
	t.Helper()
	root := os.Getenv("ORTHOKEEP_DICOM")
	if root == "" {
		root = filepath.Join("..", "..", "..", "shared", "dicom")
	}
	names, _ := filepath.Glob(filepath.Join(root, folder, "*.dcm"))
	var images [][]byte
	for _, n := range names {
		b, err := os.ReadFile(n)
		if err != nil {
			t.Fatal(err)
		}
		images = append(images, b[len(b)-size:])
	}
	return images
}

// TestRatios holds the generated images to real ones: zstd and a predictor reach the same on both, give or take 10 %.
// The figures of the real series were taken with the functions above on the folders named; where the folders are, they
// are taken again.
func TestRatios(t *testing.T) {
	const band = 0.10
	for _, c := range []struct {
		folder     string
		kind       Kind
		zstd, med  float64
		cols, rows int
	}{
		{"ct-standard", CT, 2.45, 4.15, 512, 512},
		{"ct-sharp", CTSharp, 1.89, 2.44, 512, 512},
		{"mr-t1", MR, 2.35, 3.77, 460, 512},
	} {
		t.Run(c.folder, func(t *testing.T) {
			var images [][]byte
			for i := range Study(Config{Seed: 11, Kind: c.kind, Series: 2, Instances: 3}) {
				images = append(images, i.Data[i.Header:])
			}
			z, m := zstdRatio(t, images), medRatio(t, images, c.cols)
			t.Logf("zstd %.2f (real %.2f), MED and huff0 %.2f (real %.2f)", z, c.zstd, m, c.med)
			if far(z, c.zstd) > band || far(m, c.med) > band {
				t.Errorf("zstd %.2f and MED %.2f are more than 10 %% from %.2f and %.2f", z, m, c.zstd, c.med)
			}
			if found := realImages(t, c.folder, c.cols*c.rows*2); len(found) > 0 {
				z, m := zstdRatio(t, found), medRatio(t, found, c.cols)
				if far(z, c.zstd) > 0.02 || far(m, c.med) > 0.02 {
					t.Errorf("the real series give zstd %.2f and MED %.2f, this test says %.2f and %.2f", z, m, c.zstd, c.med)
				}
			}
		})
	}
}

func far(got, want float64) float64 { return math.Abs(got/want - 1) }

func BenchmarkStudy(b *testing.B) {
	for _, c := range []Config{{Kind: CT}, {Kind: CT, Columns: 64}, {Kind: CR}} {
		b.Run(fmt.Sprintf("kind=%v/columns=%d", c.Kind, c.Columns), func(b *testing.B) {
			c.Instances = 1 << 30
			next, stop := iter.Pull(Study(c))
			defer stop()
			b.ReportAllocs()
			for b.Loop() {
				i, _ := next()
				b.SetBytes(int64(len(i.Data)))
			}
		})
	}
}

package pixel_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/orthokeep/orthokeep/chunk"
	"github.com/orthokeep/orthokeep/chunk/dicomtest"
	"github.com/orthokeep/orthokeep/chunk/pixel"
)

// An image is the pixel data of one file.
type image struct {
	data   []byte
	layout pixel.Layout
}

// folders are the folders of real files that tests and benchmarks use where they are found.
var folders = []string{"ct-standard", "ct-sharp", "mr-t1"}

// realImages reads the images of a folder; it skips, and says why, where there is none.
func realImages(t testing.TB, folder string) []image {
	t.Helper()
	root := os.Getenv("ORTHOKEEP_DICOM")
	if root == "" {
		root = filepath.Join("..", "..", "..", "shared", "dicom")
	}
	files, err := filepath.Glob(filepath.Join(root, folder, "*.dcm"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Skipf("no files in %s; set ORTHOKEEP_DICOM", filepath.Join(root, folder))
	}
	var all []image
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, cutImage(t, data))
	}
	return all
}

// generatedImages makes images of a kind, with as many columns; 0 is the kind's own.
func generatedImages(t testing.TB, kind dicomtest.Kind, columns int) []image {
	t.Helper()
	var all []image
	for i := range dicomtest.Study(dicomtest.Config{Seed: 1, Kind: kind, Instances: 2, Columns: columns, Frames: 2}) {
		all = append(all, cutImage(t, i.Data))
	}
	return all
}

func cutImage(t testing.TB, file []byte) image {
	t.Helper()
	b, ok := chunk.Scan(bytes.NewReader(file), int64(len(file)))
	if !ok || !b.Layout.Known() {
		t.Fatal("no native pixel data")
	}
	return image{file[b.Offset:], b.Layout}
}

// ratio is plain bytes to coded bytes, by the codec and by zstd -3, having checked the way back.
func ratio(t testing.TB, images []image, level pixel.Level) (coded, plainZstd float64) {
	t.Helper()
	z, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	c := codec{enc: pixel.Encoder{Level: level}}
	var in, out, std int
	for _, i := range images {
		if !c.roundTrip(t, i.data, i.layout) {
			t.Fatal("refused")
		}
		in += len(i.data)
		out += len(c.out) - len("before")
		std += len(z.EncodeAll(i.data, nil))
	}
	return float64(in) / float64(out), float64(in) / float64(std)
}

// TestRatios holds the codec to what it reaches on real and generated images, against zstd at its default on the same ones.
func TestRatios(t *testing.T) {
	least := map[string][3]float64{ // fast, balanced, small; times zstd
		"ct-standard": {1.7, 2.1, 2.25}, "ct-sharp": {1.3, 1.33, 1.4}, "mr-t1": {1.55, 1.8, 1.9},
		"ct": {1.8, 2.2, 2.4}, "mr": {1.6, 1.8, 1.9}, "us": {1.2, 1.3, 1.3},
	}
	check := func(name string, images func(t testing.TB) []image) {
		t.Run(name, func(t *testing.T) {
			all := images(t)
			for i, level := range levels {
				coded, std := ratio(t, all, level)
				t.Logf("%v: ratio %.3f, zstd %.3f", level, coded, std)
				if coded < std*least[name][i] {
					t.Errorf("%v: ratio %.3f is less than %.2f of zstd's %.3f", level, coded, least[name][i], std)
				}
			}
		})
	}
	for _, name := range folders {
		check(name, func(t testing.TB) []image { return realImages(t, name)[3:4] })
	}
	for _, kind := range []dicomtest.Kind{dicomtest.CT, dicomtest.MR, dicomtest.US} {
		check(kind.String(), func(t testing.TB) []image { return generatedImages(t, kind, 256)[:1] })
	}
}

// A contender codes and decodes images; the memory of dst is its to use.
type contender struct {
	name   string
	encode func(dst []byte, i image) ([]byte, error)
	decode func(dst, coded []byte, size int) ([]byte, error)
}

// contenders are the levels of the codec, and zstd, whose speed says how fast the machine is.
func contenders(b *testing.B) (all []contender) {
	b.Helper()
	for _, level := range levels {
		enc, dec := pixel.Encoder{Level: level}, pixel.Decoder{}
		all = append(all, contender{"level=" + level.String(),
			func(dst []byte, i image) ([]byte, error) {
				out, ok := enc.Encode(dst, i.data, i.layout)
				if !ok {
					return nil, errors.New("refused")
				}
				return out, nil
			}, dec.Decode})
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(dec.Close)
	for _, level := range []zstd.EncoderLevel{zstd.SpeedFastest, zstd.SpeedDefault} {
		enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(level), zstd.WithEncoderConcurrency(1))
		if err != nil {
			b.Fatal(err)
		}
		all = append(all, contender{"zstd=" + level.String(),
			func(dst []byte, i image) ([]byte, error) { return enc.EncodeAll(i.data, dst), nil },
			func(dst, coded []byte, _ int) ([]byte, error) { return dec.DecodeAll(coded, dst) }})
	}
	return all
}

// BenchmarkEncode and BenchmarkDecode code all images of a corpus one after the other on one core; ratio is input to output.
// MB/cpu-s is per second of CPU, the garbage collector's included: on a machine that is shared, MB/s says less.
func BenchmarkEncode(b *testing.B) {
	benchmark(b, func(b *testing.B, images []image, c contender) {
		var out []byte
		var err error
		size, began := 0, cpuTime()
		for b.Loop() {
			size = 0
			for _, i := range images {
				if out, err = c.encode(out[:0], i); err != nil {
					b.Fatal(err)
				}
				size += len(out)
			}
		}
		reportCPU(b, images, began)
		b.ReportMetric(float64(bytesOfAll(images))/float64(size), "ratio")
	})
}

func BenchmarkDecode(b *testing.B) {
	benchmark(b, func(b *testing.B, images []image, c contender) {
		var coded [][]byte
		for _, i := range images {
			out, err := c.encode(nil, i)
			if err != nil {
				b.Fatal(err)
			}
			coded = append(coded, out)
		}
		var out []byte
		var err error
		began := cpuTime()
		for b.Loop() {
			for k, src := range coded {
				if out, err = c.decode(out[:0], src, len(images[k].data)); err != nil {
					b.Fatal(err)
				}
			}
		}
		reportCPU(b, images, began)
	})
}

func reportCPU(b *testing.B, images []image, began time.Duration) {
	if took := cpuTime() - began; took > 0 {
		b.ReportMetric(float64(bytesOfAll(images))*float64(b.N)/1e6/took.Seconds(), "MB/cpu-s")
	}
}

func bytesOfAll(images []image) (n int) {
	for _, i := range images {
		n += len(i.data)
	}
	return n
}

func benchmark(b *testing.B, run func(b *testing.B, images []image, c contender)) {
	corpus := func(name string, images func(t testing.TB) []image) {
		b.Run("corpus="+name, func(b *testing.B) {
			all := images(b)
			for _, c := range contenders(b) {
				b.Run(c.name, func(b *testing.B) {
					b.SetBytes(int64(bytesOfAll(all)))
					run(b, all, c)
				})
			}
		})
	}
	for _, name := range folders {
		corpus(name, func(t testing.TB) []image { return realImages(t, name) })
	}
	for _, kind := range []dicomtest.Kind{dicomtest.CT, dicomtest.CTSharp, dicomtest.MR, dicomtest.US, dicomtest.MultiMR} {
		corpus("generated-"+kind.String(), func(t testing.TB) []image { return generatedImages(t, kind, 0) })
	}
}

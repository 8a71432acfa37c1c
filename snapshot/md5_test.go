package snapshot

import (
	"crypto/md5"
	"fmt"
	"math/rand/v2"
	"testing"
)

// TestMD5Sums compares the lanes with crypto/md5: messages of all lengths around a block, equal and unequal, more and fewer than lanes.
func TestMD5Sums(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	buf := make([]byte, 1<<20)
	for i := range buf {
		buf[i] = byte(rnd.Uint32())
	}
	lengths := map[string]func(i int) int{
		"equal":            func(int) int { return 512 },
		"around a block":   func(i int) int { return 50 + i },
		"empty and short":  func(i int) int { return i % 3 },
		"anything":         func(int) int { return rnd.IntN(40_000) },
		"one much longer":  func(i int) int { return 100 + i/5%2*100_000 },
		"of whole blocks":  func(int) int { return 64 * rnd.IntN(20) },
		"nearly all equal": func(i int) int { return 4096 + i/7 },
	}
	for name, length := range lengths {
		for _, n := range []int{0, 1, 3, 4, 5, 15, 16, 17, 40} {
			t.Run(fmt.Sprintf("%s/%d", name, n), func(t *testing.T) {
				var messages []span
				for i := range n {
					size := length(i)
					from := rnd.IntN(len(buf) - size)
					messages = append(messages, span{from, from + size})
				}
				sums := md5Sums(make([][16]byte, 1), buf, messages)
				if len(sums) != n+1 {
					t.Fatalf("%d sums", len(sums)-1)
				}
				for i, m := range messages {
					if want := md5.Sum(buf[m.from:m.to]); sums[i+1] != want {
						t.Errorf("message %d, of %d bytes: %x instead of %x", i, m.to-m.from, sums[i+1], want)
					}
				}
			})
		}
	}
}

// BenchmarkMD5 takes in sixteen messages of the size of a CT slice.
func BenchmarkMD5(b *testing.B) {
	const size = 512<<10 + 6000
	buf := make([]byte, md5Lanes*size)
	var messages []span
	for i := range md5Lanes {
		messages = append(messages, span{i * size, (i + 1) * size})
	}
	var sums [][16]byte
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	for b.Loop() {
		sums = md5Sums(sums[:0], buf, messages)
	}
}

package pixel

import (
	"encoding/binary"
	"math/bits"
)

// Tokens are coded in groups of eight. The class of a group is chosen by the sum of the eight tokens of the row above that
// stand over it: where those were large, these will be. Encoder and decoder both know them, so that no class is ever written.
const (
	group      = 8
	maxClasses = 16
	maxSets    = 8
	maxBand    = 22 // one more than the largest band
)

// windowSum adds the eight bytes of v.
func windowSum(v uint64) int {
	const m = 0x00ff00ff00ff00ff
	return int((v&m + v>>8&m) * lowLanes >> 48)
}

// band puts sums on a scale of half powers of two: 0, 1, 2, 3, 4–5, 6–7, 8–11, 12–15, 16–23, … 1536–2040.
func band(sum int) int {
	if sum < 4 {
		return sum
	}
	n := bits.Len(uint(sum)) - 1
	return 2*n + sum>>(n-1)&1
}

// lowest is the smallest sum of a band.
func lowest(band int) int {
	if band < 4 {
		return band
	}
	return (2 + band&1) << (band/2 - 1)
}

// setClasses fills below and table from first.
func (b *block) setClasses() {
	at := 0
	for c := range b.nclasses {
		next := len(b.table)
		if c+1 < b.nclasses {
			next = lowest(int(b.first[c+1]))
			b.below[c] = int16(next - 1)
		}
		for ; at < next; at++ {
			b.table[at] = uint8(c)
		}
	}
}

// classifyFew is classify in portable Go.
func (b *block) classifyFew(at, n int) {
	above := b.tokens[b.tokenAt+at-b.grid.row:][:n]
	out := b.classes[at/group:][:n/group]
	for i := range out {
		if len(above) < group { // never: it spares the loop a check for each byte read
			break
		}
		out[i] = b.table[windowSum(binary.LittleEndian.Uint64(above))&2047]
		above = above[group:]
	}
}

// countClasses counts the groups of each class among n tokens.
func (b *block) countClasses(n int) {
	if b.nclasses == 1 {
		b.count = [maxClasses]int{n / group}
		return
	}
	var count [256]uint32
	histogram(&count, b.classes[:n/group])
	for c := range b.count {
		b.count[c] = int(count[c])
	}
}

// starts says where the groups of each class begin when count of them follow one another.
func starts(next, count *[maxClasses]int) {
	at := 0
	for c, n := range count {
		next[c] = at
		at += group * n
	}
}

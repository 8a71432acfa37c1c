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
	maxSum     = 8 * 255
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

// classTable says which class a sum has.
type classTable [2048]uint8

// fill gives class c the bands from first[c-1] up to the next class's; class 0 begins at band 0.
func (t *classTable) fill(first []byte) {
	class := 0
	for sum := range t {
		for class < len(first) && band(sum) >= int(first[class]) {
			class++
		}
		t[sum] = uint8(class)
	}
}

// setClasses makes the table that of nclasses and first, and begins to count anew.
func (b *block) setClasses() {
	b.table.fill(b.first[1:b.nclasses])
	clear(b.count[:])
}

// classify finds the classes of n tokens at at, and counts them; the tokens of the row above are there.
func (b *block) classify(at, n int) {
	if b.nclasses == 1 {
		b.count[0] += n / group
		return
	}
	above := b.tokens[b.tokenAt+at-b.grid.row:][:n]
	out := b.classes[at/group:][:n/group]
	for i := range out {
		if len(above) < group { // never: it spares the loop a check for each byte read
			break
		}
		c := b.table[windowSum(binary.LittleEndian.Uint64(above))&2047]
		out[i] = c
		b.count[c%maxClasses]++
		above = above[group:]
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

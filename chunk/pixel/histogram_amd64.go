//go:build !noasm && !purego

package pixel

import "unsafe"

const (
	countRun  = 64      // bytes, which countAVX512 takes at a time
	rare      = 63      // bytes from here on are counted one by one
	manyBytes = 1 << 13 // that make up for sumAVX512
)

// pairCounts are numbers of pairs of bytes, the second one times rare+1, and the first; larger bytes count as rare. Each part has a quarter
// of the pairs, which are at most sectionPart/8.
type pairCounts [4][(rare + 1) * (rare + 1)]uint16

// countAVX512 counts the pairs in runs of bytes at data, and copies the bytes that are rare or more to others. It returns their number, and may
// write as much as a run behind them.
//
//go:noescape
func countAVX512(p *pairCounts, others, data unsafe.Pointer, runs int) int

// sumAVX512 adds the numbers of each byte below rare to count.
//
//go:noescape
func sumAVX512(count *[256]uint32, p *pairCounts)

// many is add for many bytes, sectionPart at most: two at a time.
func (c *counts) many(data []byte) {
	if !useAVX512 || len(data) < manyBytes {
		c.add(data)
		return
	}
	const most = 64 // runs at a time
	var p pairCounts
	var others [(most + 1) * countRun]byte
	for len(data) >= countRun {
		runs := min(len(data)/countRun, most)
		n := countAVX512(&p, unsafe.Pointer(&others), unsafe.Pointer(&data[0]), runs)
		c.add(others[:n])
		data = data[runs*countRun:]
	}
	c.add(data)
	sumAVX512(&c[0], &p)
}

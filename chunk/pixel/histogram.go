package pixel

import "encoding/binary"

// counts are numbers of each byte, in eight parts that are to be added up.
type counts [8][256]uint32

// histogram makes count how often each byte is in data, sectionPart bytes at most, and returns the highest one that is, and the number of the
// most frequent one.
func histogram(count *[256]uint32, data []byte) (highest uint8, most int) {
	clear(count[:])
	if len(data) >= 16*len(count) {
		var parts counts
		parts.many(data)
		for v := range count {
			count[v] = parts[0][v] + parts[1][v] + parts[2][v] + parts[3][v] + parts[4][v] + parts[5][v] + parts[6][v] + parts[7][v]
		}
	} else {
		for _, v := range data {
			count[v]++
		}
	}
	for v, n := range count {
		if n > 0 {
			highest, most = uint8(v), max(most, int(n))
		}
	}
	return highest, most
}

// add counts one byte after the other in eight parts in turn: the same byte comes often, and to add to a number that has just been written
// takes several times as long as to add to another one.
func (c *counts) add(data []byte) {
	for len(data) >= 8 {
		w := binary.LittleEndian.Uint64(data)
		c[0][byte(w)]++
		c[1][byte(w>>8)]++
		c[2][byte(w>>16)]++
		c[3][byte(w>>24)]++
		c[4][byte(w>>32)]++
		c[5][byte(w>>40)]++
		c[6][byte(w>>48)]++
		c[7][byte(w>>56)]++
		data = data[8:]
	}
	for _, v := range data {
		c[0][v]++
	}
}

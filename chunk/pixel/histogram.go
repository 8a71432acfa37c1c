package pixel

import "encoding/binary"

// histogram makes count how often each byte is in data, and returns the highest one that is, and the number of the most frequent one.
func histogram(count *[256]uint32, data []byte) (highest uint8, most int) {
	clear(count[:])
	if len(data) >= 16*len(count) {
		data = count8(count, data)
	}
	for _, v := range data {
		count[v]++
	}
	for v, n := range count {
		if n > 0 {
			highest, most = uint8(v), max(most, int(n))
		}
	}
	return highest, most
}

// count8 counts all of data but the last few bytes, and returns these. It counts one byte after the other in eight tables in turn: the same
// byte comes often, and to add to a number that has just been written takes several times as long as to add to another one.
func count8(count *[256]uint32, data []byte) (rest []byte) {
	var tables [8][256]uint32
	for len(data) >= 8 {
		w := binary.LittleEndian.Uint64(data)
		tables[0][byte(w)]++
		tables[1][byte(w>>8)]++
		tables[2][byte(w>>16)]++
		tables[3][byte(w>>24)]++
		tables[4][byte(w>>32)]++
		tables[5][byte(w>>40)]++
		tables[6][byte(w>>48)]++
		tables[7][byte(w>>56)]++
		data = data[8:]
	}
	for v := range count {
		count[v] = tables[0][v] + tables[1][v] + tables[2][v] + tables[3][v] + tables[4][v] + tables[5][v] + tables[6][v] + tables[7][v]
	}
	return data
}

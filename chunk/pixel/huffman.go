package pixel

import (
	"encoding/binary"
	"math/bits"
	"slices"

	"github.com/klauspost/compress/fse"
)

const (
	maxCodeBits   = 11  // of the longest code (RFC 8878, 4.2.1)
	weightTable   = 6   // base-2 logarithm of the table that weights are coded with
	directWeights = 128 // weights that a tree description can have of four bits each
	codeStreams   = 4
	jumpTable     = 2 * (codeStreams - 1)
)

// huffmanWriter codes bytes with a Huffman code of their own (RFC 8878, 4.2): its tree, a jump table, and four streams of bits. It is for
// one goroutine; the zero value is ready.
type huffmanWriter struct {
	count   [256]uint32 // of each byte
	byCount [256]uint8  // the bytes that occur, the rarest first
	leaves  [258]uint32 // see depths
	trees   [257]uint32
	parents [257]uint32
	code    [256]code // of each byte
	weights [256]byte
	fse     fse.Scratch
}

// code is the code of a symbol, its first bit the lowest; of no bits when the symbol does not occur.
type code struct {
	bits uint16
	n    uint8
}

// append appends the code of data, which has one byte at least and 128 KiB at most, to dst and returns true. It returns dst unchanged and
// false when that would be no smaller than data.
func (h *huffmanWriter) append(dst, data []byte) ([]byte, bool) {
	highest, most := histogram(&h.count, data)
	if len(data) < 3*codeStreams || most == 1 || most == len(data) || most < len(data)>>7 {
		return dst, false
	}
	start := len(dst)
	longest := h.build(int(highest)+1, len(data))
	dst, ok := h.appendTree(dst, int(highest), longest)
	if !ok {
		return dst, false
	}
	dst = h.appendStreams(dst, data)
	if len(dst)-start >= len(data) {
		return dst[:start], false
	}
	return dst, true
}

// build makes the codes of the symbols below n, of size bytes, and returns the length of the longest one.
func (h *huffmanWriter) build(n, size int) (longest int) {
	used := h.sort(n)
	lengths := h.lengths(used, size, longestFor(size, n))
	for longest = maxCodeBits; lengths[longest] == 0; {
		longest--
	}
	var next [maxCodeBits + 1]uint32 // code of each length
	for first, k := uint32(0), longest; k > 0; k-- {
		next[k] = first
		first = (first + lengths[k]) >> 1
	}
	clear(h.code[:n])
	k := longest
	for _, symbol := range h.byCount[:used] {
		for lengths[k] == 0 {
			k--
		}
		lengths[k]--
		h.code[symbol].n = uint8(k)
	}
	for symbol := range n {
		if c := &h.code[symbol]; c.n > 0 {
			c.bits = uint16(next[c.n])
			next[c.n]++
		}
	}
	return longest
}

// lengths returns how many codes there are of each length, none longer than limit. Where the rarest symbols would have longer ones, they
// count as more frequent than they are: by so much, to a quarter, as it takes.
func (h *huffmanWriter) lengths(used, size, limit int) (lengths [maxCodeBits + 1]uint32) {
	for floor := uint32(1); ; floor += floor/4 + 1 {
		for i, symbol := range h.byCount[:used] {
			h.leaves[i] = max(h.count[symbol], floor)
		}
		if h.depths(used) <= limit {
			break
		}
		floor = max(floor, uint32(size)>>(limit+1))
	}
	var nodes [maxCodeBits + 1]uint32 // of each depth
	for _, depth := range h.parents[:used-1] {
		nodes[depth]++
	}
	for k := 1; k <= limit; k++ {
		lengths[k] = 2*nodes[k-1] - nodes[k]
	}
	return lengths
}

// sort puts the symbols below n that occur into byCount; of some that do as often, the highest one is first. Higher ones are rarer, most
// of the time.
func (h *huffmanWriter) sort(n int) (used int) {
	keys := &h.leaves
	for symbol := n - 1; symbol >= 0; symbol-- {
		c := h.count[symbol]
		if c == 0 {
			continue
		}
		key := c<<8 | uint32(^uint8(symbol))
		i := used
		for ; i > 0 && keys[i-1] > key; i-- {
			keys[i] = keys[i-1]
		}
		keys[i] = key
		used++
	}
	for i, key := range keys[:used] {
		h.byCount[i] = ^uint8(key)
	}
	return used
}

// depths makes a Huffman tree of n leaves, two or more in ascending order, and returns the depth of the deepest ones. It leaves the depths of
// the n-1 inner nodes in parents. Each tree is made of two leaves, two trees or one of each, whichever are least: without a branch, which could
// not be foreseen.
func (h *huffmanWriter) depths(n int) int {
	const none = 1 << 30 // more than all leaves together
	leaves, trees, parents := h.leaves[:n+2], h.trees[:n+1], h.parents[:n+1]
	leaves[n], leaves[n+1] = none, none
	trees[0], trees[1] = none, none
	leaf, tree := 0, 0
	for next := range n - 1 {
		l, m, t, u := leaves[leaf], leaves[leaf+1], trees[tree], trees[tree+1]
		parents[tree], parents[tree+1] = uint32(next), uint32(next) // until they are taken
		trees[next], trees[next+1] = min(l+m, l+t, t+u), none
		taken := 1 + less(m, t) - less(u, l+1) // leaves, of the two
		leaf += taken
		tree += 2 - taken
	}
	parents[n-2] = 0 // from here on the depths of inner nodes
	for i := n - 3; i >= 0; i-- {
		parents[i] = parents[parents[i]] + 1
	}
	return int(parents[0]) + 1
}

// less is 1, or 0 when a is not less than b.
func less(a, b uint32) int { return int((uint64(a) - uint64(b)) >> 63) }

// longestFor is the length from which on longer codes are not worth their place in the tree's description.
func longestFor(size, symbols int) int {
	enough := max(bits.Len(uint(size-1))-2, min(bits.Len(uint(size)), bits.Len(uint(symbols-1))+1))
	return min(max(enough, 5), maxCodeBits)
}

// appendTree describes the code: a weight for each symbol below highest, whose own follows from them. It returns dst
// unchanged and false when there are too many.
func (h *huffmanWriter) appendTree(dst []byte, highest, longest int) ([]byte, bool) {
	weights := h.weights[:highest]
	for symbol := range weights {
		w := byte(0)
		if n := h.code[symbol].n; n > 0 {
			w = byte(longest+1) - n
		}
		weights[symbol] = w
	}
	h.fse.TableLog = weightTable
	if coded, err := fse.Compress(weights, &h.fse); err == nil && len(coded) < (highest+1)/2 {
		return append(append(dst, byte(len(coded))), coded...), true
	}
	if highest > directWeights {
		return dst, false
	}
	dst = append(dst, byte(127+highest))
	h.weights[highest] = 0
	for i := 0; i < highest; i += 2 {
		dst = append(dst, h.weights[i]<<4|h.weights[i+1])
	}
	return dst, true
}

// appendStreams codes data in four streams, behind the lengths of the first three.
func (h *huffmanWriter) appendStreams(dst, data []byte) []byte {
	jumps := len(dst)
	dst = append(dst, make([]byte, jumpTable)...)
	quarter := (len(data) + codeStreams - 1) / codeStreams
	for i := range codeStreams {
		part := data[min(i*quarter, len(data)):min((i+1)*quarter, len(data))]
		from := len(dst)
		dst = h.appendStream(dst, part)
		if i < codeStreams-1 {
			binary.LittleEndian.PutUint16(dst[jumps+2*i:], uint16(len(dst)-from))
		}
	}
	return dst
}

// appendStream codes symbols, the last one first, and ends them with a one.
func (h *huffmanWriter) appendStream(dst, data []byte) []byte {
	at := len(dst)
	dst = slices.Grow(dst, (len(data)*maxCodeBits+7)/8+wordBytes)
	w := bitWriter{out: dst[at:cap(dst)]}
	h.put(&w, data)
	binary.LittleEndian.PutUint64(w.out[w.pos:], w.word|1<<w.n)
	return dst[:at+w.pos+1]
}

const wordBytes = 8

// bitWriter writes bits, the lowest of each byte first.
type bitWriter struct {
	out  []byte // at least a word longer than what is written
	pos  int    // where the next byte of out is
	word uint64 // bits that are no whole byte yet
	n    uint   // number of them
}

// putFew appends the codes of symbols, the last one first. Seven bits may be left of what came before, and four codes have 44 at most.
func (h *huffmanWriter) putFew(w *bitWriter, data []byte) {
	out, pos, word, n := w.out, w.pos, w.word, w.n
	rest := len(data) &^ 3
	for i := len(data) - 1; i >= rest; i-- {
		c := h.code[data[i]]
		word |= uint64(c.bits) << (n & 63)
		n += uint(c.n)
	}
	for i := rest - 4; i >= 0; i -= 4 {
		binary.LittleEndian.PutUint64(out[pos:], word)
		pos += int(n >> 3)
		word >>= n & 0x38
		n &= 7
		four := data[i : i+4]
		a, b, c, d := h.code[four[3]], h.code[four[2]], h.code[four[1]], h.code[four[0]]
		ab, cd := uint(a.n)+uint(b.n), uint(c.n)+uint(d.n)
		codes := uint64(a.bits) | uint64(b.bits)<<(a.n&63) | (uint64(c.bits)|uint64(d.bits)<<(c.n&63))<<(ab&63)
		word |= codes << (n & 63)
		n += ab + cd
	}
	binary.LittleEndian.PutUint64(out[pos:], word)
	w.pos, w.word, w.n = pos+int(n>>3), word>>(n&0x38), n&7
}

package pixel

import "encoding/binary"

// A sample is predicted as a weighted sum of its neighbours, in units of 1/4096 (fixed point with 12 fractional bits):
//
//	p = floor((2048 + Σ weight·neighbour) / 4096) mod 65536
//
// Neighbours lie before the sample in one linear run of samples, so that a chunk may begin anywhere; only edges tell rows
// apart. Σ|weight| is bounded by maxWeight: a sum of 16-bit samples then lies within ±1.84e9, and with sumBias and a
// residual added to it between 0 and 2^32, so that two sums fit side by side into a 64-bit word.
const (
	weightBits = 12
	weightOne  = 1 << weightBits
	maxWeight  = 28000
	sumBias    = 1<<31 + weightOne/2 // 2^31 keeps a lane positive, and vanishes mod 65536 after the shift
)

// taps are the neighbours in the order in which a stream lists their weights: dx in pixels, dy in rows.
var taps = [...]struct{ dx, dy int }{
	{-1, 0}, {0, -1}, {-1, -1}, {1, -1}, {-2, 0}, {0, -2},
	{-1, -2}, {1, -2}, {2, -1}, {-2, -1}, {-3, 0}, {3, -1},
}

const maxTaps = len(taps)

// kernelTaps is how many taps the assembly knows. They reach two pixels to each side in the row above, and one in the second one.
const kernelTaps = 10

// forKernel reports whether the assembly knows the block's weights: one set, of as few taps.
func (b *block) forKernel() bool { return b.nsets == 1 && b.ntaps <= kernelTaps }

// grid is how neighbours are found in the linear run of samples.
type grid struct {
	row   int // samples from a sample to the one below it, at least minRow
	step  int // samples from a sample to the same component of the next pixel, 1 or 3
	first int // samples of the stream before the first edge, or noEdges
}

// minRow keeps every tap of the row above, and the tokens that choose a class, outside the group being decoded.
const minRow = 32

// history is the number of samples before the first one that taps reach.
func (g grid) history() int { return 2*g.row + g.step }

// offset is the distance in samples of tap t.
func (g grid) offset(t int) int { return taps[t].dy*g.row + taps[t].dx*g.step }

// weights is one set of tap weights; those beyond the block's number of taps are zero.
type weights [maxTaps]int32

// wideWeights are weights as factors of a word of two lanes: negative ones wrap around.
type wideWeights [maxTaps]uint64

const (
	evenLanes = 0x0000ffff0000ffff
	lowLanes  = 0x0001000100010001
	highLanes = 0x8000800080008000
	biasLanes = sumBias<<32 | sumBias
)

// lowLane2 is 1 in both lanes of 32 bits.
const lowLane2 = 1<<32 | 1

// halfLanes rounds sums to 16 fractional bits, of which the four lowest are not used: half, and 8. Where the lower lane's sum
// overflows or is below zero, -8 to 7 is carried into the upper lane; with the 8 that stays within those four bits, and no
// further bias is needed.
const halfLanes = (1<<15 + 8) * lowLane2

// Tokens: a residual, zig-zagged to v, is the byte v when v < direct. Else its token is direct + (v-direct)>>8 and the
// low byte of v-direct is an extra byte; when that token would reach escape, the token is escape and v itself follows in
// two extra bytes, low byte first.
const (
	direct = 192
	escape = 255
)

// zigzag4 maps four residuals mod 65536 so that small magnitudes are small: 0, -1, 1, -2, …
func zigzag4(e uint64) uint64 {
	sign := e >> 15 & lowLanes
	return e<<1&^lowLanes ^ (sign<<16 - sign)
}

// unzigzag4 is the inverse of zigzag4.
func unzigzag4(v uint64) uint64 {
	return v>>1&0x7fff7fff7fff7fff ^ (v&lowLanes<<16 - v&lowLanes)
}

// residuals4 gives the zig-zagged residuals of four samples from their sums: even holds those of samples 0 and 2.
func residuals4(x, even, odd uint64) uint64 {
	p := even>>weightBits&evenLanes | odd>>weightBits&evenLanes<<16
	e := ((x | highLanes) - (p &^ highLanes)) ^ ((x ^ ^p) & highLanes)
	return zigzag4(e)
}

// anyEscape reports whether a lane of v is direct or more. A lane that overflows has its upper bits set in v itself.
func anyEscape(v uint64) bool {
	return (v|(v+(256-direct)*lowLanes))&0xff00ff00ff00ff00 != 0
}

// pack4 packs four lanes below 256 into four bytes.
func pack4(v uint64) uint32 {
	v = (v | v>>8) & evenLanes
	return uint32(v | v>>16)
}

// unpack4 is the inverse of pack4.
func unpack4(t uint32) uint64 {
	v := (uint64(t) | uint64(t)<<16) & evenLanes
	return (v | v<<8) & 0x00ff00ff00ff00ff
}

// load reads the eight bytes at i: four samples, or eight tokens.
func load(b []byte, i int) uint64 { return binary.LittleEndian.Uint64(b[i:]) }

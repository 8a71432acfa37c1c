package repo

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"sync"

	"github.com/klauspost/reedsolomon"
	"github.com/zeebo/blake3"
)

// FORMAT.md section 8.
const (
	parityPrefix  = "parity/"
	parityMagic   = "OKPR"
	parityVersion = 1
	parityHead    = 48
	paritySum     = 4    // bytes of the checksum of a shard
	shardSize     = 4096 // a sector of a disk
	parityShards  = 2    // of a stripe of an object that is not small
	maxDataShards = 200
	maxParity     = 50
)

// maxParityObject bounds the length of a parity object.
var maxParityObject = stripesFor(maxPack, MaxParity).total()

// stripes is how an object is cut into shards.
type stripes struct {
	length int64 // bytes of the object, at least 1
	d, p   int   // of a stripe: data shards at most, parity shards
}

// stripesFor returns how to protect an object of some length by a share of 1 to 100 percent.
func stripesFor(length int64, percent int) stripes {
	s := stripes{length, min(100*parityShards/percent, maxDataShards), parityShards}
	if s.shards()*percent <= 100 {
		s.p = 1
	}
	return s
}

func (s stripes) size() int   { return int(min(shardSize, s.length)) }
func (s stripes) shards() int { return int((s.length + int64(s.size()) - 1) / int64(s.size())) }
func (s stripes) count() int  { return (s.shards() + s.d - 1) / s.d }

// data is the number of data shards of a stripe.
func (s stripes) data(stripe int) int { return (s.shards() - stripe + s.count() - 1) / s.count() }

// total is the length of the parity object.
func (s stripes) total() int64 {
	return parityHead + paritySum*int64(s.shards()) + int64(paritySum+s.size())*int64(s.count()*s.p) + checksumSize
}

// shard returns shard i of the object, the last one without padding.
func (s stripes) shard(object []byte, i int) []byte {
	return object[i*s.size() : min((i+1)*s.size(), len(object))]
}

// collect returns the shards of a stripe: those of the object, the last one copied and padded, and room for its parity.
func (s stripes) collect(object []byte, stripe int) [][]byte {
	shards := make([][]byte, 0, s.data(stripe)+s.p)
	for i := stripe; i < s.shards(); i += s.count() {
		b := s.shard(object, i)
		if len(b) < s.size() {
			b = append(make([]byte, 0, s.size()), b...)[:s.size()]
		}
		shards = append(shards, b)
	}
	return shards
}

// codes are the Reed–Solomon codes in use, by their numbers of data and parity shards.
var codes sync.Map // of [2]int to reedsolomon.Encoder

func codeFor(data, parity int) reedsolomon.Encoder {
	key := [2]int{data, parity}
	if c, ok := codes.Load(key); ok {
		return c.(reedsolomon.Encoder)
	}
	c, err := reedsolomon.New(data, parity, reedsolomon.WithMaxGoroutines(1))
	if err != nil {
		panic("repo: " + err.Error()) // the numbers are in bounds
	}
	codes.Store(key, c)
	return c
}

func shardSum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// marshalParity returns the parity object of an object, which has at least one byte, and its hash.
func marshalParity(object []byte, hash [32]byte, percent int) []byte {
	s := stripesFor(int64(len(object)), percent)
	out := append(make([]byte, 0, s.total()), parityMagic...)
	out = append(out, parityVersion, byte(s.d), byte(s.p), 0)
	out = binary.LittleEndian.AppendUint64(out, uint64(s.length))
	out = append(out, hash[:]...)
	for i := range s.shards() {
		out = binary.LittleEndian.AppendUint32(out, shardSum(s.shard(object, i)))
	}
	for stripe := range s.count() {
		shards := s.collect(object, stripe)
		data := len(shards)
		at := len(out)
		out = out[:at+s.p*(paritySum+s.size())]
		for i := range s.p {
			from := at + i*(paritySum+s.size()) + paritySum
			shards = append(shards, out[from:from+s.size()])
		}
		if err := codeFor(data, s.p).Encode(shards); err != nil {
			panic("repo: " + err.Error()) // the shards are of one length
		}
		for i, b := range shards[data:] {
			binary.LittleEndian.PutUint32(out[at+i*(paritySum+s.size()):], shardSum(b))
		}
	}
	sum := blake3.Sum256(out)
	return append(out, sum[:]...)
}

// A parity is a parity object as it was read. Its shards may be damaged.
type parity struct {
	stripes
	hash [32]byte // of the object
	raw  []byte
}

// parseParity reads a parity object as far as it makes sense. whole says whether every byte of it is as it was written.
func parseParity(name string, raw []byte) (p parity, whole bool, err error) {
	if len(raw) < parityHead+checksumSize || string(raw[:4]) != parityMagic {
		return p, false, corrupt(name, "not a parity object")
	}
	if raw[4] != parityVersion {
		return p, false, fmt.Errorf("%s: parity version %d: %w", name, raw[4], ErrUnsupported)
	}
	p = parity{stripes: stripes{int64(binary.LittleEndian.Uint64(raw[8:])), int(raw[5]), int(raw[6])}, hash: [32]byte(raw[16:48]), raw: raw}
	if p.d < 1 || p.d > maxDataShards || p.p < 1 || p.p > maxParity || raw[7] != 0 || p.length < 1 || p.length > maxPack || p.total() != int64(len(raw)) {
		return p, false, corrupt(name, "parity header out of bounds")
	}
	end := len(raw) - checksumSize
	return p, blake3.Sum256(raw[:end]) == [32]byte(raw[end:]), nil
}

// heal puts right what is wrong in an object of the stated length, and reports whether it is now what it was.
func (p parity) heal(object []byte) bool {
	for stripe := range p.count() {
		p.healStripe(object, stripe)
	}
	return blake3.Sum256(object) == p.hash
}

// healStripe replaces the shards of a stripe that are damaged, if there are no more of them than whole parity shards.
func (p parity) healStripe(object []byte, stripe int) {
	shards := p.collect(object, stripe)
	data := len(shards)
	var bad []int
	for n := range shards {
		i := stripe + n*p.count()
		if shardSum(p.shard(object, i)) != binary.LittleEndian.Uint32(p.raw[parityHead+paritySum*i:]) {
			shards[n], bad = nil, append(bad, n)
		}
	}
	if len(bad) == 0 {
		return
	}
	at := parityHead + paritySum*p.shards() + stripe*p.p*(paritySum+p.size())
	for range p.p {
		b := p.raw[at+paritySum : at+paritySum+p.size()]
		if shardSum(b) != binary.LittleEndian.Uint32(p.raw[at:]) {
			b = nil
		}
		shards, at = append(shards, b), at+paritySum+p.size()
	}
	if err := codeFor(data, p.p).ReconstructData(shards); err != nil {
		return // too many
	}
	for _, n := range bad {
		copy(p.shard(object, stripe+n*p.count()), shards[n])
	}
}

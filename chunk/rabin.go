package chunk

import "sync"

// rollSize is how many bytes before a place decide whether there is a cut.
const rollSize = 64

// rabin finds cuts by Rabin fingerprints (M. O. Rabin, Fingerprinting by Random Polynomials, 1981), which are those of restic/chunker: the
// 64 bytes before a place, as a polynomial over GF(2), mod one that is irreducible. It may be used by several goroutines at once.
type rabin struct {
	shift uint        // the degree, less a byte
	mod   [256]uint64 // by the byte above the degree: what takes it away and adds what it is mod the polynomial
	out   [256]uint64 // by the byte that leaves the window, behind which 64 bytes have come
}

// rabins are made once for each polynomial, of which a repository has one.
var rabins sync.Map // of *rabin, by Pol

func rabinOf(pol Pol) *rabin {
	if r, ok := rabins.Load(pol); ok {
		return r.(*rabin)
	}
	r := &rabin{shift: uint(pol.Deg()-8) % 64}
	for b := range Pol(256) {
		top := b << pol.Deg()
		r.mod[b] = uint64(top | top.Mod(pol))
	}
	for b := range r.out {
		h := uint64(b)
		for range rollSize {
			h = r.push(h, 0)
		}
		r.out[b] = h
	}
	first, _ := rabins.LoadOrStore(pol, r)
	return first.(*rabin)
}

// push is the fingerprint with one more byte.
func (r *rabin) push(h uint64, b byte) uint64 {
	return h<<8 ^ uint64(b) ^ r.mod[uint8(h>>r.shift)]
}

// at is the fingerprint of the window before a place.
func (r *rabin) at(data []byte, place int) (h uint64) {
	for _, b := range data[place-rollSize : place] {
		h = r.push(h, b)
	}
	return h
}

// lane is how far each of the four fingerprints goes that are worked out in step: one alone would leave the processor waiting for the
// table most of the time.
const lane = 2048

// find returns the first place from on, before to, where the fingerprint has zeros where mask has ones, and to when there is none.
// At least 64 bytes lie before from.
func (r *rabin) find(data []byte, from, to int, mask uint64) int {
	for ; to-from >= 4*lane; from += 4 * lane {
		if r.four(data[from-rollSize:from+4*lane], mask) {
			return r.one(data, from, from+4*lane, mask)
		}
	}
	return r.one(data, from, to, mask)
}

// one is find with one fingerprint.
func (r *rabin) one(data []byte, from, to int, mask uint64) int {
	if from >= to {
		return to
	}
	h := r.at(data, from)
	for ; h&mask != 0; from++ {
		if from+1 == to {
			return to
		}
		h = r.push(h, data[from]) ^ r.out[data[from-rollSize]]
	}
	return from
}

// four reports whether there is a cut in four neighbouring lanes. Data begins with the window before the first.
func (r *rabin) four(data []byte, mask uint64) bool {
	var h [4]uint64
	for k := range h {
		h[k] = r.at(data, rollSize+k*lane)
	}
	mod, out, shift := &r.mod, &r.out, r.shift%64
	h0, h1, h2, h3 := h[0], h[1], h[2], h[3]
	d := (*[rollSize + 4*lane]byte)(data)
	for i := range lane {
		if h0&mask == 0 || h1&mask == 0 || h2&mask == 0 || h3&mask == 0 {
			return true
		}
		h0 = h0<<8 ^ uint64(d[i+rollSize]) ^ out[d[i]] ^ mod[uint8(h0>>shift)]
		h1 = h1<<8 ^ uint64(d[i+lane+rollSize]) ^ out[d[i+lane]] ^ mod[uint8(h1>>shift)]
		h2 = h2<<8 ^ uint64(d[i+2*lane+rollSize]) ^ out[d[i+2*lane]] ^ mod[uint8(h2>>shift)]
		h3 = h3<<8 ^ uint64(d[i+3*lane+rollSize]) ^ out[d[i+3*lane]] ^ mod[uint8(h3>>shift)]
	}
	return false
}

package dicomtest

import (
	"crypto/sha256"
	"fmt"
	"math/big"
	"math/rand/v2"
)

// digest makes a number for each use of a seed, so that a change of one part of the generator leaves the others.
func digest(parts ...any) [32]byte { return sha256.Sum256(fmt.Appendln(nil, parts...)) }

func random(parts ...any) *rand.Rand {
	return rand.New(rand.NewChaCha8(digest(parts...)))
}

// uid returns a UID made from a UUID (PS3.5 section B.2).
func uid(parts ...any) string {
	d := digest(parts...)
	d[6] = d[6]&0x0f | 0x40 // version 4
	d[8] = d[8]&0x3f | 0x80
	return "2.25." + new(big.Int).SetBytes(d[:16]).String()
}

// blob returns n bytes as scanners keep them in private elements: mostly zero, with small numbers and some noise.
func blob(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := 0; i < n; i += 4 {
		switch r.IntN(4) {
		case 0:
			b[i] = byte(r.IntN(64))
		case 1:
			b[i], b[min(i+1, n-1)] = byte(r.Uint32()), byte(r.Uint32())
		}
	}
	return b
}

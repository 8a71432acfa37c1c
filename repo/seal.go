package repo

import (
	"crypto/aes"
	"crypto/cipher"
)

const (
	nonceSize    = 12
	tagSize      = 16
	sealOverhead = nonceSize + tagSize
)

func gcm(key [32]byte) cipher.AEAD {
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic("repo: " + err.Error()) // the key has 32 bytes
	}
	a, err := cipher.NewGCM(block)
	if err != nil {
		panic("repo: " + err.Error())
	}
	return a
}

// seal appends nonce and AES-256-GCM(key, nonce, plain, ad) to dst. A nil nonce means a random one.
func seal(dst []byte, key [32]byte, nonce, plain, ad []byte) []byte {
	var n [nonceSize]byte
	if nonce == nil {
		fillRandom(n[:])
	} else {
		copy(n[:], nonce)
	}
	dst = append(dst, n[:]...)
	return gcm(key).Seal(dst, n[:], plain, ad)
}

// unseal opens what seal made, appending to dst, and reports whether it was genuine.
func unseal(dst []byte, key [32]byte, sealed, ad []byte) ([]byte, bool) {
	if len(sealed) < sealOverhead {
		return nil, false
	}
	out, err := gcm(key).Open(dst, sealed[:nonceSize], sealed[nonceSize:], ad)
	return out, err == nil
}

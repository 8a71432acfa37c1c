package repo

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"sync"

	"github.com/zeebo/blake3"
)

// ID is the identity of a blob: the keyed BLAKE3-256 of its plain bytes.
type ID [32]byte

// String returns the ID in 64 hexadecimal digits.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// MarshalText returns the ID in 64 hexadecimal digits.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText is the inverse of MarshalText.
func (id *ID) UnmarshalText(text []byte) (err error) {
	*id, err = ParseID(string(text))
	return err
}

// ParseID reads what String wrote.
func ParseID(s string) (id ID, err error) {
	if len(s) != 64 {
		return ID{}, fmt.Errorf("blob ID has %d digits instead of 64", len(s))
	}
	if _, err := hex.Decode(id[:], []byte(s)); err != nil {
		return ID{}, fmt.Errorf("blob ID: %w", err)
	}
	return id, nil
}

// Class says who may read a blob.
type Class uint8

const (
	Structure Class = 1 // writers: blob IDs, sizes, keyed hashes
	Content   Class = 2 // holders of the recovery key only
)

func (c Class) String() string {
	switch c {
	case Structure:
		return "structure"
	case Content:
		return "content"
	}
	return fmt.Sprintf("class %d", uint8(c))
}

func (c Class) valid() bool { return c == Structure || c == Content }

// keyed returns the keyed BLAKE3-256 of the concatenation of parts.
func keyed(key [32]byte, parts ...[]byte) (sum [32]byte) {
	h, err := blake3.NewKeyed(key[:])
	if err != nil {
		panic("repo: " + err.Error()) // the key has 32 bytes
	}
	for _, p := range parts {
		_, _ = h.Write(p)
	}
	h.Sum(sum[:0])
	return sum
}

// keyedHash is keyed BLAKE3-256 under one key. It keeps its memory, some 10 KB for each goroutine that uses it: making that anew
// takes ten times as long as to hash an MD5.
type keyedHash struct{ hashers sync.Pool }

func newKeyedHash(key [32]byte) *keyedHash {
	return &keyedHash{sync.Pool{New: func() any {
		h, err := blake3.NewKeyed(key[:])
		if err != nil {
			panic("repo: " + err.Error()) // the key has 32 bytes
		}
		return h
	}}}
}

func (k *keyedHash) sum(b []byte) (sum [32]byte) {
	h := k.hashers.Get().(*blake3.Hasher)
	defer k.hashers.Put(h)
	h.Reset()
	_, _ = h.Write(b)
	h.Sum(sum[:0])
	return sum
}

// fillRandom fills b from the system's random source, which never fails (crypto/rand).
func fillRandom(b []byte) { _, _ = rand.Read(b) }

// randomID returns 16 random bytes in hexadecimal: the identifier of a run, an epoch or a snapshot.
func randomID() string {
	var b [16]byte
	fillRandom(b[:])
	return hex.EncodeToString(b[:])
}

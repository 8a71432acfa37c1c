package repo

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strings"

	"filippo.io/age"
	"github.com/zeebo/blake3"
)

const (
	epochsPrefix = "epochs/"
	epochMagic   = "OKPK"
	epochVersion = 1
	epochHeader  = 8
	maxEpoch     = epochHeader + maxAgeFile + checksumSize
)

// epoch is the content blobs of one run, and the key that seals them.
type epoch struct {
	id  [16]byte
	key [32]byte
}

func newEpoch() (e epoch) {
	fillRandom(e.id[:])
	fillRandom(e.key[:])
	return e
}

// epochNames are the two places of an epoch's key.
func epochNames(id [16]byte) [2]string {
	h := hex.EncodeToString(id[:])
	return [2]string{epochsPrefix + "a/" + h, epochsPrefix + "b/" + h}
}

// parseEpochName returns the epoch that a name below epochsPrefix is of.
func parseEpochName(name string) (id [16]byte, ok bool) {
	digits := name[strings.LastIndexByte(name, '/')+1:]
	if len(digits) != 2*len(id) {
		return id, false
	}
	_, err := hex.Decode(id[:], []byte(digits))
	return id, err == nil
}

func marshalEpoch(e epoch, to []age.Recipient) ([]byte, error) {
	file, err := encryptAge(append(append([]byte(nil), e.id[:]...), e.key[:]...), to...)
	if err != nil {
		return nil, err
	}
	out := append([]byte(epochMagic), epochVersion, 0, 0, 0)
	out = append(out, file...)
	sum := blake3.Sum256(out)
	return append(out, sum[:]...), nil
}

// verifyEpoch checks what can be checked without a key, and returns the age file inside.
func verifyEpoch(name string, raw []byte) ([]byte, error) {
	if len(raw) < epochHeader+checksumSize || string(raw[:4]) != epochMagic {
		return nil, corrupt(name, "not an epoch key")
	}
	if raw[4] != epochVersion {
		return nil, fmt.Errorf("%s: version %d: %w", name, raw[4], ErrUnsupported)
	}
	sum := blake3.Sum256(raw[:len(raw)-checksumSize])
	if !bytes.Equal(sum[:], raw[len(raw)-checksumSize:]) || raw[5]|raw[6]|raw[7] != 0 {
		return nil, corrupt(name, "checksum mismatch")
	}
	return raw[epochHeader : len(raw)-checksumSize], nil
}

func parseEpoch(name string, id [16]byte, raw []byte, with age.Identity) (e epoch, err error) {
	file, err := verifyEpoch(name, raw)
	if err != nil {
		return e, err
	}
	plain, err := decryptAge(name, file, with)
	if err != nil {
		return e, err
	}
	if len(plain) != 48 || !bytes.Equal(plain[:16], id[:]) {
		return e, corrupt(name, "the key of another epoch")
	}
	e.id = id
	copy(e.key[:], plain[16:])
	return e, nil
}

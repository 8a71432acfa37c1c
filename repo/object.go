package repo

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/zeebo/blake3"
)

// Kind says what a sealed object is (FORMAT.md section 7).
type Kind uint8

const (
	KindSegment Kind = 1
	KindRoot    Kind = 2
	KindRun     Kind = 3
	KindEnd     Kind = 4
	KindExpired Kind = 5
	KindLabel   Kind = 6
	KindMark    Kind = 7
	KindNote    Kind = 8
	KindPrune   Kind = 9

	KindSettings   Kind = 10
	KindQuarantine Kind = 11
)

// kindOf says which sealed object a name is; zero when it is none.
func kindOf(name string) Kind {
	switch {
	case strings.HasPrefix(name, segmentsPrefix):
		return KindSegment
	case strings.HasPrefix(name, "snapshots/"), strings.HasPrefix(name, "pending/"):
		return KindRoot
	case strings.HasPrefix(name, runsPrefix) && strings.HasSuffix(name, endSuffix):
		return KindEnd
	case strings.HasPrefix(name, runsPrefix) && strings.HasSuffix(name, expiredSuffix):
		return KindExpired
	case strings.HasPrefix(name, runsPrefix):
		return KindRun
	case strings.HasPrefix(name, "labels/"):
		return KindLabel
	case strings.HasPrefix(name, marksPrefix) && strings.HasSuffix(name, noteSuffix):
		return KindNote
	case strings.HasPrefix(name, marksPrefix):
		return KindMark
	case name == pruneName:
		return KindPrune
	case strings.HasPrefix(name, settingsPrefix):
		return KindSettings
	case strings.HasPrefix(name, quarantinePrefix):
		return KindQuarantine
	}
	return 0
}

const (
	objectMagic   = "OKPO"
	objectVersion = 1
	objectHeader  = 20
	checksumSize  = 32
	maxBody       = 64 << 20
	maxObject     = objectHeader + maxBody + tagSize + checksumSize
)

// keyName is the name that an object's key is derived from: a root is the same in both of its places.
func keyName(name string) string {
	if rest, ok := strings.CutPrefix(name, "pending/"); ok {
		return "snapshots/" + rest
	}
	return name
}

// sealObject returns the object of a kind and name with the given body. A nil nonce means a random one.
func (d *derived) sealObject(kind Kind, name string, nonce, body []byte) []byte {
	if len(body) > maxBody {
		panic(fmt.Sprintf("repo: object %s has %d bytes", name, len(body)))
	}
	head := append(make([]byte, 0, 8+sealOverhead+len(body)+checksumSize), objectMagic...)
	head = append(head, objectVersion, byte(kind), 0, 0)
	var nonceBuf [nonceSize]byte
	if nonce == nil {
		fillRandom(nonceBuf[:])
	} else {
		copy(nonceBuf[:], nonce)
	}
	head = append(head, nonceBuf[:]...)
	out := gcm(d.object(keyName(name))).Seal(head, nonceBuf[:], body, head[:objectHeader])
	sum := blake3.Sum256(out)
	return append(out, sum[:]...)
}

// openObject returns the body of an object. It fails with a CorruptError when a byte differs from what was written
// or the object does not belong to this name, with ErrUnsupported when it is newer.
func (d *derived) openObject(kind Kind, name string, raw []byte) ([]byte, error) {
	if err := verifyObject(kind, name, raw); err != nil {
		return nil, err
	}
	sealed := raw[objectHeader : len(raw)-checksumSize]
	body, err := gcm(d.object(keyName(name))).Open(nil, raw[8:objectHeader], sealed, raw[:objectHeader])
	if err != nil {
		return nil, corrupt(name, "not written under this name with this repository's key")
	}
	return body, nil
}

// verifyObject checks what can be checked without a key.
func verifyObject(kind Kind, name string, raw []byte) error {
	if len(raw) < objectHeader+tagSize+checksumSize || string(raw[:4]) != objectMagic {
		return corrupt(name, "not a sealed object")
	}
	if raw[4] != objectVersion {
		return fmt.Errorf("%s: object version %d: %w", name, raw[4], ErrUnsupported)
	}
	sum := blake3.Sum256(raw[:len(raw)-checksumSize])
	if !bytes.Equal(sum[:], raw[len(raw)-checksumSize:]) {
		return corrupt(name, "checksum mismatch")
	}
	if Kind(raw[5]) != kind || raw[6] != 0 || raw[7] != 0 {
		return corrupt(name, "an object of another kind")
	}
	return nil
}

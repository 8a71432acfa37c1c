package repo

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/restic/chunker"
)

const (
	writerKeyFormat  = "orthokeep writer key"
	polynomialDegree = 53 // of restic/chunker's
)

// WriterKey is what a backup host holds: enough to add snapshots and to read their structure, not to read content.
// Keep it in a file of mode 0600.
type WriterKey struct {
	Repository string      // ID of the repository it belongs to
	ID         [32]byte    // keys the identities of blobs
	Structure  [32]byte    // seals structure
	Polynomial chunker.Pol // where content is cut
}

type writerKeyFile struct {
	Format     string `json:"format"`
	Version    int    `json:"version"`
	Repository string `json:"repository"`
	ID         string `json:"id_key"`
	Structure  string `json:"structure_key"`
	Polynomial string `json:"polynomial"`
}

// Marshal returns the contents of a writer key file.
func (k *WriterKey) Marshal() []byte {
	b, err := json.MarshalIndent(writerKeyFile{writerKeyFormat, 1, k.Repository, hex.EncodeToString(k.ID[:]),
		hex.EncodeToString(k.Structure[:]), fmt.Sprintf("%016x", uint64(k.Polynomial))}, "", "  ")
	if err != nil {
		panic("repo: " + err.Error()) // strings and an integer
	}
	return append(b, '\n')
}

// ParseWriterKey reads what Marshal wrote. The error matches ErrWrongKey when b is not a writer key,
// and ErrUnsupported when it is a newer one. It never shows what b holds.
func ParseWriterKey(b []byte) (*WriterKey, error) {
	var f writerKeyFile
	if err := UnmarshalJSON(b, &f, maxValues); err != nil || f.Format != writerKeyFormat {
		return nil, fmt.Errorf("not a writer key: %w", ErrWrongKey)
	}
	if f.Version != 1 {
		return nil, fmt.Errorf("writer key version %d: %w", f.Version, ErrUnsupported)
	}
	k := &WriterKey{Repository: f.Repository}
	var pol [8]byte
	for _, part := range []struct {
		dst  []byte
		text string
	}{{k.ID[:], f.ID}, {k.Structure[:], f.Structure}, {pol[:], f.Polynomial}} {
		raw, err := hex.DecodeString(part.text)
		if err != nil || len(raw) != len(part.dst) {
			return nil, fmt.Errorf("writer key is damaged: %w", ErrWrongKey)
		}
		copy(part.dst, raw)
	}
	for _, b := range pol {
		k.Polynomial = k.Polynomial<<8 | chunker.Pol(b)
	}
	if k.Polynomial.Deg() != polynomialDegree || !k.Polynomial.Irreducible() { // others make the chunker panic
		return nil, fmt.Errorf("writer key is damaged: %w", ErrWrongKey)
	}
	return k, nil
}

// derived are the keys that FORMAT.md section 4 makes of a writer key.
type derived struct {
	id         [3]*keyedHash // by class
	md5        *keyedHash
	blobs      [32]byte // structure blobs
	recipients [32]byte
	structure  [32]byte
	page       [32]byte
}

func (k *WriterKey) derive() *derived {
	label := func(key [32]byte, s string) [32]byte { return keyed(key, []byte(s)) }
	d := &derived{
		blobs:      label(k.Structure, "orthokeep structure blobs"),
		recipients: label(k.Structure, "orthokeep recipients"),
		structure:  k.Structure,
		md5:        newKeyedHash(label(k.ID, "orthokeep md5")),
		page:       label(k.ID, "orthokeep page"),
	}
	d.id[Structure] = newKeyedHash(label(k.ID, "orthokeep id structure"))
	d.id[Content] = newKeyedHash(label(k.ID, "orthokeep id content"))
	return d
}

func (d *derived) blobID(class Class, plain []byte) ID { return d.id[class].sum(plain) }

func (d *derived) table(header []byte) [32]byte {
	return keyed(d.structure, []byte("orthokeep pack table"), header)
}

func (d *derived) object(name string) [32]byte {
	return keyed(d.structure, []byte("orthokeep object "), []byte(name))
}

// equal reports whether two writer keys are the same.
func (k *WriterKey) equal(o *WriterKey) bool { return bytes.Equal(k.Marshal(), o.Marshal()) }

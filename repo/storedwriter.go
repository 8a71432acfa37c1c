package repo

import (
	"bytes"
	"crypto/subtle"
	"encoding/hex"

	"filippo.io/age"
	"github.com/zeebo/blake3"
)

// The writer key that the repository keeps is encrypted to the recipients, who are public: anybody could put another one there, and a whole
// repository under it. So it ends in a line that only a holder of the recovery key can write.

const storedWriterContext = "orthokeep: the writer key that a repository keeps, by its recovery key"

// storedWriterMAC authenticates the text of a writer key.
func storedWriterMAC(by *age.HybridIdentity, text []byte) string {
	var key [32]byte
	blake3.DeriveKey(storedWriterContext, []byte(by.String()), key[:])
	sum := keyed(key, text)
	return hex.EncodeToString(sum[:])
}

// marshalStoredWriter returns the plain text of the writer key that the repository keeps.
func marshalStoredWriter(w *WriterKey, by *age.HybridIdentity) []byte {
	text := w.Marshal()
	return append(append(text, storedWriterMAC(by, text)...), '\n')
}

// parseStoredWriter reads what marshalStoredWriter wrote. The error matches ErrCorrupt when a stranger wrote it.
func parseStoredWriter(name string, plain []byte, by *age.HybridIdentity) (*WriterKey, error) {
	end := bytes.LastIndexByte(bytes.TrimSuffix(plain, []byte("\n")), '\n') + 1
	text, mac := plain[:end], bytes.TrimSuffix(plain[end:], []byte("\n"))
	if subtle.ConstantTimeCompare(mac, []byte(storedWriterMAC(by, text))) != 1 {
		return nil, corrupt(name, "not made with this repository's recovery key")
	}
	return ParseWriterKey(text)
}

package repo

import (
	"testing"

	"filippo.io/age"
)

// LowerScryptWork makes passphrases cheap for a test.
func LowerScryptWork(t testing.TB) {
	old := scryptWork
	scryptWork = 10
	t.Cleanup(func() { scryptWork = old })
}

// KeyFileName is keyFileName.
var KeyFileName = keyFileName

// Remembered is the number of copies that Get found whole since Remember.
func (c *Checking) Remembered() int {
	read := c.r.read.Load()
	read.sort()
	return len(read.seen.prefixes)
}

// StoredWriter makes the second writer key that a repository keeps: with the line of a recovery key, or without any.
func StoredWriter(w *WriterKey, by *age.HybridIdentity, to age.Recipient) (name string, data []byte, err error) {
	plain := w.Marshal()
	if by != nil {
		plain = marshalStoredWriter(w, by)
	}
	data, err = encryptAge(plain, to)
	return keyFileName(writerFile, 2, data), data, err
}

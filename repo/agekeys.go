package repo

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"

	"filippo.io/age"
)

const maxAgeFile = 64 << 10

// maxScryptWork is the base-2 logarithm of scrypt's N for the passphrase: about a second and 256 MiB. A file that wants more of whoever opens it
// is refused.
const maxScryptWork = 18

// scryptWork is what is written. Tests lower it.
var scryptWork = maxScryptWork

func encryptAge(plain []byte, to ...age.Recipient) ([]byte, error) {
	var out bytes.Buffer
	w, err := age.Encrypt(&out, to...)
	if err != nil {
		return nil, err
	}
	_, err = w.Write(plain)
	if err := errors.Join(err, w.Close()); err != nil {
		panic("repo: " + err.Error()) // a buffer takes everything
	}
	return out.Bytes(), nil
}

// decryptAge opens an age file. The error matches ErrWrongKey when none of the identities fits.
func decryptAge(name string, file []byte, with ...age.Identity) ([]byte, error) {
	r, err := age.Decrypt(bytes.NewReader(file), with...)
	if mismatch := new(age.NoIdentityMatchError); errors.As(err, &mismatch) {
		return nil, fmt.Errorf("%s: %w", name, ErrWrongKey)
	}
	if err != nil {
		return nil, corrupt(name, "not a readable age file")
	}
	plain, err := io.ReadAll(io.LimitReader(r, maxAgeFile+1))
	if err != nil || len(plain) > maxAgeFile {
		return nil, corrupt(name, "age payload is damaged")
	}
	return plain, nil
}

// newRecoveryKey makes an age identity of the post-quantum hybrid (ML-KEM-768 with X25519).
func newRecoveryKey() (*age.HybridIdentity, error) { return age.GenerateHybridIdentity() }

// wrapRecoveryKey encrypts a recovery key under a passphrase.
func wrapRecoveryKey(id *age.HybridIdentity, passphrase string) ([]byte, error) {
	to, err := age.NewScryptRecipient(passphrase)
	if err != nil {
		return nil, fmt.Errorf("passphrase: %w", err)
	}
	to.SetWorkFactor(scryptWork)
	return encryptAge([]byte(id.String()+"\n"), to)
}

// unwrapRecoveryKey is the inverse of wrapRecoveryKey. A wrong passphrase matches ErrWrongKey.
func unwrapRecoveryKey(name string, file []byte, passphrase string) (*age.HybridIdentity, error) {
	id, err := age.NewScryptIdentity(passphrase)
	if err != nil {
		return nil, fmt.Errorf("passphrase: %w", ErrWrongKey)
	}
	id.SetMaxWorkFactor(maxScryptWork)
	plain, err := decryptAge(name, file, id)
	runtime.GC() // scrypt's 256 MiB are the heap's again: what follows lies there, in the place of new memory
	if errors.Is(err, ErrWrongKey) {
		return nil, fmt.Errorf("open the recovery key: %w", ErrWrongKey)
	}
	if err != nil {
		return nil, err
	}
	return ParseRecoveryKey(plain)
}

// ParseRecoveryKey reads the recovery key from the contents of its file: one line that begins with
// AGE-SECRET-KEY-PQ-1, and comment lines that begin with #. The error matches ErrWrongKey and never shows the contents.
func ParseRecoveryKey(b []byte) (*age.HybridIdentity, error) {
	var found *age.HybridIdentity
	for line := range bytes.Lines(b) {
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		id, err := age.ParseHybridIdentity(string(line))
		if err != nil || found != nil {
			return nil, fmt.Errorf("not a recovery key: %w", ErrWrongKey)
		}
		found = id
	}
	if found == nil {
		return nil, fmt.Errorf("not a recovery key: %w", ErrWrongKey)
	}
	return found, nil
}

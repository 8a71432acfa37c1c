package repo

import (
	"context"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/zeebo/blake3"

	"github.com/orthokeep/orthokeep/repo/storage"
)

// The kinds of key files (FORMAT.md section 4).
const (
	keysPrefix     = "keys/"
	recipientsFile = "recipients"
	recoveryFile   = "recovery"
	writerFile     = "writer"
	maxKeyFile     = 1 << 20
)

// keyFileName is the name of key file n of a kind, whose end says what it holds.
func keyFileName(kind string, n int, data []byte) string {
	sum := blake3.Sum256(data)
	return fmt.Sprintf("%s%s-%08d-%s", keysPrefix, kind, n, hex.EncodeToString(sum[:8]))
}

// parseKeyFileName returns the kind and number of a key file.
func parseKeyFileName(name string) (kind string, n int, ok bool) {
	parts := strings.Split(strings.TrimPrefix(name, keysPrefix), "-")
	if len(parts) != 3 || len(parts[1]) != 8 || len(parts[2]) != 16 {
		return "", 0, false
	}
	n, err := strconv.Atoi(parts[1])
	switch parts[0] {
	case recipientsFile, recoveryFile, writerFile:
		return parts[0], n, err == nil && n > 0
	}
	return "", 0, false
}

// verifyKeyFile compares a key file with its name.
func verifyKeyFile(name string, data []byte) error {
	if kind, n, ok := parseKeyFileName(name); !ok || keyFileName(kind, n, data) != name {
		return corrupt(name, "checksum mismatch")
	}
	return nil
}

// newestKeyFile returns the name and number of the highest numbered key file of a kind. The error matches storage.ErrNotFound when there is none.
func newestKeyFile(ctx context.Context, st storage.Storage, kind string) (name string, n int, err error) {
	for _, prefix := range []string{keysPrefix, parityPrefix + keysPrefix} { // what was lost has its parity still
		for o, err := range st.List(ctx, prefix) {
			if err != nil {
				return "", 0, fmt.Errorf("list keys: %w", err)
			}
			file := strings.TrimPrefix(o.Name, parityPrefix)
			if k, number, ok := parseKeyFileName(file); ok && k == kind && number > n {
				name, n = file, number
			}
		}
	}
	if n == 0 {
		return "", 0, fmt.Errorf("%s%s-…: %w", keysPrefix, kind, storage.ErrNotFound)
	}
	return name, n, nil
}

// readKeyFile reads the highest numbered key file of a kind.
func readKeyFile(ctx context.Context, st storage.Storage, kind string) (name string, n int, data []byte, err error) {
	if name, n, err = newestKeyFile(ctx, st, kind); err != nil {
		return "", 0, nil, err
	}
	data, err = getKept(ctx, st, name, maxKeyFile, func(b []byte) error { return verifyKeyFile(name, b) })
	return name, n, data, err
}

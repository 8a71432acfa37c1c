package storage

import (
	"context"
	"fmt"
	"iter"
	"strings"
)

// A Storage keeps objects. Its methods may be called at once, from several goroutines and several machines. Every error
// names the object. A cancelled ctx ends a call at the next opportunity; what it was to write is then stored wholly or
// not at all.
type Storage interface {
	// Put stores an object and returns when it is durable. An object never changes: with the same bytes again Put succeeds,
	// with others the error matches ErrExists. Nobody ever sees a part of it. A full disk gives ErrNoSpace. After any error
	// the object is there wholly or not at all. Put does not keep data.
	Put(ctx context.Context, name string, data []byte) error

	// PutNew is Put for an object that only one caller may create: when the name exists already, with whatever bytes, the
	// error matches ErrExists. Of several callers at once exactly one succeeds.
	PutNew(ctx context.Context, name string, data []byte) error

	// Get returns a whole object, which the caller owns: ErrNotFound when there is none, ErrTooLong when it is longer than
	// limit bytes (nothing of it is read then).
	Get(ctx context.Context, name string, limit int64) ([]byte, error)

	// ReadAt fills p from byte off on: ErrNotFound when there is no such object, ErrShort when it ends before. After an error
	// p holds nothing of use. It may still read an object that was deleted since it was read last.
	ReadAt(ctx context.Context, name string, p []byte, off int64) error

	// Size returns an object's length in bytes: ErrNotFound when there is none.
	Size(ctx context.Context, name string) (int64, error)

	// List yields the objects whose names begin with prefix (any text, "" for all), in the order of their names' bytes. After
	// an error it yields no more. Objects stored or deleted meanwhile may be missing or present.
	List(ctx context.Context, prefix string) iter.Seq2[Object, error]

	// Replace stores an object in the place of whatever has its name, and returns when it is durable: before that, and after any
	// error, there is the old one or the new one. It is for damaged objects alone. ErrRefused when the place does not permit it.
	Replace(ctx context.Context, name string, data []byte) error

	// Delete removes an object and returns when this is durable. Deleting what is absent succeeds. ErrRefused when the place
	// does not permit it.
	Delete(ctx context.Context, name string) error
}

// An Object is a line of a listing.
type Object struct {
	Name string
	Size int64 // in bytes
}

// Bounds of an object's name, in bytes.
const (
	MaxName = 255 // a whole name
	maxPart = 200 // one part of it: leaves room for the suffix of a temporary file
)

// CheckName says whether name may be an object's: 1 to MaxName bytes, parts of [A-Za-z0-9._-] with single slashes between
// them, each 1 to 200 bytes long. No part begins or ends with a dot, so neither "." nor ".." is one, and none ends in ".tmp".
// The error matches ErrName. What it cannot see: no object may have the name of another one's folder ("a" beside "a/b").
func CheckName(name string) error {
	if len(name) > MaxName {
		return fmt.Errorf("%w: %d bytes", ErrName, len(name))
	}
	for part := range strings.SplitSeq(name, "/") {
		if !validPart(part) {
			return fmt.Errorf("%w: %q", ErrName, name)
		}
	}
	return nil
}

func validPart(part string) bool {
	if part == "" || len(part) > maxPart || part[0] == '.' || part[len(part)-1] == '.' || strings.HasSuffix(part, tmpSuffix) {
		return false
	}
	for i := range len(part) {
		switch c := part[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '_', c == '-':
		default:
			return false
		}
	}
	return true
}

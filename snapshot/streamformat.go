package snapshot

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/orthokeep/orthokeep/repo"
)

const (
	listItem      = 40
	maxListItems  = 4096 // of a list blob
	maxInline     = 16   // items of a reference
	maxDepth      = 4
	maxStreamSize = 1 << 50

	// maxStructure is the length of the longest blob of a stream of structure, of which many are read at once.
	maxStructure = 256 << 10
)

// item is a part of a stream: a blob, or a list blob, and the number of stream bytes below it.
type item struct {
	id     repo.ID
	length int64
}

// Stream is a reference to a run of bytes that is cut into blobs (FORMAT.md section 1). The zero Stream is empty.
type Stream struct {
	length int64
	depth  int
	items  []item
}

// Length is the number of bytes of the stream.
func (s Stream) Length() int64 { return s.length }

// key is the same for the same references.
func (s Stream) key() string { return string(marshalList(s.items)) + strconv.Itoa(s.depth) }

// same reports whether two references are the same.
func (s Stream) same(o Stream) bool {
	return s.length == o.length && s.depth == o.depth && slices.Equal(s.items, o.items)
}

type streamJSON struct {
	Length int64    `json:"length"`
	Depth  int      `json:"depth"`
	Blobs  []string `json:"blobs"`
}

// MarshalJSON writes a reference.
func (s Stream) MarshalJSON() ([]byte, error) {
	out := streamJSON{s.length, s.depth, make([]string, len(s.items))}
	for i, it := range s.items {
		out.Blobs[i] = it.id.String() + ":" + strconv.FormatInt(it.length, 10)
	}
	return json.Marshal(out)
}

// UnmarshalJSON reads a reference and checks its bounds.
func (s *Stream) UnmarshalJSON(b []byte) error {
	var in streamJSON
	if err := json.Unmarshal(b, &in); err != nil {
		return err
	}
	if in.Depth < 0 || in.Depth > maxDepth || len(in.Blobs) > maxInline {
		return fmt.Errorf("stream reference out of bounds: %w", repo.ErrCorrupt)
	}
	out := Stream{length: in.Length, depth: in.Depth}
	for _, text := range in.Blobs {
		name, size, _ := strings.Cut(text, ":")
		id, err := repo.ParseID(name)
		n, errSize := strconv.ParseInt(size, 10, 64)
		if err != nil || errSize != nil {
			return fmt.Errorf("stream reference is not readable: %w", repo.ErrCorrupt)
		}
		out.items = append(out.items, item{id, n})
	}
	if err := checkItems(out.items, out.depth, out.length); err != nil {
		return err
	}
	*s = out
	return nil
}

// checkItems sees that the items are in bounds and add up to length.
func checkItems(items []item, depth int, length int64) error {
	var sum int64
	for _, it := range items {
		if it.length <= 0 || it.length > maxStreamSize || (depth == 0 && it.length > repo.MaxBlob) {
			return fmt.Errorf("stream item out of bounds: %w", repo.ErrCorrupt)
		}
		if sum += it.length; sum > maxStreamSize {
			break
		}
	}
	if sum != length {
		return fmt.Errorf("stream items do not add up: %w", repo.ErrCorrupt)
	}
	return nil
}

func marshalList(items []item) []byte {
	out := make([]byte, 0, listItem*len(items))
	for _, it := range items {
		out = append(out, it.id[:]...)
		out = binary.LittleEndian.AppendUint64(out, uint64(it.length))
	}
	return out
}

// parseList reads a list blob whose items are of the given depth and cover length bytes.
func parseList(b []byte, depth int, length int64) ([]item, error) {
	if len(b) == 0 || len(b)%listItem != 0 || len(b) > listItem*maxListItems {
		return nil, fmt.Errorf("stream list is cut short: %w", repo.ErrCorrupt)
	}
	items := make([]item, 0, len(b)/listItem)
	for ; len(b) > 0; b = b[listItem:] {
		items = append(items, item{repo.ID(b[:32]), int64(binary.LittleEndian.Uint64(b[32:]))})
	}
	return items, checkItems(items, depth, length)
}

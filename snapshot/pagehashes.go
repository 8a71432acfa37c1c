package snapshot

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"iter"

	"github.com/orthokeep/orthokeep/repo"
)

// pageHashes puts the hashes of an index's layers together, up to a number of pages: memory does not grow with what the layers say.
func pageHashes(ctx context.Context, from getter, x Index, pages int) ([]byte, error) {
	if err := x.check(); err != nil {
		return nil, err
	}
	var out []byte
	for i, l := range x.Layers {
		want := int(min(l.Size/int64(x.PageSize), int64(pages))) * pageHashSize
		r := newStreamReader(ctx, from, repo.Structure, l.Hashes)
		if i == 0 {
			out = make([]byte, want)
			if _, err := io.ReadFull(r, out); err != nil {
				return nil, err
			}
			continue
		}
		out = append(out, make([]byte, max(0, want-len(out)))...)[:want]
		for at, err := range pageNumbers(r, l.Size/int64(x.PageSize), l.Hashes.length/(pageNumberSize+pageHashSize)) {
			var hash [pageHashSize]byte
			if err == nil {
				_, err = io.ReadFull(r, hash[:])
			}
			if err != nil {
				return nil, err
			}
			if at < int64(want/pageHashSize) {
				copy(out[at*pageHashSize:], hash[:])
			}
		}
	}
	return out, nil
}

// pageNumbers yields the n page numbers of a delta, which are ascending and below pages. What lies between them the caller reads.
func pageNumbers(r io.Reader, pages, n int64) iter.Seq2[int64, error] {
	return func(yield func(int64, error) bool) {
		last := int64(-1)
		for range n {
			var b [pageNumberSize]byte
			_, err := io.ReadFull(r, b[:])
			at := int64(binary.LittleEndian.Uint32(b[:]))
			if err == nil && (at <= last || at >= pages) {
				err = fmt.Errorf("page of a delta out of bounds: %w", repo.ErrCorrupt)
			}
			if !yield(at, err) || err != nil {
				return
			}
			last = at
		}
	}
}

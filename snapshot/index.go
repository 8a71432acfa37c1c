package snapshot

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"os"

	"github.com/zeebo/blake3"

	"github.com/orthokeep/orthokeep/chunk"
	"github.com/orthokeep/orthokeep/repo"
)

// Index is a SQLite database: a base and deltas of pages (FORMAT.md section 4).
type Index struct {
	Size     int64        `json:"size"`
	PageSize int          `json:"page_size"`
	Hash     string       `json:"hash"` // keyed, of the hashes of all pages
	Layers   []IndexLayer `json:"layers"`
}

// IndexLayer is the whole file, or the pages that changed.
type IndexLayer struct {
	Size   int64  `json:"size"` // of the file after this layer
	Pages  Stream `json:"pages"`
	Hashes Stream `json:"hashes"`
}

const (
	pageHashSize   = 16
	pageNumberSize = 4
	minPageSize    = 512
	maxPageSize    = 65536
	sqliteMagic    = "SQLite format 3\x00"
)

// IndexChange says how much of an index was new.
type IndexChange struct {
	Pages   int64 // in all
	Changed int64 // since the parent; all of them in a base
}

// StoreIndex stores the clean index file at path: what changed since the parent's, or the whole.
func (s *Session) StoreIndex(ctx context.Context, path string) (x Index, change IndexChange, err error) {
	err = s.cost(&s.added.Index, func() error {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		x, change, err = s.storeIndex(ctx, f)
		return err
	})
	return x, change, err
}

func (s *Session) storeIndex(ctx context.Context, f hostFile) (Index, IndexChange, error) {
	pageSize, size, err := databaseSize(f)
	if err != nil {
		return Index{}, IndexChange{}, err
	}
	hashes := make([]byte, 0, size/int64(pageSize)*pageHashSize)
	whole, err := hashPages(ctx, io.NewSectionReader(f, 0, size), pageSize, s.repo.PageKey(), func(sum []byte) { hashes = append(hashes, sum[:pageHashSize]...) })
	if err != nil {
		return Index{}, IndexChange{}, fmt.Errorf("read the index: %w", err)
	}
	x := Index{Size: size, PageSize: pageSize, Hash: hex.EncodeToString(whole)}
	pages := int64(len(hashes) / pageHashSize)
	changed, ok, err := s.changedPages(ctx, hashes, pageSize)
	if err != nil {
		return Index{}, IndexChange{}, err
	}
	var layer IndexLayer
	switch {
	case ok && len(changed) == 0 && s.parent.Index.Hash == x.Hash:
		return s.parent.Index, IndexChange{Pages: pages}, nil
	case ok:
		layer, err = s.storeDelta(ctx, f, pageSize, changed, hashes)
		x.Layers = append(x.Layers, s.parent.Index.Layers...)
	default:
		changed = make([]uint32, pages)
		layer, err = s.storeLayer(ctx, io.NewSectionReader(f, 0, size), hashes)
	}
	if err != nil {
		return Index{}, IndexChange{}, fmt.Errorf("store the index: %w", err)
	}
	layer.Size = size
	x.Layers = append(x.Layers, layer)
	return x, IndexChange{pages, int64(len(changed))}, nil
}

// databaseSize returns the page size (SQLite file format, section 1.3.2) and the length of a database.
func databaseSize(f hostFile) (pageSize int, size int64, err error) {
	info, err := f.Stat()
	if err != nil {
		return 0, 0, err
	}
	var head [18]byte
	if _, err := f.ReadAt(head[:], 0); err != nil && err != io.EOF {
		return 0, 0, err
	}
	if string(head[:16]) != sqliteMagic {
		return 0, 0, fmt.Errorf("the index is not a SQLite database: %w", ErrInconsistent)
	}
	pageSize = int(binary.BigEndian.Uint16(head[16:]))
	if pageSize == 1 {
		pageSize = maxPageSize
	}
	if !validPageSize(pageSize) || info.Size()%int64(pageSize) != 0 {
		return 0, 0, fmt.Errorf("the index is not a whole number of pages: %w", ErrInconsistent)
	}
	return pageSize, info.Size(), nil
}

// hashPages gives each the keyed hash of each page, and returns that of the file, which is the hash of its pages' hashes: so every
// byte is hashed once.
func hashPages(ctx context.Context, r io.Reader, pageSize int, key [32]byte, each func(sum []byte)) (whole []byte, err error) {
	all, err := blake3.NewKeyed(key[:])
	if err != nil {
		panic("snapshot: " + err.Error()) // the key has 32 bytes
	}
	one, sum := all.Clone(), []byte(nil)
	buf := make([]byte, 1<<20)
	for {
		n, err := io.ReadFull(r, buf)
		if err != nil && err != io.ErrUnexpectedEOF && err != io.EOF {
			return nil, err
		}
		for page := range chunked(buf[:n], pageSize) {
			one.Reset()
			_, _ = one.Write(page)
			sum = one.Sum(sum[:0])
			_, _ = all.Write(sum)
			each(sum)
		}
		if err != nil {
			return all.Sum(nil), nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
}

// chunked yields b in pieces of size bytes.
func chunked(b []byte, size int) func(func([]byte) bool) {
	return func(yield func([]byte) bool) {
		for ; len(b) > 0; b = b[min(size, len(b)):] {
			if !yield(b[:min(size, len(b))]) {
				return
			}
		}
	}
}

// changedPages compares with the parent's page hashes. It reports false where a base is due instead.
func (s *Session) changedPages(ctx context.Context, hashes []byte, pageSize int) ([]uint32, bool, error) {
	if s.parent == nil || s.parent.Index.PageSize != pageSize || len(s.parent.Index.Layers) == 0 || !s.carry.index {
		return nil, false, nil
	}
	old, err := pageHashes(ctx, s.repo, s.parent.Index, len(hashes)/pageHashSize)
	if err != nil {
		return nil, false, fmt.Errorf("read the page hashes of snapshot %s: %w", s.parent.Short(), err)
	}
	var changed []uint32
	for at := 0; at < len(hashes); at += pageHashSize {
		if at >= len(old) || !bytes.Equal(hashes[at:at+pageHashSize], old[at:at+pageHashSize]) {
			changed = append(changed, uint32(at/pageHashSize))
		}
	}
	layers := s.parent.Index.Layers
	deltas := int64(len(changed)) * int64(pageSize)
	for _, l := range layers[1:] {
		deltas += l.Pages.length
	}
	return changed, deltas*2 <= layers[0].Pages.length && len(layers) < maxLayers, nil
}

// storeDelta stores the pages of a file that changed.
func (s *Session) storeDelta(ctx context.Context, f io.ReaderAt, pageSize int, changed []uint32, hashes []byte) (IndexLayer, error) {
	numbers := binary.LittleEndian.AppendUint32(nil, uint32(len(changed)))
	var sums []byte
	for _, n := range changed {
		numbers = binary.LittleEndian.AppendUint32(numbers, n)
		sums = binary.LittleEndian.AppendUint32(sums, n)
		sums = append(sums, hashes[int(n)*pageHashSize:][:pageHashSize]...)
	}
	return s.storeLayer(ctx, io.MultiReader(bytes.NewReader(numbers), readPages(f, pageSize, changed)), sums)
}

// readPages reads pages of a file, given by their ascending numbers, one after the other.
func readPages(f io.ReaderAt, pageSize int, numbers []uint32) io.Reader {
	var runs []io.Reader
	for len(numbers) > 0 {
		n := 1
		for n < len(numbers) && numbers[n] == numbers[0]+uint32(n) {
			n++
		}
		runs = append(runs, io.NewSectionReader(f, int64(numbers[0])*int64(pageSize), int64(n)*int64(pageSize)))
		numbers = numbers[n:]
	}
	return io.MultiReader(runs...)
}

// storeLayer stores the two streams of a layer.
func (s *Session) storeLayer(ctx context.Context, pages io.Reader, hashes []byte) (l IndexLayer, err error) {
	if l.Pages, err = storeStream(ctx, s.run, s.repo.Polynomial(), chunk.Bulk, repo.Content, pages); err != nil {
		return l, err
	}
	l.Hashes, err = storeStream(ctx, s.run, s.repo.Polynomial(), chunk.Stream, repo.Structure, bytes.NewReader(hashes))
	return l, err
}

package snapshot

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/orthokeep/orthokeep/repo"
)

// RestoreIndex writes the index of a snapshot to a new file and verifies it against the hash of its backup.
// On an error there is none.
func RestoreIndex(ctx context.Context, r *repo.Repository, root *Root, path string) (err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err = errors.Join(err, f.Close()); err != nil {
			_ = os.Remove(path)
		}
	}()
	return restoreIndex(ctx, r, root.Index, f)
}

// restoreIndex writes an index to an empty file and verifies it.
func restoreIndex(ctx context.Context, r *repo.Repository, x Index, f hostFile) error {
	if err := x.check(); err != nil {
		return err
	}
	if len(x.Layers) == 0 {
		return fmt.Errorf("the snapshot has no index: %w", repo.ErrCorrupt)
	}
	for i := range x.Layers {
		if err := applyLayer(ctx, r, f, x, i); err != nil {
			return fmt.Errorf("restore the index: %w", err)
		}
	}
	_, err := verifyIndex(ctx, r, f, x)
	return err
}

// applyLayer makes the file with the layers before a layer the one with it.
func applyLayer(ctx context.Context, from getter, f hostFile, x Index, layer int) (err error) {
	if x.PageSize < minPageSize || x.PageSize > maxPageSize {
		return fmt.Errorf("index out of bounds: %w", repo.ErrCorrupt)
	}
	l := x.Layers[layer]
	if layer == 0 {
		_, err = io.Copy(io.NewOffsetWriter(f, 0), newStreamReader(ctx, from, repo.Content, l.Pages))
	} else {
		err = applyDelta(ctx, from, f, l, x.PageSize)
	}
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return fmt.Errorf("page delta is cut short: %w", repo.ErrCorrupt)
	}
	return err
}

// verifyIndex compares a file of the right size with the hash of an index, and returns the hashes of its pages.
func verifyIndex(ctx context.Context, r *repo.Repository, f io.ReaderAt, x Index) (hashes []byte, err error) {
	whole, err := hashPages(ctx, io.NewSectionReader(f, 0, x.Size), x.PageSize, r.PageKey(), func(sum []byte) { hashes = append(hashes, sum[:pageHashSize]...) })
	if err != nil {
		return nil, err
	}
	if hex.EncodeToString(whole) != x.Hash {
		return nil, fmt.Errorf("the restored index is not what was backed up: %w", repo.ErrCorrupt)
	}
	return hashes, nil
}

// applyDelta writes the pages of a delta, which has been checked. It reads its numbers and its pages side by side.
func applyDelta(ctx context.Context, from getter, f hostFile, l IndexLayer, pageSize int) error {
	numbers, pages := newStreamReader(ctx, from, repo.Content, l.Pages), newStreamReader(ctx, from, repo.Content, l.Pages)
	var count [pageNumberSize]byte
	if _, err := io.ReadFull(numbers, count[:]); err != nil {
		return err
	}
	n := int64(binary.LittleEndian.Uint32(count[:]))
	if pageNumberSize+n*int64(pageNumberSize+pageSize) != l.Pages.length {
		return fmt.Errorf("page delta does not add up: %w", repo.ErrCorrupt)
	}
	if err := pages.skip(pageNumberSize + n*pageNumberSize); err != nil {
		return err
	}
	page := make([]byte, pageSize)
	for at, err := range pageNumbers(numbers, l.Size/int64(pageSize), n) {
		if err != nil {
			return err
		}
		if _, err := io.ReadFull(pages, page); err != nil {
			return err
		}
		if _, err := f.WriteAt(page, at*int64(pageSize)); err != nil {
			return err
		}
	}
	return f.Truncate(l.Size)
}

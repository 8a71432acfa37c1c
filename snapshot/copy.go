package snapshot

import (
	"context"
	"crypto/md5"
	"fmt"
	"io"
	"runtime"

	"github.com/orthokeep/orthokeep/repo"
)

// copiers is how many attachments are copied at once: some wait for the disk while others decode.
func copiers() int { return 2 * runtime.GOMAXPROCS(0) }

const headChunksKept = 8 // beside one for each of those who copy

// A copier puts the bytes of attachments together and verifies them. It may be used by several goroutines at once. It holds the head chunks
// that its cache keeps.
type copier struct {
	repo  *repo.Repository
	heads [][]headRef // by layer
	cache *headCache
}

// newCopier returns a copier for so many goroutines. Its heads are still to be set.
func newCopier(r *repo.Repository, workers int) *copier {
	return &copier{repo: r, cache: newHeadCache(r, headChunksKept+workers)}
}

// copy writes the bytes of an attachment to dst, a blob at a time, and verifies them. It holds two of the largest chunks.
func (c *copier) copy(ctx context.Context, dst io.Writer, p placed) error {
	hash := md5.New()
	out := io.MultiWriter(hash, dst)
	put := func(b []byte) error {
		_, err := out.Write(b)
		return err
	}
	if err := c.head(ctx, p, put); err != nil {
		return err
	}
	var buf []byte
	for _, b := range p.bulk {
		var err error
		if buf, err = c.blob(ctx, b, buf[:0]); err != nil {
			return err
		}
		if err := put(buf); err != nil {
			return err
		}
	}
	return c.verify(p, [16]byte(hash.Sum(nil)))
}

// fetch appends the bytes of an attachment to dst, unverified.
func (c *copier) fetch(ctx context.Context, dst []byte, p placed) ([]byte, error) {
	err := c.head(ctx, p, func(part []byte) error {
		dst = append(dst, part...)
		return nil
	})
	for _, b := range p.bulk {
		if err != nil {
			break
		}
		dst, err = c.blob(ctx, b, dst)
	}
	return dst, err
}

// head hands the parts of an attachment's head to put.
func (c *copier) head(ctx context.Context, p placed, put func([]byte) error) error {
	for part, err := range p.headParts(c.heads[p.layer]) {
		if err != nil {
			return err
		}
		chunk, err := c.cache.get(ctx, c.heads[p.layer][part.chunk])
		if err != nil {
			return err
		}
		if err := put(chunk[part.offset : part.offset+part.size]); err != nil {
			return err
		}
	}
	return nil
}

// blob appends a blob of an attachment's bulk to dst.
func (c *copier) blob(ctx context.Context, b bulkRef, dst []byte) ([]byte, error) {
	out, err := c.repo.Get(ctx, repo.Content, b.id, dst)
	if err == nil && int64(len(out)-len(dst)) != b.length {
		err = fmt.Errorf("blob %.8s has another length than its manifest says: %w", b.id, repo.ErrCorrupt)
	}
	return out, err
}

// verify compares the MD5 of what was read with that of the backup.
func (c *copier) verify(p placed, md5 [16]byte) error {
	if c.repo.HashMD5(md5) != p.MD5 {
		return fmt.Errorf("MD5 mismatch: %w", repo.ErrCorrupt)
	}
	return nil
}

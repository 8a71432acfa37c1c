package snapshot

import (
	"bytes"
	"context"
	"fmt"
	"hash"
	"io"

	"github.com/orthokeep/orthokeep/chunk"
	"github.com/orthokeep/orthokeep/chunk/pixel"
	"github.com/orthokeep/orthokeep/repo"
)

// File is the file of an attachment, open for reading.
type File interface {
	io.Reader
	io.ReaderAt
	io.Closer
	Size() int64
}

// Area is where attachments are read from, by several goroutines at once. Open's error matches ErrVanished when there is no such file.
type Area interface {
	Open(UUID) (File, error)
}

// maxHead is the longest header of a DICOM file that goes to the head stream; a file with a longer one is all bulk.
const maxHead = 8 << 20

// stored is an attachment whose bulk is put; its head still has to be.
type stored struct {
	Entry
	head     []byte
	vanished bool
}

// attachmentReader reads attachments, for one goroutine; it keeps its memory for the next.
type attachmentReader struct {
	to    putter
	md5   func([16]byte) [16]byte
	bulk  *chunk.Splitter
	chunk []byte
	hash  hash.Hash

	buf     []byte    // small files, read whole
	at      int       // where the next one goes
	waiting []*stored // whose bytes are in buf
	spans   []span    // where
	sums    [][16]byte
}

const (
	wholeFile = 4 << 20  // bytes up to which a file is small
	batchSize = 10 << 20 // bytes of buf: sixteen CT slices, and no more memory for each core
)

// read reads a small file into memory.
func (r *attachmentReader) read(ctx context.Context, f File, s *stored) error {
	size := int(f.Size())
	if r.buf == nil {
		r.buf = make([]byte, batchSize)
	}
	if r.at+size > len(r.buf) {
		if err := r.flush(ctx); err != nil {
			return err
		}
	}
	n, err := io.ReadFull(f, r.buf[r.at:r.at+size])
	if err != nil && err != io.ErrUnexpectedEOF && err != io.EOF { // shorter than it was: the index decides whether that matters
		return fmt.Errorf("attachment %s: %w", s.UUID, err)
	}
	r.waiting, r.spans = append(r.waiting, s), append(r.spans, span{r.at, r.at + n})
	r.at = nextPlace(r.at+n, len(r.spans))
	return nil
}

// nextPlace is where a message begins behind the end of the one before. Sixteen that are read in step must not come to lie a multiple of
// 4 KiB apart: they would push each other out of the core's cache.
func nextPlace(end, number int) int {
	const page = 4 << 10
	return (end+page-1)&^(page-1) + number%md5Lanes*(page/md5Lanes)
}

// flush takes in what was read: MD5 of all at once, then each is cut and its bulk put.
func (r *attachmentReader) flush(ctx context.Context) error {
	r.sums = md5Sums(r.sums[:0], r.buf, r.spans)
	for i, s := range r.waiting {
		data := r.buf[r.spans[i].from:r.spans[i].to]
		if err := r.small(ctx, data, s); err != nil {
			return fmt.Errorf("attachment %s: %w", s.UUID, err)
		}
		s.read(int64(len(data)), r.md5(r.sums[i]))
	}
	clear(r.waiting)
	r.waiting, r.spans, r.at = r.waiting[:0], r.spans[:0], 0
	return nil
}

// read notes how many bytes were read, whatever the file's length was said to be, and their keyed MD5: the caller compares both with the index's.
func (s *stored) read(size int64, md5 [16]byte) { s.Size, s.Uncompressed, s.MD5 = size, size, md5 }

// boundary returns where the head ends.
func boundary(f io.ReaderAt, size int64) (head int64, layout pixel.Layout) {
	if size < chunk.MinSize {
		return size, layout
	}
	if b, ok := chunk.Scan(f, size); ok && b.Offset <= maxHead {
		return b.Offset, b.Layout
	}
	return 0, layout
}

// small cuts a file and puts its bulk.
func (r *attachmentReader) small(ctx context.Context, data []byte, s *stored) error {
	head, layout := boundary(bytes.NewReader(data), int64(len(data)))
	s.headLength, s.head = head, bytes.Clone(data[:head])
	for at, rest := int64(0), data[head:]; len(rest) > 0; {
		n := r.bulk.Cut(rest)
		if err := r.put(ctx, s, rest[:n], layout.At(at)); err != nil {
			return err
		}
		at, rest = at+int64(n), rest[n:]
	}
	return nil
}

// large reads a file once, cuts it and puts its bulk, a chunk at a time.
func (r *attachmentReader) large(ctx context.Context, f File, s *stored) error {
	head, layout := boundary(f, f.Size())
	r.hash.Reset()
	in := &countingReader{r: io.TeeReader(f, r.hash)}
	s.head = make([]byte, head)
	n, err := io.ReadFull(in, s.head)
	if err != nil && err != io.ErrUnexpectedEOF && err != io.EOF {
		return fmt.Errorf("attachment %s: %w", s.UUID, err)
	}
	s.head, s.headLength = s.head[:n], int64(n)
	if err := r.chunks(ctx, in, s, layout); err != nil {
		return fmt.Errorf("attachment %s: %w", s.UUID, err)
	}
	s.read(in.n, r.md5([16]byte(r.hash.Sum(nil))))
	return nil
}

type countingReader struct {
	r io.Reader
	n int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// chunks cuts and puts what in gives.
func (r *attachmentReader) chunks(ctx context.Context, in io.Reader, s *stored, layout pixel.Layout) error {
	r.bulk.Reset(in)
	for at := int64(0); ; at += int64(len(r.chunk)) {
		data, err := r.bulk.Next(r.chunk)
		if err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		r.chunk = data
		if err := r.put(ctx, s, r.chunk, layout.At(at)); err != nil {
			return err
		}
	}
}

func (r *attachmentReader) put(ctx context.Context, s *stored, data []byte, layout pixel.Layout) error {
	id, _, err := r.to.Put(ctx, repo.Content, data, layout)
	s.bulk = append(s.bulk, bulkRef{id, int64(len(data))})
	return err
}

package main

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/binary"
	"iter"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/orthokeep/orthokeep/chunk/dicomtest"
	"github.com/orthokeep/orthokeep/repo"
	"github.com/orthokeep/orthokeep/snapshot"
)

// corpus is a storage area in memory.
type corpus struct {
	rnd   *rand.Rand
	files map[snapshot.UUID][]byte
	list  []snapshot.Attachment
	bytes int64
}

func newCorpus() *corpus {
	return &corpus{rnd: rand.New(rand.NewPCG(1, 1)), files: map[snapshot.UUID][]byte{}}
}

func (c *corpus) add(data []byte) {
	var u snapshot.UUID
	binary.BigEndian.PutUint64(u[:], c.rnd.Uint64())
	binary.BigEndian.PutUint64(u[8:], c.rnd.Uint64())
	size := int64(len(data))
	c.files[u] = data
	c.list = append(c.list, snapshot.Attachment{ID: int64(len(c.list) + 1), FileType: 1, UUID: u, Size: size, Uncompressed: size, Compression: 1, MD5: md5.Sum(data), HasMD5: true})
	c.bytes += size
}

func ctImages(n int) *corpus {
	c := newCorpus()
	for i := range dicomtest.Study(dicomtest.Config{Seed: 1, Series: (n + 99) / 100, Instances: min(n, 100)}) {
		c.add(i.Data)
	}
	return c
}

// smallFiles are texts of random words.
func smallFiles(n int) *corpus {
	c := newCorpus()
	words := strings.Fields(`"0008,0005" "Type" : "String", "Value" "ISO_IR 100" "Name" "SpecificCharacterSet" "Sequence" "0020,000d" "StudyInstanceUID" { } [ ]`)
	for range n {
		var b []byte
		for len(b) < 4000 {
			b = append(append(b, words[c.rnd.IntN(len(words))]...), ' ')
			if c.rnd.IntN(8) == 0 {
				b = binary.BigEndian.AppendUint64(b, c.rnd.Uint64())
			}
		}
		c.add(b)
	}
	return c
}

type file struct{ *bytes.Reader }

func (file) Close() error { return nil }

// Open implements snapshot.Area.
func (c *corpus) Open(u snapshot.UUID) (snapshot.File, error) {
	return file{bytes.NewReader(c.files[u])}, nil
}

func (c *corpus) attachments() iter.Seq2[snapshot.Attachment, error] {
	return func(yield func(snapshot.Attachment, error) bool) {
		for _, a := range c.list {
			if !yield(a, nil) {
				return
			}
		}
	}
}

// backup takes a snapshot of the attachments alone.
func (c *corpus) backup(ctx context.Context, r *repo.Repository, journal string) (*snapshot.Root, error) {
	j, err := snapshot.OpenJournal(journal)
	if err != nil {
		return nil, err
	}
	defer j.Close()
	s, err := snapshot.Begin(ctx, r, j, "check", "bench", time.Now(), snapshot.NoProgress{})
	if err != nil {
		return nil, err
	}
	var d snapshot.Difference
	if _, err := s.Store(ctx, c, s.Missing(ctx, c.attachments(), &d)); err != nil {
		return nil, err
	}
	root := &snapshot.Root{Time: time.Now()}
	if root.Manifest, err = s.StoreManifest(ctx, c.attachments(), d); err != nil {
		return nil, err
	}
	if root.Files, err = s.StoreFiles(ctx, snapshot.Files{}); err != nil {
		return nil, err
	}
	if err := s.Publish(ctx, root); err != nil {
		return nil, err
	}
	return root, s.End(ctx, true, time.Now())
}

package main

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/bits"

	"github.com/orthokeep/orthokeep/repo"
	"github.com/orthokeep/orthokeep/repo/storage"
)

// writer writes segments as repo/FORMAT.md section 7 defines them, of packs that nobody has written.
type writer struct {
	st    storage.Storage
	blobs int // so far: the next one has this number
	count int // segments
	body  []byte
}

const (
	blobsInPack = 32 // a pack of 32 MiB with blobs of 1 MiB
	sealedSize  = 600_000
	plainSize   = 1 << 20
)

// add writes a segment with n blobs of one epoch.
func (w *writer) add(ctx context.Context, r *repo.Repository, n int) error {
	w.count++
	epoch := blobID(1 << 48 * w.count)
	if err := w.st.Put(ctx, "epochs/a/"+hex.EncodeToString(epoch[:16]), []byte("nobody reads this")); err != nil {
		return err
	}
	le := binary.LittleEndian
	packs := (n + blobsInPack - 1) / blobsInPack
	body := le.AppendUint32(append(w.body[:0], 0, 0, 0, 0), uint32(packs))
	for p := range packs {
		here := min(blobsInPack, n-p*blobsInPack)
		tableSize := 8 + 16 + 48*here
		pack := blobID(1<<48*w.count + p + 1)
		body = append(append(body, pack[:]...), 2, 0, 0, 0)
		body = le.AppendUint32(body, uint32(32+here*sealedSize+28+tableSize+16))
		body = le.AppendUint32(body, uint32(tableSize))
		body = le.AppendUint32(append(body, 1, 0, 0, 0), uint32(here))
		body = append(body, epoch[:16]...)
		for i := range here {
			id := blobID(w.blobs)
			w.blobs++
			body = append(append(body, id[:]...), 0, 0, 0, 0)
			body = le.AppendUint32(body, uint32(32+i*sealedSize))
			body = le.AppendUint32(body, sealedSize)
			body = le.AppendUint32(body, plainSize)
		}
	}
	w.body = body // again for the next one: its garbage would count as the catalogue's
	return r.PutObject(ctx, repo.KindSegment, w.name(), body)
}

// name is the name of the segment that was written last.
func (w *writer) name() string { return fmt.Sprintf("segments/20261123T020000Z-%032x-0001", w.count) }

// blobID is the identity of blob number n: as evenly spread as a keyed hash.
func blobID(n int) (id repo.ID) {
	for i := range 4 {
		binary.LittleEndian.PutUint64(id[8*i:], mix(uint64(n)*4+uint64(i)))
	}
	return id
}

// scatter is a number below n that follows from i.
func scatter(i, n int) int {
	high, _ := bits.Mul64(mix(uint64(i)+1<<60), uint64(n))
	return int(high)
}

// mix is splitmix64.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

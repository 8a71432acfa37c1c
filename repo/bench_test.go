package repo

import (
	"fmt"
	"testing"

	"github.com/orthokeep/orthokeep/chunk/dicomtest"
	"github.com/orthokeep/orthokeep/chunk/pixel"
	"github.com/orthokeep/orthokeep/repo/storage"
)

// BenchmarkStage is what each stage of storing a blob costs on one core, and of reading it back: the pixels of one CT image. Pack and
// write are of 32 MiB of sealed blobs. MB/s are of the plain bytes, but for seal, open, pack, write and read, which see what is left of them.
func BenchmarkStage(b *testing.B) {
	var plain []byte
	for i := range dicomtest.Study(dicomtest.Config{Seed: 1, Kind: dicomtest.CT}) {
		plain = i.Data[i.Header:]
	}
	layout := pixel.Layout{Bits: 16, Columns: 512, Samples: 1}
	made, err := NewKeys()
	if err != nil {
		b.Fatal(err)
	}
	keys, key := made.Writer.derive(), [32]byte{1}
	id := keys.blobID(Content, plain)
	c := newCodec(Balanced)
	encoded := c.encode(nil, plain, layout)
	sealed := sealBlob(nil, key, id, nil, encoded)
	stage := func(name string, bytes int, do func()) {
		b.Run("stage="+name, func(b *testing.B) {
			b.SetBytes(int64(bytes))
			b.ReportAllocs()
			for b.Loop() {
				do()
			}
		})
	}
	var buf []byte
	stage("hash", len(plain), func() { id = keys.blobID(Content, plain) })
	stage("encode", len(plain), func() { buf = c.encode(buf[:0], plain, layout) })
	stage("seal", len(encoded), func() { buf = sealBlob(buf[:0], key, id, nil, encoded) })
	var pack []byte
	stage("pack", DefaultPackSize, func() { _, pack = fullPack(pack, sealed, len(plain)).finish(keys) })
	benchmarkStorage(b, keys, sealed, len(plain))
	stage("open", len(encoded), func() {
		out, ok := unseal(buf[:0], keyed(key, id[:]), sealed, id[:])
		if buf = out; !ok {
			b.Fatal("seal is broken")
		}
	})
	stage("decode", len(plain), func() {
		var err error
		if buf, err = c.decode(buf[:0], encoded, len(plain)); err != nil {
			b.Fatal(err)
		}
	})
}

// fullPack makes a pack in buf that is full.
func fullPack(buf, sealed []byte, plain int) *packBuilder {
	p := newPackBuilder(Content, buf)
	for p.len() < DefaultPackSize {
		p.add(nil, ID{}, sealed, plain)
	}
	return p
}

// benchmarkStorage writes packs to a folder, durably, and reads blobs of them.
func benchmarkStorage(b *testing.B, keys *derived, sealed []byte, plain int) {
	st, err := storage.Create(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	_, pack := fullPack(nil, sealed, plain).finish(keys)
	b.Run("stage=write", func(b *testing.B) {
		b.SetBytes(int64(len(pack)))
		for i := range b.N {
			name := fmt.Sprintf("packs/%d-%d", b.N, i)
			if err := st.Put(b.Context(), name, pack); err != nil {
				b.Fatal(err)
			}
			if err := st.Delete(b.Context(), name); err != nil {
				b.Fatal(err)
			}
		}
	})
	if err := st.Put(b.Context(), "packs/one", pack); err != nil {
		b.Fatal(err)
	}
	b.Run("stage=read", func(b *testing.B) {
		b.SetBytes(int64(len(sealed)))
		buf := make([]byte, len(sealed))
		for b.Loop() {
			if err := st.ReadAt(b.Context(), "packs/one", buf, 1<<20); err != nil {
				b.Fatal(err)
			}
		}
	})
}

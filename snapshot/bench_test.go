package snapshot

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/orthokeep/orthokeep/chunk/dicomtest"
	"github.com/orthokeep/orthokeep/chunk/pixel"
	"github.com/orthokeep/orthokeep/repo"
	"github.com/orthokeep/orthokeep/repo/storage"
)

// benchWorld is a server with 64 images of CT and MR, and a repository in a folder with packs of the usual size.
func benchWorld(b *testing.B) (w *world, bytes int64) {
	st, err := storage.Create(filepath.Join(b.TempDir(), "repo"))
	if err != nil {
		b.Fatal(err)
	}
	keys, err := repo.NewKeys()
	if err != nil {
		b.Fatal(err)
	}
	w = newServer(b, st, keys)
	if err := repo.Init(b.Context(), st, keys, repo.InitOptions{Created: now}); err != nil {
		b.Fatal(err)
	}
	for _, kind := range []dicomtest.Kind{dicomtest.CT, dicomtest.MR} {
		for i := range dicomtest.Study(dicomtest.Config{Seed: 1, Kind: kind, Instances: 32}) {
			w.addFile(i.Data)
			bytes += int64(len(i.Data))
		}
	}
	return w, bytes
}

// nowhere takes blobs and stores none.
type nowhere struct{}

// Put implements putter.
func (nowhere) Put(context.Context, repo.Class, []byte, pixel.Layout) (repo.ID, bool, error) {
	return repo.ID{}, true, nil
}

// BenchmarkRead reads attachments that are new: MD5, boundary, cut. Nothing is stored.
func BenchmarkRead(b *testing.B) {
	w, bytes := benchWorld(b)
	r := w.writer()
	reader := newBatchReader(nowhere{}, r.HashMD5, r.Polynomial())
	var batch []UUID
	for _, a := range w.list {
		batch = append(batch, a.UUID)
	}
	b.SetBytes(bytes)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := reader.store(b.Context(), w, batch); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkBackup is a whole first backup to a repository in a folder, all stages at once.
func BenchmarkBackup(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		w, bytes := benchWorld(b)
		b.SetBytes(bytes)
		b.StartTimer()
		w.mustBackup()
	}
}

// BenchmarkRestore writes all attachments to a folder, each verified.
func BenchmarkRestore(b *testing.B) {
	w, bytes := benchWorld(b)
	root := w.mustBackup()
	r := w.reader()
	b.SetBytes(bytes)
	b.ReportAllocs()
	for b.Loop() {
		dir := filepath.Join(b.TempDir(), "restored")
		if err := os.Mkdir(dir, 0o700); err != nil {
			b.Fatal(err)
		}
		if _, err := RestoreAttachments(b.Context(), r, root, Destination{Dir: dir, Place: UUID.String, Mode: 0o600}, NoProgress{}); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if err := os.RemoveAll(dir); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

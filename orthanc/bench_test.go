package orthanc_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/orthokeep/orthokeep/orthanc"
)

// BenchmarkReadStorageArea opens and reads 64 attachments of 512 KiB, which the system has in memory.
func BenchmarkReadStorageArea(b *testing.B) {
	const files, size = 64, 512 << 10
	area := orthanc.StorageArea{Root: b.TempDir()}
	var all []orthanc.UUID
	for i := range files {
		u, err := orthanc.ParseUUID(fmt.Sprintf("%02x000000-0000-4000-8000-%012x", i, i))
		if err != nil {
			b.Fatal(err)
		}
		all = append(all, u)
		if err := errors.Join(os.MkdirAll(filepath.Dir(area.Path(u)), 0o700), os.WriteFile(area.Path(u), make([]byte, size), 0o600)); err != nil {
			b.Fatal(err)
		}
	}
	buf := make([]byte, size)
	b.SetBytes(files * size)
	b.ReportAllocs()
	for b.Loop() {
		for _, u := range all {
			f, err := area.Open(u)
			if err != nil {
				b.Fatal(err)
			}
			_, err = io.ReadFull(f, buf)
			if err := errors.Join(err, f.Close()); err != nil {
				b.Fatal(err)
			}
		}
	}
}

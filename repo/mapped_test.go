package repo

import (
	"bytes"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// mapsFiles says whether volumes are mapped on this system.
var mapsFiles = runtime.GOOS == "linux" || runtime.GOOS == "darwin"

// randomFileOf returns a file with random bytes, and these.
func randomFileOf(t *testing.T, size int) (*randomFile, []byte) {
	t.Helper()
	content := make([]byte, size)
	rnd := rand.New(rand.NewPCG(3, uint64(size)))
	for i := range content {
		content[i] = byte(rnd.Uint32())
	}
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	r := &randomFile{file: f, size: int64(size)}
	t.Cleanup(r.close)
	return r, content
}

// TestRandomFile: from the first read to long after the file is mapped, by several at once, each read gives what the file has, and
// the end of the file is the end.
func TestRandomFile(t *testing.T) {
	before := resident.Load()
	r, content := randomFileOf(t, 10*mapAfter+123)
	var all sync.WaitGroup
	for seed := range uint64(4) {
		all.Go(func() {
			rnd := rand.New(rand.NewPCG(seed, 5))
			for range 100 {
				at, n := rnd.IntN(len(content)), rnd.IntN(3000)
				got := make([]byte, n)
				read, err := r.ReadAt(got, int64(at))
				want := content[at:min(at+n, len(content))]
				if !bytes.Equal(got[:read], want) || (err == io.EOF) != (len(want) < n) || err != nil && err != io.EOF {
					t.Errorf("%d bytes at %d: %d, %v", n, at, read, err)
				}
			}
		})
	}
	all.Wait()
	for _, at := range []int64{-1, r.size + 1} {
		if n, err := r.ReadAt(make([]byte, 1), at); n != 0 || err == nil {
			t.Errorf("%d bytes at %d, %v", n, at, err)
		}
	}
	if mapped := resident.Load() - before; mapsFiles && mapped != r.size {
		t.Errorf("%d bytes are mapped", mapped)
	}
	r.close()
	if mapped := resident.Load() - before; mapped != 0 {
		t.Errorf("%d bytes are mapped by nobody", mapped)
	}
}

// TestMappedFileIsCutOff: what is gone from below a mapping is an error that says so; what is left is still read.
func TestMappedFileIsCutOff(t *testing.T) {
	if !mapsFiles {
		t.Skip("files are not mapped on this system")
	}
	r, content := randomFileOf(t, 64*mapAfter)
	r.mapAll()
	if err := r.file.Truncate(32 * mapAfter); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 100)
	if n, err := r.ReadAt(got, 60*mapAfter); n != 0 || err == nil || !strings.Contains(err.Error(), "cannot be read") {
		t.Errorf("%d bytes of what is gone, %v", n, err)
	}
	if n, err := r.ReadAt(got, mapAfter); n != len(got) || err != nil || !bytes.Equal(got, content[mapAfter:][:n]) {
		t.Errorf("%d bytes of what is left, %v", n, err)
	}
}

// TestMappedLimit: a file for which there is no room is read as before.
func TestMappedLimit(t *testing.T) {
	r, content := randomFileOf(t, 2*mapAfter)
	resident.Add(residentLimit)
	defer resident.Add(-residentLimit)
	r.mapAll()
	if r.mapping.Load() != nil {
		t.Error("it is mapped beyond the limit")
	}
	got := make([]byte, len(content))
	if _, err := r.ReadAt(got, 0); err != nil || !bytes.Equal(got, content) {
		t.Errorf("it is not read: %v", err)
	}
}

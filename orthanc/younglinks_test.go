package orthanc

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Only what was written since the listing is linked; what was deleted afterwards can still be read.
func TestLinkYoung(t *testing.T) {
	root, links := t.TempDir(), t.TempDir()
	area := StorageArea{root}
	listed := time.Now()
	put := func(n int, age time.Duration) UUID {
		t.Helper()
		u := UUID{0: byte(n), 1: byte(n % 3), 15: byte(n)}
		path := area.Path(u)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, fmt.Append(nil, n), 0o600),
			os.Chtimes(path, time.Time{}, listed.Add(-age))); err != nil {
			t.Fatal(err)
		}
		return u
	}
	old, young := put(1, time.Hour), put(1+16, time.Second)
	still := put(2, time.Hour)
	if err := os.Chtimes(filepath.Dir(area.Path(still)), time.Time{}, listed.Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(filepath.Dir(area.Path(young)), "foreign"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := area.linkYoung(t.Context(), links, listed); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(root, young.String()[:2])); err != nil {
		t.Fatal(err)
	}
	f, err := storedFiles{area, links}.Open(young)
	if err != nil || f.Size() != 2 {
		t.Fatalf("deleted since: %v, %v", f, err)
	}
	f.Close()
	names, err := fs.Glob(os.DirFS(links), "*")
	if err != nil || len(names) != 1 {
		t.Errorf("linked are %v, %v; want %s and neither %s nor %s", names, err, young, old, still)
	}
}

// A whole storage area is looked over in a time that a window can bear.
func BenchmarkLinkYoung(b *testing.B) {
	root, links := b.TempDir(), b.TempDir()
	for i := range 1 << 16 {
		if err := os.MkdirAll(filepath.Join(root, fmt.Sprintf("%02x", i>>8), fmt.Sprintf("%02x", i&255)), 0o755); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		if err := (StorageArea{root}).linkYoung(b.Context(), links, time.Now().Add(time.Hour)); err != nil {
			b.Fatal(err)
		}
	}
}

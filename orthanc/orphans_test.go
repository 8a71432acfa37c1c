package orthanc

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

func TestUUIDSet(t *testing.T) {
	s, err := newUUIDSet(filepath.Join(t.TempDir(), "named"))
	if err != nil {
		t.Fatal(err)
	}
	in := func(n int) UUID { return UUID{0: byte(n * 7), 5: byte(n), 6: byte(n >> 8)} }
	for n := range 5000 {
		if err := s.add(in(4999 - n)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.filled(); err != nil {
		t.Fatal(err)
	}
	for n := range 5000 {
		u := in(n)
		other := u
		other[15] = 1
		for u, want := range map[UUID]bool{u: true, other: false} {
			if has, err := s.has(u); err != nil || has != want {
				t.Fatalf("%s: %v, %v, want %v", u, has, err, want)
			}
		}
	}
}

// Files of every age and kind beside those that the index names: only those that were there at the instant of the copy count.
func TestOrphans(t *testing.T) {
	area, taken := StorageArea{t.TempDir()}, time.Now().Add(-time.Minute)
	named, err := newUUIDSet(filepath.Join(t.TempDir(), "named"))
	if err != nil {
		t.Fatal(err)
	}
	put := func(n byte, age time.Duration) UUID {
		t.Helper()
		u := UUID{0: n, 1: 1}
		path := area.Path(u)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, make([]byte, n), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, time.Time{}, taken.Add(-age)); err != nil {
			t.Fatal(err)
		}
		return u
	}
	if err := named.add(put(1, time.Hour)); err != nil {
		t.Fatal(err)
	}
	old, young := put(2, time.Hour), put(200, 500*time.Millisecond)
	put(3, -time.Second) // came after the copy
	if err := os.Symlink("/", area.Path(UUID{0: 2, 1: 1, 15: 1})); err != nil {
		t.Fatal(err)
	}
	if err := named.filled(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		var found []UUID
		for o, err := range orphans(t.Context(), area, named, taken) {
			if err != nil {
				t.Fatal(err)
			}
			if o.Size != int64(o.UUID[0]) || o.UUID == young && o.age.Round(time.Millisecond) != 500*time.Millisecond {
				t.Errorf("%+v", o)
			}
			found = append(found, o.UUID)
		}
		if !slices.Equal(found, []UUID{old, young}) {
			t.Errorf("found %v, want %s and %s", found, old, young)
		}
	}
}

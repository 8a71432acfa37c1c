package orthanc

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

func TestUUIDSet(t *testing.T) {
	for _, many := range []int{0, 1, 5000, fewUUIDs, fewUUIDs + 1, fewUUIDs + 5000} {
		s := newUUIDSet(filepath.Join(t.TempDir(), "named"))
		in := func(n int) UUID { return UUID{0: byte(n * 7), 5: byte(n), 6: byte(n >> 8), 7: byte(n >> 16)} }
		for n := range many {
			if err := s.add(in(many - 1 - n)); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.filled(); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(s.dir); (err == nil) != (many > fewUUIDs) {
			t.Errorf("%d UUIDs: the folder: %v", many, err)
		}
		all := make([]UUID, many)
		for n := range all {
			all[n] = in(n)
		}
		slices.SortFunc(all, compareUUID)
		for range 2 { // lists begin anew
			for _, u := range all {
				other := u
				other[15] = 1
				for _, a := range []struct {
					u    UUID
					want bool
				}{{u, true}, {other, false}} {
					if has, err := s.has(a.u); err != nil || has != a.want {
						t.Fatalf("%d UUIDs, %s: %v, %v, want %v", many, a.u, has, err, a.want)
					}
				}
			}
		}
		if has, err := s.has(UUID{15: 1}); err != nil || has {
			t.Fatalf("%d UUIDs: what is not in it: %v, %v", many, has, err)
		}
	}
}

// Files of every age and kind beside those that the index names: only those that were there at the instant of the copy count.
func TestOrphans(t *testing.T) {
	area, taken := StorageArea{t.TempDir()}, time.Now().Add(-time.Minute)
	named := newUUIDSet(filepath.Join(t.TempDir(), "named"))
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

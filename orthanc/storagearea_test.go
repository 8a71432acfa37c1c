package orthanc_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/orthokeep/orthokeep/orthanc"
)

const someUUID = "0123abcd-0000-4000-8000-0123456789ab"

// collect returns a list, or its error.
func collect[T any](seq func(func(T, error) bool)) ([]T, error) {
	var all []T
	for item, err := range seq {
		if err != nil {
			return nil, err
		}
		all = append(all, item)
	}
	return all, nil
}

func TestParseUUID(t *testing.T) {
	for _, good := range []string{someUUID, "00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"} {
		u, err := orthanc.ParseUUID(good)
		if err != nil || u.String() != good {
			t.Errorf("%s: %s, %v", good, u, err)
		}
	}
	for _, bad := range []string{
		"", "0", someUUID[:35], someUUID + "0", strings.ToUpper(someUUID), strings.ReplaceAll(someUUID, "-", "0"),
		"../../../../../../../../../../../etc", "0123abcd_0000_4000_8000_0123456789ab", "0123abc/-0000-4000-8000-0123456789ab",
		"0123abcd-0000-4000-8000-0123456789a\x00", "-123abcd-0000-4000-8000-0123456789ab", "0123abcdé000-4000-8000-0123456789ab",
	} {
		if u, err := orthanc.ParseUUID(bad); err == nil || u != (orthanc.UUID{}) {
			t.Errorf("%q gives %s, %v", bad, u, err)
		}
	}
}

func FuzzUUID(f *testing.F) {
	f.Add(someUUID)
	f.Add("../../../../../../../../../../../etc")
	f.Fuzz(func(t *testing.T, s string) {
		u, err := orthanc.ParseUUID(s)
		if err == nil && u.String() != s {
			t.Fatalf("%q reads as %s", s, u)
		}
		if back, err := orthanc.ParseUUID(u.String()); err != nil || back != u {
			t.Fatalf("%s: %v", u, err)
		}
	})
}

// area makes a storage area of n attachments and returns their UUIDs in order.
func area(t *testing.T, n int) (orthanc.StorageArea, []orthanc.UUID) {
	t.Helper()
	s := orthanc.StorageArea{Root: t.TempDir()}
	random := rand.New(rand.NewPCG(1, 2))
	var all []orthanc.UUID
	for range n {
		var u orthanc.UUID
		for i := range u {
			u[i] = byte(random.Uint32())
		}
		u[0] &= 7 // some share a folder
		u[1] &= 7
		all = append(all, u)
		path, err := filepath.Rel(s.Root, s.Path(u))
		if err != nil {
			t.Fatal(err)
		}
		write(t, s.Root, path, u.String())
	}
	slices.SortFunc(all, func(a, b orthanc.UUID) int { return strings.Compare(a.String(), b.String()) })
	return s, all
}

func TestStorageAreaList(t *testing.T) {
	s, all := area(t, 500)
	for _, own := range []string{"index", "index-wal", "index-shm", "pending-deletions.0123.db", "pending-deletions.0123.db-wal"} {
		write(t, s.Root, own, "x")
	}
	foreign := []string{
		"lost+found/x", "readme", "index2", "0", "00/readme", "00/0g/x", "00/00/readme", "00/01/" + someUUID,
		"01/23/" + strings.ToUpper(someUUID), "AB/cd/x",
	}
	for _, name := range foreign {
		write(t, s.Root, name, "x")
	}
	// A file in place of a folder is passed over, as are empty folders.
	write(t, s.Root, "ff/ff", "x")
	write(t, s.Root, "fe", "x")
	if err := os.MkdirAll(filepath.Join(s.Root, "fd", "00"), 0o755); err != nil {
		t.Fatal(err)
	}
	var count orthanc.Listing
	got, err := collect(s.List(t.Context(), &count))
	if err != nil || !slices.Equal(got, all) {
		t.Fatalf("%d of %d, %v", len(got), len(all), err)
	}
	if count.Attachments != 500 || count.Foreign != int64(len(foreign)) {
		t.Fatalf("%+v, want %d foreign", count, len(foreign))
	}
	for _, u := range all {
		f, err := s.Open(u)
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
}

// TestStorageAreaVanishing: the list goes on when files and folders vanish while it runs.
func TestStorageAreaVanishing(t *testing.T) {
	s, all := area(t, 300)
	seen := 0
	for u, err := range s.List(t.Context(), nil) {
		if err != nil {
			t.Fatal(err)
		}
		if seen++; seen == 100 {
			for _, gone := range all[150:] {
				os.Remove(s.Path(gone))
				os.Remove(filepath.Dir(s.Path(gone)))
				os.Remove(filepath.Dir(filepath.Dir(s.Path(gone))))
			}
		}
		_ = u
	}
	// What shares the folder being listed may still be named.
	if seen < 150 || seen > 160 {
		t.Fatalf("%d listed", seen)
	}
	if _, err := s.Open(all[299]); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), all[299].String()) {
		t.Fatalf("opened what has vanished: %v", err)
	}
}

func TestStorageAreaErrors(t *testing.T) {
	s, all := area(t, 3)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := collect(s.List(ctx, nil)); !errors.Is(err, context.Canceled) {
		t.Fatalf("cancelled: %v", err)
	}
	absent := orthanc.StorageArea{Root: filepath.Join(s.Root, "absent")}
	if _, err := collect(absent.List(t.Context(), nil)); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("absent: %v", err)
	}
	path := s.Path(all[0])
	secret := write(t, s.Root, "secret", "x")
	for name, place := range map[string]func() error{
		"link":   func() error { return os.Symlink(secret, path) },
		"folder": func() error { return os.Mkdir(path, 0o755) },
	} {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if err := place(); err != nil {
			t.Fatal(err)
		}
		if f, err := s.Open(all[0]); !errors.Is(err, orthanc.ErrAttachment) {
			if err == nil {
				f.Close()
			}
			t.Fatalf("%s: %v", name, err)
		}
	}
}

// BenchmarkStorageAreaList lists names alone.
func BenchmarkStorageAreaList(b *testing.B) {
	root := b.TempDir()
	for i := range 20000 {
		write(b, root, fmt.Sprintf("%02x/%02x/%02x%02x0000-0000-4000-8000-%012x", i%256, i/256%4, i%256, i/256%4, i), "")
	}
	for b.Loop() {
		var count orthanc.Listing
		for _, err := range (orthanc.StorageArea{Root: root}).List(b.Context(), &count) {
			if err != nil {
				b.Fatal(err)
			}
		}
		if count.Attachments != 20000 {
			b.Fatal(count)
		}
	}
}

package repo

import (
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// fileOf makes a file in memory that takes a number of bytes, and no more.
func fileOf(t *testing.T, bytes int64) *os.File {
	t.Helper()
	fd, err := unix.MemfdCreate("volume", unix.MFD_ALLOW_SEALING|unix.MFD_CLOEXEC)
	if err != nil {
		t.Skip("no files in memory here:", err)
	}
	file := os.NewFile(uintptr(fd), "volume")
	if err := file.Truncate(bytes); err != nil {
		t.Fatal(err)
	}
	if _, err := unix.FcntlInt(file.Fd(), unix.F_ADD_SEALS, unix.F_SEAL_GROW); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestVolumesThatAreCutShort: the disk is full at any place of a volume. It is an error, whichever part of the volume comes to lie there, and
// with room for the last byte the volume is whole.
func TestVolumesThatAreCutShort(t *testing.T) {
	w := newWorld(t, 61)
	type volumeOf struct{ packs, blobs, places int }
	tries := []volumeOf{{1500, 6, 40}} // packs, filter and entries are longer than a buffer
	for packs := 144; packs < 152; packs++ {
		tries = append(tries, volumeOf{packs, 6, 24}) // of some of these the last page of entries is the first one of a buffer
	}
	for _, try := range tries {
		recent := &recent{}
		for range try.packs {
			recent.add(w.pack(try.blobs), 1, nil)
		}
		whole, err := writeVolume(w.folder(), []source{recent}, nil)
		if err != nil {
			t.Fatal(err)
		}
		size := whole.size()
		whole.release()
		for i := range try.places + 1 {
			room := size * int64(i) / int64(try.places)
			file := fileOf(t, room)
			m := &merge{file: file}
			err := m.run([]source{recent})
			if room < size && !errors.Is(err, unix.EPERM) {
				t.Errorf("room for %d of %d bytes: %v", room, size, err)
			}
			if room == size {
				if err != nil {
					t.Fatal(err)
				}
				sameBlobs(t, newVolume(file, "", m.shape), recent)
			}
			if err := file.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

// sameBlobs sees that a volume finds every blob that is recent, in the same pack.
func sameBlobs(t *testing.T, v *volume, recent *recent) {
	t.Helper()
	for i := range recent.blobs() {
		want, found := parseEntry(recent.entry(uint32(i))), false
		_, err := v.find(want.id, func(e entry) (bool, error) {
			p, err := v.pack(e.pack)
			q, wantErr := recent.pack(want.pack)
			found = found || p.id == q.id && e.offset == want.offset
			return true, errors.Join(err, wantErr)
		})
		if err != nil || !found {
			t.Fatalf("blob %d is found: %v, %v", i, found, err)
		}
	}
}

package snapshot

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/orthokeep/orthokeep/repo"
	"github.com/orthokeep/orthokeep/repo/storage"
)

// lost are the orphans of a storage area. One whose content is nil vanishes when it is read.
type lost struct {
	*world
	mu      sync.Mutex // of orphans, while they are stored
	orphans map[UUID][]byte
}

func (l *lost) Open(u UUID) (File, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	data := l.orphans[u]
	if data == nil {
		delete(l.orphans, u)
		return l.world.Open(u) // which has none of that name, unless it is an attachment
	}
	l.opened.Add(1)
	return memFile{bytes.NewReader(data)}, nil
}

func (l *lost) list() iter.Seq2[Orphan, error] {
	return func(yield func(Orphan, error) bool) {
		var all []Orphan
		l.mu.Lock()
		for u, data := range l.orphans {
			all = append(all, Orphan{u, int64(len(data))})
		}
		l.mu.Unlock()
		slices.SortFunc(all, func(a, b Orphan) int { return bytes.Compare(a.UUID[:], b.UUID[:]) })
		for _, o := range all {
			if !yield(o, nil) {
				return
			}
		}
	}
}

func (l *lost) restored(root *Root) map[UUID][]byte {
	l.t.Helper()
	dir, r := memoryDir(l.t), l.reader()
	root, err := ReadRoot(l.t.Context(), r, root.Name())
	if err != nil {
		l.t.Fatal(err)
	}
	if _, err := RestoreOrphans(l.t.Context(), r, root, Destination{Dir: dir, Place: UUID.String, Mode: 0o600}, NoProgress{}); err != nil {
		l.t.Fatal(err)
	}
	got := map[UUID][]byte{}
	for u := range l.orphans {
		if data, err := os.ReadFile(filepath.Join(dir, u.String())); err == nil {
			got[u] = data
		}
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != len(got) {
		l.t.Errorf("%d files were restored, %v", len(files), err)
	}
	return got
}

// Orphans are stored beside the attachments, once, come and go, and are restored apart.
func TestOrphansAreStoredOnce(t *testing.T) {
	keys, err := repo.NewKeys()
	if err != nil {
		t.Fatal(err)
	}
	st, err := storage.Create(filepath.Join(memoryDir(t), "repo"))
	if err != nil {
		t.Fatal(err)
	}
	w := newServer(t, st, keys)
	if err := w.init(); err != nil {
		t.Fatal(err)
	}
	l := &lost{world: w, orphans: map[UUID][]byte{}}
	w.more = func(ctx context.Context, s *Session, root *Root) (err error) {
		root.Orphans, err = s.StoreOrphans(ctx, l, l.list())
		return err
	}
	add := func(n int) {
		for i := range n {
			var u UUID
			for k := range u {
				u[k] = byte(w.rnd.Uint32())
			}
			l.orphans[u] = bytes.Repeat([]byte{byte(i), u[1], 7}, 20_000*(i+1))
		}
	}
	w.add(10, 90_000)
	add(8)
	for night := range 4 {
		w.opened.Store(0)
		root := w.mustBackup()
		want := map[UUID][]byte{}
		var size int64
		for u, data := range l.orphans {
			want[u], size = data, size+int64(len(data))
		}
		if got := l.restored(root); !maps.EqualFunc(got, want, bytes.Equal) || root.Orphans.Attachments != int64(len(want)) || root.Orphans.Bytes != size {
			t.Fatalf("night %d: %d of %d orphans were restored as they are; %d, %d bytes in the root", night, len(got), len(want), root.Orphans.Attachments, root.Orphans.Bytes)
		}
		w.verify(w.state(root))
		if root.Counts.Attachments != int64(len(w.files)) || root.Manifest.Attachments != int64(len(w.files)) {
			t.Errorf("night %d: %d attachments", night, root.Manifest.Attachments)
		}
		if problems, err := Check(t.Context(), w.writer(), []*Root{root}); err != nil || len(problems) > 0 {
			t.Errorf("check: %v, %v", problems, err)
		}
		switch n := w.opened.Load(); {
		case night == 1 && n != 0:
			t.Errorf("%d files were read again", n)
		case night == 2 && n != 3:
			t.Errorf("%d files were read for 2 new orphans and one new attachment", n)
		}
		switch night {
		case 1:
			for u := range l.orphans {
				delete(l.orphans, u)
				break
			}
			l.orphans[UUID{9}] = nil // vanishes
			add(2)
			w.add(1, 90_000)
		case 2:
			w.remove(0)
		}
	}
	// One that changes while it is stored is not stored as something else.
	l.orphans[UUID{1}] = []byte("short")
	w.more = func(ctx context.Context, s *Session, root *Root) (err error) {
		_, err = s.StoreOrphans(ctx, l, func(yield func(Orphan, error) bool) { yield(Orphan{UUID{1}, 4}, nil) })
		if !errors.Is(err, ErrInconsistent) {
			t.Errorf("an orphan of another size: %v", err)
		}
		return nil
	}
	w.verify(w.state(w.mustBackup()))
}

// The key of an orphan keeps the order of UUIDs.
func TestOrphanKeys(t *testing.T) {
	uuids := []UUID{{}, {9: 4}, {8: 1}, {7: 1}, {7: 1, 9: 4}, {7: 2}, {7: 3}, {7: 4}, {0: 0x7f}, {0: 0x80}, {0: 0xff, 9: 0xfc}}
	last := Key{-1, 0}
	for _, u := range uuids {
		k := Orphan{UUID: u}.attachment().Key()
		if k.Compare(last) <= 0 || k.ID < 0 || k.FileType < 0 || k.FileType > 65535 {
			t.Errorf("%s has the key %v after %v", u, k, last)
		}
		last = k
	}
}

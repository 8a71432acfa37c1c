package snapshot

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"github.com/orthokeep/orthokeep/chunk"
	"github.com/orthokeep/orthokeep/chunk/pixel"
	"github.com/orthokeep/orthokeep/repo"
	"github.com/orthokeep/orthokeep/repo/storage"
	"io"
	"iter"
	"os"
	"path/filepath"
	"testing"
)

// TestBackupAfterAFailedPack: once a pack could not be written every step of a backup says so, and nothing is published.
func TestBackupAfterAFailedPack(t *testing.T) {
	index := func(w *world) string {
		path := filepath.Join(w.cache, "index")
		if err := os.WriteFile(path, w.index, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for name, step := range map[string]func(context.Context, *world, *Session) error{
		"attachments": func(ctx context.Context, w *world, s *Session) error {
			_, err := s.Store(ctx, w, s.Missing(ctx, w.attachments(), new(Difference)))
			return err
		},
		"manifest": func(ctx context.Context, w *world, s *Session) error {
			var d Difference
			for _, err := range s.Missing(ctx, w.attachments(), &d) {
				if err != nil {
					return err
				}
			}
			w.list = w.list[:5]
			_, err := s.StoreManifest(ctx, w.attachments(), Difference{Deleted: 2})
			return err
		},
		"index, a delta": func(ctx context.Context, w *world, s *Session) error {
			w.touch(1)
			_, _, err := s.StoreIndex(ctx, index(w))
			return err
		},
		"index, a base": func(ctx context.Context, w *world, s *Session) error {
			for i := range w.index[4096:] {
				w.index[4096+i] = byte(i * i >> 7)
			}
			_, _, err := s.StoreIndex(ctx, index(w))
			return err
		},
		"content": func(ctx context.Context, w *world, s *Session) error {
			_, _, err := s.StoreContent(ctx, bytes.NewReader(make([]byte, 20<<20)))
			return err
		},
		"files": func(ctx context.Context, w *world, s *Session) error {
			_, _, err := s.StoreContent(ctx, bytes.NewReader([]byte("x")))
			if err != nil {
				return err
			}
			_, err = s.StoreFiles(ctx, Files{})
			return err
		},
		"orphans": func(ctx context.Context, w *world, s *Session) error {
			_, err := s.StoreOrphans(ctx, w, func(yield func(Orphan, error) bool) {
				yield(Orphan{UUID: w.list[0].UUID, Size: w.list[0].Size}, nil)
			})
			return err
		},
		"publish": func(ctx context.Context, w *world, s *Session) error { return s.Publish(ctx, &Root{Time: now}) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newMemoryWorld(t, testKeys(t))
			w.add(8, 900)
			w.add(1, 300_000)
			before := w.state(w.mustBackup())
			w.add(4, 900)
			w.add(2, 300_000)
			s, _ := w.failedSession()
			if err := step(t.Context(), w, s); !errors.Is(err, storage.ErrNoSpace) {
				t.Errorf("it says %v", err)
			}
			if err := s.Publish(t.Context(), &Root{Time: now}); !errors.Is(err, storage.ErrNoSpace) {
				t.Errorf("publish says %v", err)
			}
			if roots, err := Roots(t.Context(), w.writer()); err != nil || len(roots) != 1 {
				t.Errorf("%d snapshots, %v", len(roots), err)
			}
			w.verify(before)
		})
	}
}

// TestStoreIndexOfNoIndex: what is no clean SQLite file is refused.
func TestStoreIndexOfNoIndex(t *testing.T) {
	w := newMemoryWorld(t, testKeys(t))
	s, _ := w.session(w.st)
	write := func(b []byte) string {
		path := filepath.Join(memoryDir(t), "index")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	odd := bytes.Clone(w.index)
	binary.BigEndian.PutUint16(odd[16:], 4095)
	for name, c := range map[string]struct {
		path string
		want error
	}{
		"missing":             {filepath.Join(memoryDir(t), "none"), os.ErrNotExist},
		"empty":               {write(nil), ErrInconsistent},
		"not a database":      {write(make([]byte, 8192)), ErrInconsistent},
		"not whole pages":     {write(w.index[:len(w.index)-1]), ErrInconsistent},
		"an impossible pages": {write(odd), ErrInconsistent},
	} {
		if _, _, err := s.StoreIndex(t.Context(), c.path); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := s.StoreIndex(cancelled, write(w.index)); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

var errDisk = errors.New("the disk of the server fails")

// broken fails where a reader ends.
type broken struct{ io.Reader }

func (b broken) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err == io.EOF {
		err = errDisk
	}
	return n, err
}

// brokenFile fails after some bytes.
type brokenFile struct {
	broken
	whole File
	good  int64
}

func (b brokenFile) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > b.good {
		return 0, errDisk
	}
	return b.whole.ReadAt(p, off)
}

func (b brokenFile) Close() error { return b.whole.Close() }
func (b brokenFile) Size() int64  { return b.whole.Size() }

// brokenArea is a storage area one file of which cannot be read, or only its beginning.
type brokenArea struct {
	*world
	bad  UUID
	good int64 // bytes of it that can be read; negative: it cannot be opened
}

func (a brokenArea) Open(u UUID) (File, error) {
	f, err := a.world.Open(u)
	if u != a.bad || err != nil {
		return f, err
	}
	if a.good < 0 {
		return nil, errDisk
	}
	return brokenFile{broken{io.LimitReader(f, a.good)}, f, a.good}, nil
}

// TestUnreadableAttachment: an attachment that cannot be read ends the reading, whatever its size and wherever it fails.
func TestUnreadableAttachment(t *testing.T) {
	for _, size := range []int{2000, 900_000, 3_000_000} {
		for _, good := range []int64{-1, 0, 500, 100_000, 800_000, 1_400_000} {
			if good >= int64(size)/2 {
				continue
			}
			w := newMemoryWorld(t, testKeys(t))
			w.add(3, 900)
			w.add(1, size)
			area := brokenArea{w, w.list[3].UUID, good}
			s, _ := w.session(w.st)
			if _, err := s.Store(t.Context(), area, s.Missing(t.Context(), w.attachments(), new(Difference))); !errors.Is(err, errDisk) {
				t.Errorf("%d of %d bytes: %v", good, size, err)
			}
			sizer := NewSizer(w.writer())
			if _, err := sizer.Add(t.Context(), area, area.bad); !errors.Is(err, errDisk) {
				t.Errorf("estimate, %d of %d bytes: %v", good, size, err)
			}
		}
	}
}

// TestListsThatFail: an error in a list of attachments or orphans comes back from whatever reads it.
func TestListsThatFail(t *testing.T) {
	w := newMemoryWorld(t, testKeys(t))
	w.add(5, 900)
	w.mustBackup()
	s, _ := w.session(w.st)
	list := func(yield func(Attachment, error) bool) {
		if yield(w.list[0], nil) {
			yield(Attachment{}, errDisk)
		}
	}
	uuids := func(yield func(UUID, error) bool) { yield(UUID{}, errDisk) }
	orphans := func(yield func(Orphan, error) bool) { yield(Orphan{}, errDisk) }
	last := func(list iter.Seq2[UUID, error]) (err error) {
		for _, e := range list {
			err = e
		}
		return err
	}
	ctx := t.Context()
	for name, err := range map[string]error{
		"missing":    last(s.Missing(ctx, list, new(Difference))),
		"not stored": last(s.NotStored(ctx, uuids)),
		"store":      second(s.Store(ctx, w, uuids)),
		"manifest":   second(s.StoreManifest(ctx, list, Difference{New: 1})),
		"orphans":    second(s.StoreOrphans(ctx, w, orphans)),
		"content":    third(s.StoreContent(ctx, broken{bytes.NewReader(nil)})),
	} {
		if !errors.Is(err, errDisk) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func second[T any](_ T, err error) error        { return err }
func third[T, U any](_ T, _ U, err error) error { return err }

// failingPutter stores blobs until it has had enough of them.
type failingPutter struct{ left int }

func (p *failingPutter) Put(_ context.Context, _ repo.Class, plain []byte, _ pixel.Layout) (id repo.ID, isNew bool, err error) {
	if p.left--; p.left < 0 {
		return id, false, errDisk
	}
	copy(id[:], plain)
	return id, true, nil
}

// TestStreamsThatCannotBeStored: at whichever of their blobs, of the bytes or of the lists above them.
func TestStreamsThatCannotBeStored(t *testing.T) {
	w := newMemoryWorld(t, testKeys(t))
	pol := w.keys.Writer.Polynomial
	data := make([]byte, 4_000_000)
	for i := range data {
		data[i] = byte(w.rnd.Uint32())
	}
	total := 0
	for k := 0; ; k += 1 + k/8 {
		to := &failingPutter{left: k}
		_, err := storeStream(t.Context(), to, pol, chunk.Stream, repo.Structure, bytes.NewReader(data))
		if err == nil {
			total = k - to.left
			break
		}
		if !errors.Is(err, errDisk) {
			t.Fatalf("blob %d: %v", k, err)
		}
	}
	t.Logf("%d blobs", total)
	for k := total - 1; k > total-8; k-- { // the lists come last
		if _, err := storeStream(t.Context(), &failingPutter{left: k}, pol, chunk.Stream, repo.Structure, bytes.NewReader(data)); !errors.Is(err, errDisk) {
			t.Errorf("blob %d of %d: %v", k, total, err)
		}
	}
	for k := range 3 {
		lw := newLayerWriter(t.Context(), &failingPutter{left: k}, pol)
		if _, err := lw.head(headRef{repo.ID{1}, 5}); err != nil {
			t.Fatal(err)
		}
		if err := lw.write(&Entry{Key: Key{1, 1}, Size: 5, headLength: 5}); err != nil {
			t.Fatal(err)
		}
		if _, err := lw.finish(); !errors.Is(err, errDisk) {
			t.Errorf("stream %d of a layer: %v", k, err)
		}
	}
}

package snapshot

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/orthokeep/orthokeep/repo"
	"github.com/orthokeep/orthokeep/repo/storage/faulty"
)

// Streams that are so long that they lie below lists, or are read in more than one piece, from a storage each read of which fails once.

// eachRead runs do once for each of its reads of the repository, which fails or has a bit turned round, until none does.
func (w *world) eachRead(how faulty.Fault, do func(k int, reached func() bool, r *repo.Repository)) {
	w.t.Helper()
	inner := w.st
	defer func() { w.st = inner }()
	for k := 0; ; k++ {
		st := faulty.Wrap(inner)
		w.st = st
		r := w.reader()
		before := st.Reads()
		st.FailRead(before+k, how)
		reached := func() bool { return st.Reads() > before+k }
		do(k, reached, r)
		r.Close()
		if !reached() {
			return
		}
	}
}

// longDelta returns a snapshot whose index is a base and a delta of several blobs. Where the cuts are is chance: one repository in three has none.
func longDelta(t *testing.T) (*world, *Root) {
	t.Helper()
	for range 50 {
		w := newMemoryWorld(t, testKeys(t))
		w.longIndex(3 << 20)
		w.mustBackup()
		w.changePages(2)
		root := w.mustBackup()
		if len(root.Index.Layers) == 2 && len(newest(root.Index.Layers).Pages.items) > 1 {
			return w, root
		}
	}
	t.Fatal("no delta of several blobs")
	return nil, nil
}

// TestRestoreOfALongIndex: what a restore gives is the index, or an error, and no file is left then.
func TestRestoreOfALongIndex(t *testing.T) {
	w, root := longDelta(t)
	path := filepath.Join(memoryDir(t), "index")
	for how, want := range map[faulty.Fault]error{faulty.NotStored: faulty.ErrFailed, faulty.Flipped: repo.ErrCorrupt} {
		failed := 0
		w.eachRead(how, func(k int, reached func() bool, r *repo.Repository) {
			err := RestoreIndex(t.Context(), r, root, path)
			got, readErr := os.ReadFile(path)
			switch {
			case err == nil && bytes.Equal(got, w.index):
				if err := os.Remove(path); err != nil {
					t.Fatal(err)
				}
			case !reached() || !errors.Is(err, want) || !errors.Is(readErr, os.ErrNotExist):
				t.Errorf("fault %d of read %d: %v, a file of %d bytes is left", how, k, err, len(got))
			default:
				failed++
			}
		})
		if failed < 3 {
			t.Errorf("fault %d: %d restores failed", how, failed)
		}
	}
}

// TestRestoreOfDamagedParts: of an attachment of several blobs whichever is damaged, it is not restored, and the others are.
func TestRestoreOfDamagedParts(t *testing.T) {
	w := newMemoryWorld(t, testKeys(t))
	w.add(2, 900)
	long := make([]byte, wholeFile-5000)
	for i := range long {
		long[i] = byte(w.rnd.Uint32())
	}
	w.addFile(long)
	root := w.mustBackup()
	named := 0
	w.eachRead(faulty.Flipped, func(k int, reached func() bool, r *repo.Repository) {
		dir := memoryDir(t)
		res, err := RestoreAttachments(t.Context(), r, root, Destination{Dir: dir, Place: UUID.String, Mode: 0o600}, NoProgress{})
		if res.DamagedAll > 0 {
			named++
		}
		if err != nil && (!reached() || !errors.Is(err, repo.ErrCorrupt)) || err == nil && res.Attachments != 3 {
			t.Errorf("read %d: %d attachments, %v", k, res.Attachments, err)
		}
		restored := int64(0)
		for u, want := range w.files {
			got, err := os.ReadFile(filepath.Join(dir, u.String()))
			if err == nil {
				restored++
			}
			if err == nil && !bytes.Equal(got, want) {
				t.Errorf("read %d: attachment %s differs", k, u)
			}
		}
		if restored != res.Attachments {
			t.Errorf("read %d: %d files of %d attachments", k, restored, res.Attachments)
		}
	})
	if named < 2 { // the heads, and a chunk at least: how many there are is chance
		t.Errorf("%d restores name what is damaged", named)
	}
}

// TestCheckOfLongStreams: a list of blobs that cannot be read ends a check, and one that is damaged is a problem of its snapshot.
func TestCheckOfLongStreams(t *testing.T) {
	w := newMemoryWorld(t, testKeys(t))
	w.add(3, 900)
	w.more = func(ctx context.Context, s *Session, root *Root) error {
		data := make([]byte, 3<<20)
		for i := range data {
			data[i] = byte(w.rnd.Uint32())
		}
		offset, size, err := s.StoreContent(ctx, bytes.NewReader(data))
		if err != nil {
			return err
		}
		root.Files, err = s.StoreFiles(ctx, Files{Files: []ExtraFile{{Path: "/etc/orthanc/orthanc.json", Offset: offset, Size: size}}})
		return err
	}
	root := w.mustBackup()
	if root.Files.Contents.depth == 0 {
		t.Fatal("there are no lists")
	}
	named, ended := 0, 0
	for _, how := range []faulty.Fault{faulty.NotStored, faulty.Flipped} {
		w.eachRead(how, func(k int, reached func() bool, r *repo.Repository) {
			problems, err := Check(t.Context(), r, []*Root{root})
			for _, p := range problems {
				if named++; how != faulty.Flipped || !strings.HasPrefix(p.Detail, "extra files: ") && !strings.HasPrefix(p.Detail, "manifest: ") {
					t.Errorf("fault %d of read %d: it names %v", how, k, p)
				}
			}
			if err != nil {
				ended++
			}
			silent := how == faulty.NotStored && reached() && err == nil && len(problems) == 0 // a listing has no bit to be turned round
			if err != nil && (!reached() || how == faulty.NotStored && !errors.Is(err, faulty.ErrFailed)) || silent {
				t.Errorf("fault %d of read %d: %v, %v", how, k, problems, err)
			}
		})
	}
	if named < 2 || ended < 2 {
		t.Errorf("%d problems are named, %d checks ended", named, ended)
	}
}

package snapshot

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	"github.com/orthokeep/orthokeep/chunk/pixel"
	"github.com/orthokeep/orthokeep/repo"
	"github.com/orthokeep/orthokeep/repo/storage"
)

// failingFS is a file system with a fault.
type failingFS struct {
	storage.FS
	*hostFault
}

func (f failingFS) Create(path string, mode fs.FileMode) (storage.File, error) {
	if err := f.next("create", path); err != nil {
		return nil, err
	}
	file, err := f.FS.Create(path, mode)
	return failingNew{file, path, f.hostFault}, err
}

func (f failingFS) Rename(old, new string) error {
	if err := f.next("rename", new); err != nil {
		return err
	}
	return f.FS.Rename(old, new)
}

func (f failingFS) SyncDir(path string) error {
	return errors.Join(f.next("sync", path), f.FS.SyncDir(path))
}

// failingNew is a new file of a failingFS.
type failingNew struct {
	storage.File
	path string
	*hostFault
}

func (f failingNew) Write(p []byte) (int, error) {
	if err := f.next("write", f.path); err != nil {
		n, writeErr := f.File.Write(p[:len(p)/2])
		return n, errors.Join(err, writeErr)
	}
	return f.File.Write(p)
}

func (f failingNew) Sync() error  { return errors.Join(f.next("sync", f.path), f.File.Sync()) }
func (f failingNew) Close() error { return errors.Join(f.next("close", f.path), f.File.Close()) }

// failAt makes an operation on the files of a journal fail, counted from now on.
func (j *Journal) failAt(k int) *hostFault {
	fault := &hostFault{failAt: k}
	j.log.file, j.fs = &failingFile{j.log.file, fault}, failingFS{storage.OS, fault}
	return fault
}

// readTwice leaves a backup that was interrupted when it had read everything, some of it as other bytes than the index states: these have to be
// read again.
func readTwice(tr *trial) error {
	if err := twoNights(tr); err != nil {
		return err
	}
	tr.add(150, 400)
	for i := range 3 {
		tr.damaged[tr.list[len(tr.list)-1-i].UUID] = true
		tr.list[len(tr.list)-1-i].HasMD5 = true
	}
	err := tr.interrupted().Close()
	clear(tr.damaged)
	tr.add(5, 400)
	return err
}

// TestBackupWithAFailingJournal lets each operation on the files of a journal fail once while a backup goes on from the one before. It says so, or
// finds something missing that cannot be read, or takes a snapshot that is right; so does the next one.
func TestBackupWithAFailingJournal(t *testing.T) {
	base, disk, err := prepared(t, operation{prepare: readTwice}, testKeys(t))
	if err != nil {
		t.Fatal(err)
	}
	failures := 0
	for k := 0; ; k += (2 + faultStride()) / 3 {
		tr := base.on(t, durable(t, disk))
		j, err := OpenJournal(filepath.Join(tr.cache, "s.state"))
		if err != nil {
			t.Fatal(err)
		}
		f := j.failAt(k)
		root, err := tr.backupWith(j)
		if err == nil {
			tr.must = append(tr.must, tr.state(root))
		} else if failures++; !f.failed() || !errors.Is(err, errHost) && !errors.Is(err, ErrInconsistent) {
			t.Fatalf("operation %d: %v", k, err)
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(tr.sound(), tr.snapshot(), tr.sound()); err != nil {
			t.Fatalf("operation %d: %v", k, err)
		}
		tr.discard()
		if !f.failed() {
			break
		}
	}
	if failures < 3 {
		t.Errorf("%d backups failed: nothing was seen", failures)
	}
}

// TestCheckpointOnceMore: a checkpoint that could not be noted is noted with the next one, in a journal that has no gap.
func TestCheckpointOnceMore(t *testing.T) {
	w := newMemoryWorld(t, testKeys(t))
	w.add(40, 900)
	s, j := w.session(w.st)
	f := j.failAt(0)
	heads := newHeadStream(t.Context(), s.run, s.repo.Polynomial(), 0)
	reader := newBatchReader(s.run, s.repo.HashMD5, s.repo.Polynomial())
	var uuids []UUID
	for _, a := range w.list {
		uuids = append(uuids, a.UUID)
	}
	for i, batch := range [][]UUID{uuids[:16], uuids[16:32], uuids[32:]} {
		read, err := reader.store(t.Context(), w, batch)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range read {
			if err := heads.add(a); err != nil {
				t.Fatal(err)
			}
		}
		if err := errors.Join(heads.close(), s.checkpoint(t.Context(), heads)); (i == 0) != errors.Is(err, errHost) {
			t.Fatalf("checkpoint %d: %v", i, err)
		}
	}
	if len(j.heads()) != 3 || !f.failed() {
		t.Errorf("%d head chunks", len(j.heads()))
	}
	if err := errors.Join(s.End(t.Context(), false, now), j.Close()); err != nil {
		t.Fatal(err)
	}
	read := w.opened.Load()
	w.verify(w.state(w.mustBackup()))
	if n := w.opened.Load() - read; n > 0 {
		t.Errorf("%d attachments were read again", n)
	}
}

// TestHeadsOnceMore: a head chunk that could not be put is put when the stream goes on, and no other one twice: every head lies where its entry
// says.
func TestHeadsOnceMore(t *testing.T) {
	rnd := rand.New(rand.NewPCG(15, 16))
	pol := testKeys(t).Writer.Polynomial
	want := map[UUID][]byte{}
	var all []stored
	for range 120 {
		s := stored{Entry: randomEntry(rnd), head: make([]byte, 60_000)}
		for i := range s.head {
			s.head[i] = byte(rnd.Uint32())
		}
		s.headLength, want[s.UUID] = int64(len(s.head)), s.head
		all = append(all, s)
	}
	for k := 0; ; k++ {
		to := &oncePutter{failAt: k}
		h := newHeadStream(t.Context(), to, pol, 0)
		failed := 0
		for _, s := range slices.Clone(all) {
			if err := h.add(s); err != nil {
				failed++
				break // as Store does
			}
		}
		if err := h.close(); err != nil {
			failed++
			err = h.close()
			if err != nil {
				t.Fatal(err)
			}
		}
		if to.puts <= k { // as many chunks as there are, four at least since none is longer than 2 MiB
			if k < 4 || failed > 0 {
				t.Errorf("%d puts, %d failures", to.puts, failed)
			}
			return
		}
		if failed != 1 || len(h.ready) == 0 {
			t.Fatalf("put %d: %d failures, %d entries", k, failed, len(h.ready))
		}
		for _, e := range h.ready {
			var got []byte
			for part, err := range e.headParts(h.chunks) {
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, to.put[part.chunk][part.offset:part.offset+part.size]...)
			}
			if !bytes.Equal(got, want[e.UUID]) {
				t.Fatalf("put %d: the head of %s is another one", k, e.UUID)
			}
		}
	}
}

// oncePutter keeps what is put, but for one blob, which it fails to.
type oncePutter struct {
	failAt, puts int
	put          [][]byte
}

func (p *oncePutter) Put(_ context.Context, _ repo.Class, plain []byte, _ pixel.Layout) (id repo.ID, isNew bool, err error) {
	if p.puts++; p.puts-1 == p.failAt {
		return id, false, errDisk
	}
	p.put = append(p.put, bytes.Clone(plain))
	return id, true, nil
}

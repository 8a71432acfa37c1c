package repo

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"filippo.io/age"

	"github.com/orthokeep/orthokeep/chunk/pixel"
	"github.com/orthokeep/orthokeep/repo/storage"
	"github.com/orthokeep/orthokeep/repo/storage/faulty"
)

// noRecipient encrypts for nobody.
type noRecipient struct{}

func (noRecipient) Wrap([]byte) ([]*age.Stanza, error) { return nil, errors.New("no such recipient") }

// TestRecipientsThatFail: nothing of content is stored whose key nobody could open.
func TestRecipientsThatFail(t *testing.T) {
	w := newWorld(t, 41)
	run, err := w.writer.Begin(t.Context(), RunInfo{Kind: "backup", Started: at})
	if err != nil {
		t.Fatal(err)
	}
	w.writer.recipients = []age.Recipient{noRecipient{}}
	for range 2 {
		if _, _, err := run.Put(t.Context(), Content, []byte("secret"), pixel.Layout{}); err == nil {
			t.Error("a blob was taken whose key nobody can open")
		}
	}
	if err := run.Publish(t.Context(), "x", nil); err == nil {
		t.Error("a root was published after that")
	}
	if _, err := ageRecipients([]Recipient{{"x", "age1nonsense"}}); err == nil {
		t.Error("a recipient that is none")
	}
	bad := marshalRecipients(w.keys.Writer.derive(), w.keys.Writer.Repository, 2, []Recipient{{"x", "age1nonsense"}})
	if err := w.st.Put(t.Context(), keyFileName(recipientsFile, 2, bad), bad); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), w.st, Credentials{Writer: w.keys.Writer}, ""); err == nil {
		t.Error("a repository opens whose recipient is none")
	}
}

// TestEmptyPassphrase: no recovery key is kept under an empty passphrase.
func TestEmptyPassphrase(t *testing.T) {
	w := newWorld(t, 47)
	if kept, err := KeepsRecoveryKey(t.Context(), w.st); kept || err != nil {
		t.Errorf("kept: %v, %v", kept, err)
	}
	if file, err := wrapRecoveryKey(w.keys.Recovery, ""); err == nil {
		t.Errorf("a file of %d bytes", len(file))
	}
}

// TestFaultsOfVacant: an init over one that was cut off, each request failing.
func TestFaultsOfVacant(t *testing.T) {
	keys, err := NewKeys()
	if err != nil {
		t.Fatal(err)
	}
	for _, reads := range []bool{false, true} {
		for k := 0; ; k++ {
			inner, err := storage.CreateOn(faulty.NewFS(), "/repo")
			if err != nil {
				t.Fatal(err)
			}
			if err := inner.Put(t.Context(), keyFileName(writerFile, 1, nil), []byte("of an init that was cut off")); err != nil {
				t.Fatal(err)
			}
			st := faulty.Wrap(inner)
			count := st.Changes
			if reads {
				st.FailRead(k, faulty.NotStored)
				count = st.Reads
			} else {
				st.FailChange(k, faulty.NotStored)
			}
			err = Init(t.Context(), st, keys, InitOptions{Created: at})
			if count() <= k {
				break
			}
			if !errors.Is(err, faulty.ErrFailed) {
				t.Errorf("request %d: %v", k, err)
			}
			if err := Init(t.Context(), inner, keys, InitOptions{Created: at}); err != nil {
				t.Errorf("request %d, the next init: %v", k, err)
			}
		}
	}
}

// TestLookupsThatFail: what cannot be looked up, since the catalogue is damaged and the segments cannot be read, is an error and not absent.
func TestLookupsThatFail(t *testing.T) {
	w := newWorld(t, 42)
	nights(w, 3)
	for k := range 3 {
		r := w.open(w.cache)
		for _, path := range w.volumes() {
			if err := os.Truncate(path, 0); err != nil {
				t.Fatal(err)
			}
		}
		st := faulty.Wrap(w.st)
		st.FailRead(k, faulty.NotStored)
		r.st = st
		if _, err := r.Get(t.Context(), Structure, w.ids[0], nil); !errors.Is(err, faulty.ErrFailed) {
			t.Errorf("read %d: %v", k, err)
		}
		if err := os.RemoveAll(w.cache); err != nil {
			t.Fatal(err)
		}
		w.open(w.cache).Close()
	}
	r := w.open("")
	st := faulty.Wrap(w.st)
	st.FailRead(0, faulty.NotStored)
	r.st = st
	if _, err := r.Get(t.Context(), Structure, ID{1, 2, 3}, nil); !errors.Is(err, faulty.ErrFailed) {
		t.Errorf("a blob that may have been added since: %v", err)
	}
	if _, err := r.Get(t.Context(), Structure, ID{1, 2, 3}, nil); !errors.Is(err, ErrNotFound) {
		t.Errorf("a blob that is nowhere: %v", err)
	}
}

// TestBlobOfAnotherID: bytes that were sealed under an ID which is not theirs.
func TestBlobOfAnotherID(t *testing.T) {
	w := newWorld(t, 43)
	r := w.writer
	id := r.keys.blobID(Structure, []byte("right"))
	sealed := sealBlob(nil, r.keys.blobs, id, nil, r.codec.encode(nil, []byte("wrong"), pixel.Layout{}))
	if _, err := r.openEntry(Structure, id, 5, r.keys.blobs, sealed, nil); !errors.Is(err, ErrCorrupt) {
		t.Errorf("it opens: %v", err)
	}
}

// TestCheckOfNonsense: a check needs the recovery key for data, and names segments that are sealed and make no sense, and packs that are not what
// their name says.
func TestCheckOfNonsense(t *testing.T) {
	w := newWorld(t, 44)
	if _, err := w.writer.Check(t.Context(), CheckOptions{ReadData: All()}, noProgress{}); !errors.Is(err, ErrNeedKey) {
		t.Errorf("data without a key: %v", err)
	}
	if err := w.writer.PutObject(t.Context(), KindSegment, "segments/nonsense", []byte("nonsense")); err != nil {
		t.Fatal(err)
	}
	report, err := w.writer.Check(t.Context(), CheckOptions{}, noProgress{})
	if err != nil || !report.Damaged() {
		t.Errorf("a segment that makes no sense: %+v, %v", report, err)
	}
}

// noProgress listens to nothing.
type noProgress struct{}

func (noProgress) Add(int64, int64) {}

// TestVolumeGoneBeforeCommit: a volume that somebody has deleted is not named.
func TestVolumeGoneBeforeCommit(t *testing.T) {
	w := newWorld(t, 45)
	c := newCollection(w.cache)
	c.add("segments/y", []packRecord{w.pack(3, w.epoch())}, nil)
	if err := c.merge(nil); err != nil {
		t.Fatal(err)
	}
	defer c.close()
	if err := os.Remove(c.volumes[0].path); err != nil {
		t.Fatal(err)
	}
	cat := &catalogue{filepath.Dir(c.volumes[0].path), w.keys.Writer.Repository}
	cat.remove()
	if err := cat.commit(c); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it is committed: %v", err)
	}
	c.volumes[0].listed.Store(false)
	if err := c.volumes[0].file.Close(); err != nil {
		t.Fatal(err)
	}
	if err := cat.commit(c); !errors.Is(err, os.ErrClosed) {
		t.Errorf("a volume that cannot be synced: %v", err)
	}
	if _, err := c.volumes[0].pack(0); !errors.Is(err, errDerived) {
		t.Errorf("a volume that cannot be read: %v", err)
	}
}

// TestWalksThatEnd: an error of who is told ends a walk, at a pack and at a blob.
func TestWalksThatEnd(t *testing.T) {
	w := newWorld(t, 46)
	nights(w, 3)
	r := w.open(w.cache)
	for name, ends := range map[string]endingWalker{"pack": {atPack: true}, "blob": {}} {
		if err := r.blobs.walk(ends); !errors.Is(err, errEnd) {
			t.Errorf("at a %s: %v", name, err)
		}
	}
}

var errEnd = errors.New("enough")

type endingWalker struct{ atPack bool }

func (e endingWalker) pack(packCell) error {
	if e.atPack {
		return errEnd
	}
	return nil
}

func (endingWalker) blob(entry) error { return errEnd }

package repo_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/orthokeep/orthokeep/chunk/pixel"
	"github.com/orthokeep/orthokeep/repo"
	"github.com/orthokeep/orthokeep/repo/storage"
)

var now = time.Date(2026, 11, 23, 2, 0, 0, 0, time.UTC)

// made is a repository under test.
type made struct {
	dir, cache string
	st         storage.Storage
	keys       repo.Keys
}

func makeRepo(t testing.TB, passphrase string) *made {
	t.Helper()
	m := &made{dir: filepath.Join(t.TempDir(), "repo"), cache: t.TempDir()}
	var err error
	if m.st, err = storage.Create(m.dir); err != nil {
		t.Fatal(err)
	}
	if m.keys, err = repo.NewKeys(); err != nil {
		t.Fatal(err)
	}
	if err := repo.Init(t.Context(), m.st, m.keys, repo.InitOptions{Passphrase: passphrase, PackSize: 64 << 10, Created: now}); err != nil {
		t.Fatal(err)
	}
	return m
}

func (m *made) open(t testing.TB, with repo.Credentials) *repo.Repository {
	t.Helper()
	r, err := repo.Open(t.Context(), m.st, with, m.cache)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (m *made) writer(t testing.TB) *repo.Repository {
	return m.open(t, repo.Credentials{Writer: m.keys.Writer})
}

func (m *made) reader(t testing.TB) *repo.Repository {
	return m.open(t, repo.Credentials{Recovery: m.keys.Recovery})
}

// removeAll deletes the objects with a prefix.
func (m *made) removeAll(t testing.TB, prefix string) {
	t.Helper()
	n := 0
	for o, err := range m.st.List(t.Context(), prefix) {
		if err != nil {
			t.Fatal(err)
		}
		if err := m.st.Delete(t.Context(), o.Name); err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n == 0 {
		t.Fatalf("nothing begins with %s", prefix)
	}
}

// blobs are n runs of bytes of several kinds, the same for the same seed.
func blobs(seed uint64, n int) [][]byte {
	rnd := rand.New(rand.NewPCG(seed, 1))
	out := make([][]byte, n)
	for i := range out {
		b := make([]byte, rnd.IntN(40<<10))
		for k := range b {
			b[k] = byte(rnd.IntN(1 + i%200))
		}
		out[i] = b
	}
	return out
}

func put(t testing.TB, u *repo.Run, class repo.Class, list [][]byte) []repo.ID {
	t.Helper()
	var ids []repo.ID
	for _, b := range list {
		id, _, err := u.Put(t.Context(), class, b, pixel.Layout{})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	return ids
}

func begin(t testing.TB, r *repo.Repository) *repo.Run {
	t.Helper()
	u, err := r.Begin(t.Context(), repo.RunInfo{Kind: "backup", Server: "s", Started: now})
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func get(t testing.TB, r *repo.Repository, class repo.Class, ids []repo.ID, want [][]byte) {
	t.Helper()
	for i, id := range ids {
		got, err := r.Get(t.Context(), class, id, nil)
		if err != nil {
			t.Fatalf("blob %d: %v", i, err)
		}
		if !bytes.Equal(got, want[i]) {
			t.Fatalf("blob %d is not what was put", i)
		}
	}
}

func TestPutAndGet(t *testing.T) {
	m := makeRepo(t, "")
	r := m.writer(t)
	u := begin(t, r)
	content, structure := blobs(1, 60), blobs(2, 20)
	ids, sids := put(t, u, repo.Content, content), put(t, u, repo.Structure, structure)
	if err := u.Publish(t.Context(), repo.StampedName(now), []byte("{}")); err != nil {
		t.Fatal(err)
	}
	if err := u.End(t.Context(), repo.Published, now); err != nil {
		t.Fatal(err)
	}

	get(t, m.reader(t), repo.Content, ids, content)
	get(t, m.writer(t), repo.Structure, sids, structure)
	if _, err := m.writer(t).Get(t.Context(), repo.Content, ids[0], nil); !errors.Is(err, repo.ErrNeedKey) {
		t.Errorf("reading content with the writer key alone: %v", err)
	}
	if _, err := m.reader(t).Get(t.Context(), repo.Content, repo.ID{1}, nil); !errors.Is(err, repo.ErrNotFound) {
		t.Errorf("reading a blob that was never put: %v", err)
	}
}

func TestSecondRunStoresNothingTwice(t *testing.T) {
	m := makeRepo(t, "")
	list := blobs(3, 80)
	first := begin(t, m.writer(t))
	put(t, first, repo.Content, list)
	if err := first.Checkpoint(t.Context()); err != nil { // and then the run is cut off
		t.Fatal(err)
	}
	second := begin(t, m.writer(t))
	for i, b := range list {
		if _, isNew, err := second.Put(t.Context(), repo.Content, b, pixel.Layout{}); err != nil || isNew {
			t.Fatalf("blob %d: new %v, %v", i, isNew, err)
		}
	}
	if err := second.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	if second.BytesAdded() != 0 {
		t.Errorf("the second run wrote %d bytes of packs", second.BytesAdded())
	}
}

func TestPackWithoutEpochKeyIsNotReliedOn(t *testing.T) {
	m := makeRepo(t, "")
	list := blobs(4, 5)
	first := begin(t, m.writer(t))
	put(t, first, repo.Content, list)
	if err := first.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	m.removeAll(t, "epochs/")
	second := begin(t, m.writer(t))
	if _, isNew, err := second.Put(t.Context(), repo.Content, list[0], pixel.Layout{}); err != nil || !isNew {
		t.Errorf("a blob whose key is lost counts as stored: new %v, %v", isNew, err)
	}
}

func TestSecondCopyOfTheEpochKey(t *testing.T) {
	m := makeRepo(t, "")
	list := blobs(5, 5)
	u := begin(t, m.writer(t))
	ids := put(t, u, repo.Content, list)
	if err := u.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	m.removeAll(t, "epochs/a/")
	get(t, m.reader(t), repo.Content, ids, list)
}

func TestCatalogueIsDerived(t *testing.T) {
	m := makeRepo(t, "")
	list := blobs(6, 40)
	u := begin(t, m.writer(t))
	ids := put(t, u, repo.Content, list)
	if err := u.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	m.writer(t)
	path := filepath.Join(m.cache, "index.bolt")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal("no catalogue was made:", err)
	}
	flipped := bytes.Clone(whole)
	for i := 8192; i < len(flipped); i += 97 {
		flipped[i] ^= 0x10
	}
	for _, c := range []struct {
		name string
		data []byte
	}{{"missing", nil}, {"junk", bytes.Repeat([]byte("junk"), 9999)}, {"empty", []byte{}}, {"cut short", whole[:len(whole)/2]}, {"flipped bits", flipped}, {"one page", whole[:4096]}} {
		t.Run(c.name, func(t *testing.T) {
			_ = os.Remove(path)
			if c.data != nil {
				if err := os.WriteFile(path, c.data, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			get(t, m.reader(t), repo.Content, ids, list)
			get(t, m.reader(t), repo.Content, ids, list) // from what the first one made
		})
	}
}

func TestWrongKeys(t *testing.T) {
	m, other := makeRepo(t, ""), makeRepo(t, "")
	foreign := *other.keys.Writer
	foreign.Repository = m.keys.Writer.Repository // as if the ID had been edited in
	for name, with := range map[string]repo.Credentials{
		"another repository's writer key":   {Writer: other.keys.Writer},
		"another repository's recovery key": {Recovery: other.keys.Recovery},
		"no key":                            {},
	} {
		if _, err := repo.Open(t.Context(), m.st, with, ""); !errors.Is(err, repo.ErrWrongKey) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := repo.Open(t.Context(), m.st, repo.Credentials{Writer: &foreign}, ""); !errors.Is(err, repo.ErrCorrupt) {
		t.Errorf("a writer key with other secrets: %v", err)
	}
}

func TestForgedRecipientsAreRefused(t *testing.T) {
	m := makeRepo(t, "")
	evil, err := repo.NewKeys()
	if err != nil {
		t.Fatal(err)
	}
	forged := fmt.Sprintf(`{"version":1,"recipients":[{"name":"recovery","key":%q}],"mac":"%064d"}`, evil.Recovery.Recipient().String(), 0)
	if err := m.st.Put(context.Background(), repo.KeyFileName("recipients", 2, []byte(forged)), []byte(forged)); err != nil {
		t.Fatal(err)
	}
	if _, err := repo.Open(t.Context(), m.st, repo.Credentials{Writer: m.keys.Writer}, ""); !errors.Is(err, repo.ErrCorrupt) {
		t.Errorf("a list of recipients that no writer made: %v", err)
	}
}

// TestForgedWriterKeyIsRefused: who can write to the storage encrypts a writer key of his own to the recipients, who are public, and makes a
// list of recipients with it.
func TestForgedWriterKeyIsRefused(t *testing.T) {
	m := makeRepo(t, "")
	evil, err := repo.NewKeys()
	if err != nil {
		t.Fatal(err)
	}
	evil.Writer.Repository = m.keys.Writer.Repository
	for what, by := range map[string]repo.Keys{"his own recovery key's": evil, "nobody's": {}} {
		name, data, err := repo.StoredWriter(evil.Writer, by.Recovery, m.keys.Recovery.Recipient())
		if err != nil {
			t.Fatal(err)
		}
		if err := m.st.Put(t.Context(), name, data); err != nil {
			t.Fatal(err)
		}
		if _, err := repo.Open(t.Context(), m.st, repo.Credentials{Recovery: m.keys.Recovery}, ""); !errors.Is(err, repo.ErrCorrupt) {
			t.Errorf("a writer key with %s line is taken: %v", what, err)
		}
		if err := m.st.Delete(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := repo.Open(t.Context(), m.st, repo.Credentials{Recovery: m.keys.Recovery}, ""); err != nil {
		t.Error(err)
	}
}

func TestInit(t *testing.T) {
	m := makeRepo(t, "")
	if err := repo.Init(t.Context(), m.st, m.keys, repo.InitOptions{Created: now}); !errors.Is(err, repo.ErrExists) {
		t.Errorf("a second init: %v", err)
	}
	if err := os.Remove(filepath.Join(m.dir, "config")); err != nil { // as after an init that was cut off
		t.Fatal(err)
	}
	if _, err := repo.ReadConfig(t.Context(), m.st); !errors.Is(err, repo.ErrNoRepo) {
		t.Errorf("without a config: %v", err)
	}
	again, err := repo.NewKeys()
	if err != nil {
		t.Fatal(err)
	}
	if err := repo.Init(t.Context(), m.st, again, repo.InitOptions{Created: now}); err != nil {
		t.Errorf("an init after one that was cut off: %v", err)
	}
	if err := m.st.Delete(t.Context(), "config"); err != nil {
		t.Fatal(err)
	}
	if err := m.st.Put(t.Context(), "packs/aa/something", []byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := repo.Init(t.Context(), m.st, again, repo.InitOptions{Created: now}); !errors.Is(err, repo.ErrExists) {
		t.Errorf("an init over packs without a config: %v", err)
	}
}

func TestPassphrase(t *testing.T) {
	repo.LowerScryptWork(t)
	m := makeRepo(t, "correct horse")
	if _, err := repo.UnlockRecoveryKey(t.Context(), m.st, "wrong"); !errors.Is(err, repo.ErrWrongKey) {
		t.Errorf("a wrong passphrase: %v", err)
	}
	id, err := repo.UnlockRecoveryKey(t.Context(), m.st, "correct horse")
	if err != nil || id.String() != m.keys.Recovery.String() {
		t.Errorf("the right passphrase: %v", err)
	}
	bare := makeRepo(t, "")
	if _, err := repo.UnlockRecoveryKey(t.Context(), bare.st, "any"); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("a repository that keeps no recovery key: %v", err)
	}
}

func TestNewerConfigIsNotDamage(t *testing.T) {
	m := makeRepo(t, "")
	if err := m.st.Delete(t.Context(), "config"); err != nil {
		t.Fatal(err)
	}
	if err := m.st.Put(t.Context(), "config", []byte(`{"format":"orthokeep repository","version":99,"later":true}`)); err != nil {
		t.Fatal(err)
	}
	if _, err := repo.Open(t.Context(), m.st, repo.Credentials{Writer: m.keys.Writer}, ""); !errors.Is(err, repo.ErrUnsupported) || errors.Is(err, repo.ErrCorrupt) {
		t.Errorf("a newer repository: %v", err)
	}
}

func TestReadBackFindsAPackThatWasWrittenBadly(t *testing.T) {
	m := makeRepo(t, "")
	u := begin(t, m.writer(t))
	put(t, u, repo.Content, blobs(8, 20))
	if err := u.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := u.ReadBack(t.Context(), 100, 1); err != nil {
		t.Fatal(err)
	}
	for o, err := range m.st.List(t.Context(), "packs/") {
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(m.dir, o.Name)
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		data[len(data)/2] ^= 1
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := u.ReadBack(t.Context(), 100, 1); !errors.Is(err, repo.ErrCorrupt) {
		t.Errorf("packs with a flipped bit: %v", err)
	}
}

package snapshot

import (
	"bytes"
	"cmp"
	"context"
	"crypto/md5"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/orthokeep/orthokeep/chunk/dicomtest"
	"github.com/orthokeep/orthokeep/repo"
	"github.com/orthokeep/orthokeep/repo/storage"
)

var now = time.Date(2026, 11, 23, 2, 0, 0, 0, time.UTC)

// world is a server in memory and the repository that it is backed up to.
type world struct {
	t       testing.TB
	st      storage.Storage
	keys    repo.Keys
	cache   string
	files   map[UUID][]byte
	list    []Attachment
	index   []byte // a file of 4096-byte pages
	nights  int
	opened  atomic.Int64 // attachments read
	nextID  int64
	server  string
	parity  int // of the repository, in percent
	rnd     *rand.Rand
	damaged map[UUID]bool                                // read as other bytes than the index states
	more    func(context.Context, *Session, *Root) error // stores more before a snapshot is published
	lie     []UUID                                       // of which the manifest states another MD5
	area    Area                                         // that is read in its place; nil: the server itself
	ctx     context.Context                              // of backups and prunes; nil: the test's
}

func (w *world) context() context.Context {
	if w.ctx != nil {
		return w.ctx
	}
	return w.t.Context()
}

func newWorld(t testing.TB) *world {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "repo")
	st, err := storage.Create(dir)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := repo.NewKeys()
	if err != nil {
		t.Fatal(err)
	}
	w := newServer(t, st, keys)
	if err := w.init(); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) init() error {
	return repo.Init(w.t.Context(), w.st, w.keys, repo.InitOptions{PackSize: 1 << 20, Created: now, Parity: w.parity})
}

// newServer returns an empty server, to be backed up to a storage without a repository yet.
func newServer(t testing.TB, st storage.Storage, keys repo.Keys) *world {
	w := &world{t: t, st: st, keys: keys, cache: memoryDir(t), files: map[UUID][]byte{}, rnd: rand.New(rand.NewPCG(7, 7)), damaged: map[UUID]bool{}, server: "s"}
	w.index = make([]byte, 64*4096)
	copy(w.index, sqliteMagic)
	binary.BigEndian.PutUint16(w.index[16:], 4096)
	return w
}

// memoryDir is a temporary folder, in memory where the system has such a place: what lies there is derived, and syncing it is
// most of the time that these tests would take.
func memoryDir(t testing.TB) string {
	dir, err := os.MkdirTemp(memoryFolder(), "orthokeep")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// memoryFolder is a folder in memory where the system has one, else that of temporary files.
func memoryFolder() string {
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() {
		return "/dev/shm"
	}
	return os.TempDir()
}

// add gives the server n attachments of about size bytes.
func (w *world) add(n, size int) {
	for range n {
		data := make([]byte, size/2+w.rnd.IntN(size))
		for i := range data {
			data[i] = byte(w.rnd.IntN(40))
		}
		w.addFile(data)
	}
}

// addFile gives the server one attachment.
func (w *world) addFile(data []byte) {
	var u UUID
	for i := range u {
		u[i] = byte(w.rnd.Uint32())
	}
	w.files[u] = data
	w.nextID++
	w.list = append(w.list, Attachment{ID: w.nextID, FileType: 1, UUID: u, Size: int64(len(data)), Uncompressed: int64(len(data)), Compression: 1, MD5: md5.Sum(data), HasMD5: w.nextID%5 != 0})
	w.touch(3)
}

// remove deletes attachment i.
func (w *world) remove(i int) {
	delete(w.files, w.list[i].UUID)
	w.list = slices.Delete(w.list, i, i+1)
	w.touch(2)
}

// touch changes pages of the index.
func (w *world) touch(n int) {
	for range n {
		w.index[4096+w.rnd.IntN(len(w.index)-4096)] ^= 0x55
	}
}

type memFile struct {
	*bytes.Reader
}

func (memFile) Close() error { return nil }

func (w *world) Open(u UUID) (File, error) {
	data, ok := w.files[u]
	if !ok {
		return nil, fmt.Errorf("%s: %w", u, ErrVanished)
	}
	w.opened.Add(1)
	if w.damaged[u] {
		data = append(bytes.Clone(data[:len(data)-1]), data[len(data)-1]^1)
	}
	return memFile{bytes.NewReader(data)}, nil
}

func (w *world) attachments() iter.Seq2[Attachment, error] {
	return func(yield func(Attachment, error) bool) {
		for _, a := range w.list {
			if !yield(a, nil) {
				return
			}
		}
	}
}

func (w *world) repo(with repo.Credentials) *repo.Repository {
	w.t.Helper()
	r, err := repo.Open(w.t.Context(), w.st, with, w.cache)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

func (w *world) writer() *repo.Repository { return w.repo(repo.Credentials{Writer: w.keys.Writer}) }
func (w *world) reader() *repo.Repository { return w.repo(repo.Credentials{Recovery: w.keys.Recovery}) }

// backup takes one snapshot.
func (w *world) backup() (*Root, error) {
	w.t.Helper()
	j, err := OpenJournal(filepath.Join(w.cache, "s.state"))
	if err != nil {
		return nil, err
	}
	defer j.Close()
	return w.backupWith(j)
}

// backupWith takes one snapshot with a journal that is open.
func (w *world) backupWith(j *Journal) (*Root, error) {
	w.t.Helper()
	ctx := w.context()
	w.nights++
	at := now.AddDate(0, 0, w.nights)
	r, err := repo.Open(ctx, w.st, repo.Credentials{Writer: w.keys.Writer}, w.cache)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	s, err := Begin(ctx, r, j, w.server, "h", at, NoProgress{})
	if err != nil {
		return nil, err
	}
	root, err := w.fill(ctx, s, at)
	if err := errors.Join(err, s.End(ctx, err == nil, at)); err != nil {
		return nil, err
	}
	return root, nil
}

func (w *world) fill(ctx context.Context, s *Session, at time.Time) (*Root, error) {
	var d Difference
	if _, err := s.Store(ctx, cmp.Or[Area](w.area, w), s.Missing(ctx, w.attachments(), &d)); err != nil {
		return nil, err
	}
	for _, u := range w.lie {
		e, ok := s.journal.get(u)
		if !ok {
			return nil, fmt.Errorf("attachment %s is not in the journal", u)
		}
		e.MD5[0] ^= 1
		if err := s.journal.commit(nil, []Entry{e}); err != nil {
			return nil, err
		}
	}
	root := &Root{Time: at, Host: "h", Counts: Counts{Attachments: d.Attachments, Bytes: d.Bytes}}
	var err error
	if root.Manifest, err = s.StoreManifest(ctx, w.attachments(), d); err != nil {
		return nil, err
	}
	path := filepath.Join(w.cache, "index")
	if err := os.WriteFile(path, w.index, 0o600); err != nil {
		return nil, err
	}
	if root.Index, _, err = s.StoreIndex(ctx, path); err != nil {
		return nil, err
	}
	offset, size, err := s.StoreContent(ctx, bytes.NewReader([]byte("{}")))
	if err != nil {
		return nil, err
	}
	if root.Files, err = s.StoreFiles(ctx, Files{Files: []ExtraFile{{Path: "/etc/orthanc/orthanc.json", Offset: offset, Size: size}}}); err != nil {
		return nil, err
	}
	if w.more != nil {
		if err := w.more(ctx, s, root); err != nil {
			return nil, err
		}
	}
	return root, s.Publish(ctx, root)
}

func (w *world) mustBackup() *Root {
	w.t.Helper()
	root, err := w.backup()
	if err != nil {
		w.t.Fatal(err)
	}
	return root
}

// state is what a restore must give back.
type state struct {
	root  *Root
	files map[UUID][]byte
	index []byte
}

func (w *world) state(root *Root) state {
	files := map[UUID][]byte{}
	for u, b := range w.files {
		files[u] = b
	}
	return state{root, files, bytes.Clone(w.index)}
}

func (w *world) verify(s state) {
	w.t.Helper()
	if err := restores(w.t.Context(), w.reader(), s); err != nil {
		w.t.Fatal(err)
	}
}

// restores restores a snapshot and says what differs from what it was taken of.
func restores(ctx context.Context, r *repo.Repository, s state) error {
	dir, err := os.MkdirTemp(memoryFolder(), "orthokeep")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	root, err := ReadRoot(ctx, r, s.root.Name())
	if err != nil {
		return err
	}
	res, err := RestoreAttachments(ctx, r, root, Destination{Dir: dir, Place: UUID.String, Mode: 0o600}, NoProgress{})
	if err != nil {
		return err
	}
	if res.Attachments != int64(len(s.files)) {
		return fmt.Errorf("restored %d attachments, the server had %d", res.Attachments, len(s.files))
	}
	for u, want := range s.files {
		if got, err := os.ReadFile(filepath.Join(dir, u.String())); err != nil || !bytes.Equal(got, want) {
			return fmt.Errorf("attachment %s differs (%v)", u, err)
		}
	}
	if err := RestoreIndex(ctx, r, root, filepath.Join(dir, "index")); err != nil {
		return err
	}
	if got, err := os.ReadFile(filepath.Join(dir, "index")); err != nil || !bytes.Equal(got, s.index) {
		return fmt.Errorf("index differs (%v)", err)
	}
	files, err := ReadFiles(ctx, r, root)
	if err != nil || len(files.Files) != 1 {
		return fmt.Errorf("%d extra files: %w", len(files.Files), err)
	}
	if b, err := io.ReadAll(OpenContent(ctx, r, root, files.Files[0])); err != nil || string(b) != "{}" {
		return fmt.Errorf("extra file: %q, %w", b, err)
	}
	return nil
}

func TestManyNights(t *testing.T) {
	w := newWorld(t)
	w.add(400, 1500)
	w.add(4, 700_000)
	var states []state
	for night := range 12 {
		states = append(states, w.state(w.mustBackup()))
		w.add(5+night*20, 4000)
		for range 4 {
			w.remove(w.rnd.IntN(len(w.list)))
		}
	}
	layers := map[int]bool{}
	for _, s := range states {
		w.verify(s)
		layers[len(s.root.Manifest.Layers)] = true
	}
	if !layers[1] || !layers[2] {
		t.Errorf("the nights had manifests of %v layers: no base or no delta was tried", layers)
	}
	roots, err := Roots(t.Context(), w.writer())
	if err != nil || len(roots) != len(states) {
		t.Fatalf("%d snapshots, %v", len(roots), err)
	}
	for i, r := range roots[1:] {
		if r.Previous != roots[i].hash || r.Counter != roots[i].Counter+1 {
			t.Errorf("snapshot %d does not follow the one before", i+1)
		}
	}
	problems, err := Check(t.Context(), w.writer(), roots)
	if err != nil || len(problems) > 0 {
		t.Errorf("check: %v %v", problems, err)
	}
}

func TestUnchangedServerReadsNothing(t *testing.T) {
	w := newWorld(t)
	w.add(300, 2000)
	first := w.mustBackup()
	w.opened.Store(0)
	second := w.mustBackup()
	if w.opened.Load() != 0 {
		t.Errorf("%d attachments were read again", w.opened.Load())
	}
	if second.Added.Bytes > 1500 {
		t.Errorf("%d bytes were added for a server that had not changed", second.Added.Bytes)
	}
	if len(second.Manifest.Layers) != len(first.Manifest.Layers) || len(second.Index.Layers) != 1 {
		t.Error("layers were added")
	}
	w.verify(w.state(second))
}

func TestInterruptedRunIsContinued(t *testing.T) {
	w := newWorld(t)
	w.add(400, 3000)
	j, err := OpenJournal(filepath.Join(w.cache, "s.state"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := Begin(t.Context(), w.writer(), j, "s", "h", now, NoProgress{})
	if err != nil {
		t.Fatal(err)
	}
	var d Difference
	if _, err := s.Store(t.Context(), w, s.Missing(t.Context(), w.attachments(), &d)); err != nil {
		t.Fatal(err)
	}
	run := s.Run()
	if err := j.Close(); err != nil { // the process dies here
		t.Fatal(err)
	}
	w.opened.Store(0)
	w.verify(w.state(w.mustBackup()))
	if w.opened.Load() != 0 {
		t.Errorf("%d attachments were read again after the interruption", w.opened.Load())
	}
	if _, err := w.st.Size(t.Context(), "runs/"+run+".end"); err != nil {
		t.Errorf("the run that was cut off was not ended: %v", err)
	}
}

// cancelling is a list that ends its context after n items.
func cancelling(list iter.Seq2[UUID, error], n int, cancel func()) iter.Seq2[UUID, error] {
	return func(yield func(UUID, error) bool) {
		for u, err := range list {
			if n--; n == 0 {
				cancel()
			}
			if !yield(u, err) {
				return
			}
		}
	}
}

func TestCancelledStoreKeepsWhatItRead(t *testing.T) {
	w := newWorld(t)
	w.add(800, 3000)
	j, err := OpenJournal(filepath.Join(w.cache, "s.state"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := Begin(t.Context(), w.writer(), j, "s", "h", now, NoProgress{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var d Difference
	if _, err := s.Store(ctx, w, cancelling(s.Missing(ctx, w.attachments(), &d), 600, cancel)); !errors.Is(err, context.Canceled) {
		t.Fatalf("a cancelled context: %v", err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	w.opened.Store(0)
	w.verify(w.state(w.mustBackup()))
	if n := w.opened.Load(); n > 200+8*md5Lanes*int64(runtime.GOMAXPROCS(0)) { // what was under way, in batches, is lost
		t.Errorf("%d of 800 attachments were read again, though about 600 had been read", n)
	}
}

func TestJournalOfLostBlobsIsForgotten(t *testing.T) {
	w := newWorld(t)
	w.add(100, 3000)
	j, err := OpenJournal(filepath.Join(w.cache, "s.state"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := Begin(t.Context(), w.writer(), j, "s", "h", now, NoProgress{})
	if err != nil {
		t.Fatal(err)
	}
	var d Difference
	if _, err := s.Store(t.Context(), w, s.Missing(t.Context(), w.attachments(), &d)); err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	for o, err := range w.st.List(t.Context(), "segments/") { // as if a repair had taken the packs out of use
		if err != nil {
			t.Fatal(err)
		}
		if err := w.st.Delete(t.Context(), o.Name); err != nil {
			t.Fatal(err)
		}
	}
	w.verify(w.state(w.mustBackup()))
}

// TestLargeAttachments stores files that are read in pieces: an image of many chunks, a file that is no DICOM, and a copy of
// the image with another header.
func TestLargeAttachments(t *testing.T) {
	w := newWorld(t)
	for i := range dicomtest.Study(dicomtest.Config{Seed: 4, Kind: dicomtest.CR}) {
		w.addFile(i.Data)
		w.addFile(bytes.Repeat([]byte("no image "), 900_000))
		first := w.mustBackup()
		w.verify(w.state(first))
		w.addFile(i.Modify(1).Data)
		second := w.mustBackup()
		w.verify(w.state(second))
		if added := second.Added.Bytes; added > first.Added.Bytes/20 {
			t.Errorf("a copy with another header added %d bytes, the first backup %d", added, first.Added.Bytes)
		}
	}
}

func TestSecondBackupIsLockedOut(t *testing.T) {
	w := newWorld(t)
	j, err := OpenJournal(filepath.Join(w.cache, "s.state"))
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	if _, err := w.backup(); !errors.Is(err, ErrLocked) {
		t.Errorf("a second backup of the same server: %v", err)
	}
}

func TestNothingIsPublishedThatDiffersFromTheIndex(t *testing.T) {
	w := newWorld(t)
	w.add(50, 3000)
	w.damaged[w.list[17].UUID] = true // its MD5 is stated
	if _, err := w.backup(); !errors.Is(err, ErrInconsistent) {
		t.Fatalf("an attachment with another MD5 than the index states: %v", err)
	}
	if roots, err := Roots(t.Context(), w.writer()); err != nil || len(roots) != 0 {
		t.Fatalf("%d snapshots were published, %v", len(roots), err)
	}
	w.damaged = map[UUID]bool{}
	w.verify(w.state(w.mustBackup()))
	delete(w.files, w.list[3].UUID)
	w.add(1, 1000)
	delete(w.files, w.list[len(w.list)-1].UUID)
	if _, err := w.backup(); !errors.Is(err, ErrInconsistent) {
		t.Fatalf("an attachment that is not in the storage area: %v", err)
	}
}

func TestRolledBackRepositoryIsNoticed(t *testing.T) {
	w := newWorld(t)
	w.add(20, 1000)
	w.mustBackup()
	last := w.mustBackup()
	if err := w.st.Delete(t.Context(), "snapshots/"+last.Name()); err != nil {
		t.Fatal(err)
	}
	if _, err := w.backup(); !errors.Is(err, ErrRolledBack) {
		t.Errorf("the newest snapshot is gone: %v", err)
	}
}

func TestResolve(t *testing.T) {
	var roots []*Root
	for i, id := range []string{"aa11", "aa22", "bb33"} {
		r := &Root{ID: id, Server: "s", Time: now.AddDate(0, 0, i)}
		r.name = "n-" + id
		roots = append(roots, r)
	}
	for _, c := range []struct {
		what, want string
		err        error
	}{
		{"latest", "bb33", nil}, {"bb", "bb33", nil}, {"aa2", "aa22", nil}, {"aa", "", ErrAmbiguous}, {"cc", "", ErrNoSnapshot},
		{"n-aa11", "aa11", nil}, {"2026-11-24T01:59:59Z", "aa11", nil}, {"2026-11-24", "aa22", nil}, {"2026-11-24 02:00", "aa22", nil}, {"2026-11-22", "", ErrNoSnapshot}, {"", "", ErrNoSnapshot},
	} {
		got, err := Resolve(roots, c.what, "", time.UTC)
		if !errors.Is(err, c.err) || (err == nil && got.ID != c.want) {
			t.Errorf("%q: %v, %v", c.what, got, err)
		}
	}
}

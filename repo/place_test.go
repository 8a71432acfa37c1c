package repo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/orthokeep/orthokeep/chunk/pixel"
	"github.com/orthokeep/orthokeep/repo/storage"
	"github.com/orthokeep/orthokeep/repo/storage/faulty"
)

// place is a repository with real packs, and what has to be readable in the end. It can be copied, to have something go wrong in it.
type place struct {
	t     testing.TB
	rnd   *rand.Rand
	disk  *faulty.FS
	st    storage.Storage
	keys  Keys
	cache string
	must  map[ID]keptBlob
	over  []string // objects that nobody needs
	now   time.Time
}

type keptBlob struct {
	class Class
	plain []byte
}

func newPlace(t testing.TB, parity int) *place {
	t.Helper()
	p := &place{t: t, rnd: rand.New(rand.NewPCG(1, 8)), disk: faulty.NewFS(), must: map[ID]keptBlob{}, now: at}
	keys, err := NewKeys()
	if err != nil {
		t.Fatal(err)
	}
	p.keys, p.st, p.cache = keys, onDisk(t, p.disk), tempFolder(t)
	if err := Init(t.Context(), p.st, keys, InitOptions{PackSize: minPackSize, Parity: parity, Created: at}); err != nil {
		t.Fatal(err)
	}
	return p
}

// later is the time of the next run.
func (p *place) later() time.Time {
	p.now = p.now.Add(time.Hour)
	return p.now
}

func onDisk(t testing.TB, disk *faulty.FS) storage.Storage {
	t.Helper()
	st, err := storage.CreateOn(disk, "/repo")
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// copy returns the same again on a disk and with a cache of its own; its owner calls discard.
func (p *place) copy() *place {
	p.t.Helper()
	q := *p
	q.disk = p.disk.Crash(1)
	q.st, q.must, q.cache = onDisk(p.t, q.disk), maps.Clone(p.must), tempFolder(p.t)
	if err := os.CopyFS(q.cache, os.DirFS(p.cache)); err != nil {
		p.t.Fatal(err)
	}
	return &q
}

func (p *place) discard() { _ = os.RemoveAll(p.cache) }

// open opens it leniently, as check and repair do, with the recovery key.
func (p *place) open(ctx context.Context) (*Repository, error) {
	return OpenDamaged(ctx, p.st, Credentials{Recovery: p.keys.Recovery}, p.cache)
}

func (p *place) mustOpen() *Repository {
	p.t.Helper()
	r, err := p.open(p.t.Context())
	if err != nil {
		p.t.Fatal(err)
	}
	return r
}

// store stores blobs of 20 KB of a class in a run of its own: three or four fill a pack.
func (p *place) store(class Class, n int) (ids []ID) {
	p.t.Helper()
	r := p.mustOpen()
	defer r.Close()
	run, err := r.Begin(p.t.Context(), RunInfo{Kind: "backup", Started: at})
	for range n {
		plain := make([]byte, 20_000)
		for i := range plain {
			plain[i] = byte(p.rnd.Uint32())
		}
		var id ID
		if err == nil {
			id, _, err = run.Put(p.t.Context(), class, plain, pixel.Layout{})
		}
		p.must[id], ids = keptBlob{class, plain}, append(ids, id)
	}
	if err == nil {
		err = errors.Join(run.Checkpoint(p.t.Context()), run.End(p.t.Context(), Published, at))
	}
	if err != nil {
		p.t.Fatal(err)
	}
	return ids
}

// names are those of the objects below a prefix, in order.
func (p *place) names(prefix string) (names []string) {
	p.t.Helper()
	for o, err := range p.st.List(p.t.Context(), prefix) {
		if err != nil {
			p.t.Fatal(err)
		}
		names = append(names, o.Name)
	}
	if len(names) == 0 {
		p.t.Fatalf("there is nothing below %s", prefix)
	}
	return names
}

// spoil puts something else in the place of an object, or nothing.
func (p *place) spoil(name string, change func([]byte) []byte) {
	p.t.Helper()
	raw, err := p.st.Get(p.t.Context(), name, maxObject)
	if err == nil {
		if raw = change(raw); raw == nil {
			err = p.st.Delete(p.t.Context(), name)
		} else {
			err = p.st.Replace(p.t.Context(), name, raw)
		}
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

func turned(b []byte) []byte { b[len(b)/2] ^= 8; return b }

func removed([]byte) []byte { return nil }

func cutOff(b []byte) []byte { return b[:len(b)-100] }

// packOf is the pack that a blob lies in, and where.
func (p *place) packOf(id ID) (name string, at int) {
	p.t.Helper()
	r := p.mustOpen()
	defer r.Close()
	copies, err := r.copies(p.t.Context(), id)
	if err != nil || len(copies) != 1 {
		p.t.Fatalf("%d copies, %v", len(copies), err)
	}
	return copies[0].in.id.object(), int(copies[0].offset)
}

// lose damages a blob, and no other.
func (p *place) lose(id ID) {
	p.t.Helper()
	name, at := p.packOf(id)
	p.spoil(name, func(b []byte) []byte { b[at+1000] ^= 1; return b })
	delete(p.must, id)
}

// losePack removes the pack of a blob.
func (p *place) losePack(id ID) {
	p.t.Helper()
	name, _ := p.packOf(id)
	for other := range maps.Clone(p.must) {
		if of, _ := p.packOf(other); of == name {
			delete(p.must, other)
		}
	}
	p.spoil(name, removed)
}

// readable says whether all that must be readable is.
func (p *place) readable() error {
	r, err := p.open(p.t.Context())
	if err != nil {
		return err
	}
	defer r.Close()
	for id, b := range p.must {
		if got, err := r.Get(p.t.Context(), b.class, id, nil); err != nil || !bytes.Equal(got, b.plain) {
			return fmt.Errorf("%s blob %.8s: %w", b.class, id, errors.Join(err, errors.New("it cannot be read any more")))
		}
	}
	return nil
}

// sound says whether all that must be readable is, nothing is damaged any more, and nothing is under way.
func (p *place) sound() error {
	if err := p.readable(); err != nil {
		return err
	}
	r, err := Open(p.t.Context(), p.st, Credentials{Recovery: p.keys.Recovery}, p.cache)
	if err != nil {
		return err
	}
	defer r.Close()
	report, err := r.Check(p.t.Context(), CheckOptions{ReadData: All()}, noProgress{})
	if err != nil {
		return err
	}
	for _, f := range report.Findings {
		if f.Damage {
			return fmt.Errorf("%s: %s", f.Object, f.Detail)
		}
	}
	runs, err := r.Runs(p.t.Context())
	if names := underWay(runs); err == nil && len(names) > 0 {
		err = fmt.Errorf("runs %v are under way", names)
	}
	return err
}

// tempFolder is a temporary folder, in memory where the system has such a place.
func tempFolder(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "orthokeep")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// inOrder are the IDs of all blobs that must be readable.
func (p *place) inOrder() []ID {
	return slices.SortedFunc(maps.Keys(p.must), func(a, b ID) int { return bytes.Compare(a[:], b[:]) })
}

package snapshot

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/orthokeep/orthokeep/repo"
	"github.com/orthokeep/orthokeep/repo/storage"
)

// An interrupter is a storage that cancels a context at one of its requests, counted from 0 on: before it or, when late, when it was answered.
type interrupter struct {
	storage.Storage
	cancel func()
	left   atomic.Int64
	late   bool
}

func interruptAt(st storage.Storage, k int64, late bool, cancel func()) *interrupter {
	x := &interrupter{Storage: st, cancel: cancel, late: late}
	x.left.Store(k)
	return x
}

// request cancels at once, where it is this request's turn, or returns what does so later.
func (x *interrupter) request() (after func()) {
	if x.left.Add(-1) != -1 {
		return func() {}
	}
	if !x.late {
		x.cancel()
	}
	return x.cancel
}

func (x *interrupter) Get(ctx context.Context, name string, limit int64) ([]byte, error) {
	defer x.request()()
	return x.Storage.Get(ctx, name, limit)
}

func (x *interrupter) ReadAt(ctx context.Context, name string, p []byte, off int64) error {
	defer x.request()()
	return x.Storage.ReadAt(ctx, name, p, off)
}

func (x *interrupter) Size(ctx context.Context, name string) (int64, error) {
	defer x.request()()
	return x.Storage.Size(ctx, name)
}

func (x *interrupter) List(ctx context.Context, prefix string) iter.Seq2[storage.Object, error] {
	defer x.request()()
	return x.Storage.List(ctx, prefix)
}

func (x *interrupter) PutNew(ctx context.Context, name string, data []byte) error {
	defer x.request()()
	return x.Storage.PutNew(ctx, name, data)
}

// interrupted runs do with contexts that end at each request, before it and after it, until none does. It has to say that it was interrupted, or
// to end as if it was not.
func interrupted(t *testing.T, name string, st storage.Storage, with repo.Credentials, do func(context.Context, *repo.Repository) error) {
	t.Helper()
	ended := 0
	for _, late := range []bool{false, true} {
		for k := int64(0); ; k += int64(faultStride()) {
			ctx, cancel := context.WithCancel(t.Context())
			x := interruptAt(st, -1, late, cancel)
			r, err := repo.OpenDamaged(t.Context(), x, with, "")
			if err != nil {
				t.Fatal(err)
			}
			x.left.Store(k)
			err = do(ctx, r)
			was := ctx.Err() != nil
			r.Close()
			cancel()
			if was && err != nil {
				ended++
			}
			if err != nil && (!was || !errors.Is(err, context.Canceled)) {
				t.Errorf("%s, interrupted at request %d (%v): %v", name, k, was, err)
			}
			if !was {
				break
			}
		}
	}
	if ended == 0 {
		t.Errorf("%s does not end", name)
	}
}

// TestReadersThatAreInterrupted: at any request, they end with that or with what they return otherwise.
func TestReadersThatAreInterrupted(t *testing.T) {
	tr, _ := toRead(t)
	with := repo.Credentials{Recovery: tr.keys.Recovery}
	for _, reader := range readers {
		r := tr.reader()
		want, err := reader.read(t.Context(), tr, r)
		r.Close()
		if err != nil {
			t.Fatal(err)
		}
		interrupted(t, reader.name, tr.st, with, func(ctx context.Context, r *repo.Repository) error {
			got, err := reader.read(ctx, tr, r)
			if err == nil && got != want {
				t.Errorf("%s returns something else, and no error", reader.name)
			}
			return err
		})
	}
}

// TestChecksOfDamageThatAreInterrupted: what is damaged is not named by half: a check that is interrupted says that, whether the attachments are
// damaged, or a list that is read to find them.
func TestChecksOfDamageThatAreInterrupted(t *testing.T) {
	tr, _ := toRead(t)
	tr.addBulk(1)
	if err := tr.night(1, 0); err != nil {
		t.Fatal(err)
	}
	r := tr.reader()
	defer r.Close()
	bulk := tr.bulkOf(r, tr.must[len(tr.must)-1].root)
	for name, c := range map[string]struct {
		list  int
		spoil func([]byte) []byte
	}{
		"bulk":        {listEntries, func(b []byte) []byte { return bytes.Replace(b, bulk[:], make([]byte, len(bulk)), 1) }},
		"heads":       {listHeads, func(b []byte) []byte { return append(make([]byte, 4), b[4:]...) }},
		"no heads":    {listHeads, func([]byte) []byte { return nil }},
		"blocks":      {listBlocks, flipped},
		"extra files": {listFiles, flipped},
	} {
		root := tr.tampered(r, c.list, c.spoil)
		problems, err := Check(t.Context(), r, []*Root{root})
		if named := name == "bulk" || name == "heads" || name == "no heads"; err != nil || named != (len(problems) > 0) {
			t.Fatalf("%s: a check names %v, %v", name, problems, err)
		}
		_, data, err := CheckData(t.Context(), r, []*Root{tr.must[0].root, root}, repo.All(), NoProgress{})
		if err != nil || len(data) == 0 && name != "blocks" {
			t.Fatalf("%s: a check of the data names %v, %v", name, data, err)
		}
		with := repo.Credentials{Recovery: tr.keys.Recovery}
		interrupted(t, "check of "+name, tr.st, with, func(ctx context.Context, r *repo.Repository) error {
			got, err := Check(ctx, r, []*Root{root})
			if err == nil && !slices.Equal(got, problems) {
				t.Errorf("%s: it names %v, and not %v", name, got, problems)
			}
			return err
		})
		interrupted(t, "check of the data of "+name, tr.st, with, func(ctx context.Context, r *repo.Repository) error {
			_, got, err := CheckData(ctx, r, []*Root{tr.must[0].root, root}, repo.All(), NoProgress{})
			if err == nil && len(got) != len(data) {
				t.Errorf("%s: it names %v, and not %v", name, got, data)
			}
			return err
		})
	}
}

// bulkOf is the ID of a blob of bulk in the newest layer of a snapshot.
func (tr *trial) bulkOf(r *repo.Repository, root *Root) repo.ID {
	tr.t.Helper()
	for e, err := range root.Manifest.entries(tr.t.Context(), r) {
		if err != nil {
			tr.t.Fatal(err)
		}
		if e.layer == len(root.Manifest.Layers)-1 && len(e.bulk) > 0 {
			return e.bulk[0].id
		}
	}
	tr.t.Fatal("there is no bulk in the newest layer")
	return repo.ID{}
}

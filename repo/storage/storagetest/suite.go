// Package storagetest holds every implementation of storage.Storage to what the interface promises.
package storagetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/orthokeep/orthokeep/repo/storage"
)

// Run runs the suite. open returns an empty storage of its own for each test.
func Run(t *testing.T, open func(t *testing.T) storage.Storage) {
	tests := []struct {
		name string
		run  func(t *testing.T, st storage.Storage)
	}{
		{"put and get", putAndGet},
		{"put again", putAgain},
		{"put new", putNew},
		{"replace", replaces},
		{"get bounded", getBounded},
		{"read at", readAt},
		{"absent", absent},
		{"list", list},
		{"list stops", listStops},
		{"delete", deletes},
		{"names", names},
		{"cancelled", cancelled},
		{"put at once", putAtOnce},
		{"put new at once", putNewAtOnce},
		{"many objects read at once", readManyAtOnce},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { tt.run(t, open(t)) })
	}
}

func put(t *testing.T, st storage.Storage, name string, data []byte) {
	t.Helper()
	if err := st.Put(t.Context(), name, data); err != nil {
		t.Fatal(err)
	}
}

func wantObject(t *testing.T, st storage.Storage, name string, data []byte) {
	t.Helper()
	got, err := st.Get(t.Context(), name, int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, data) {
		t.Fatalf("%s holds %d bytes, not the %d that were put", name, len(got), len(data))
	}
}

func wantError(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("%s gives the error %v, want %v", what, err, want)
	}
}

// wantNamed is wantError, and the error says which object.
func wantNamed(t *testing.T, what, name string, err, want error) {
	t.Helper()
	wantError(t, what, err, want)
	if !strings.Contains(err.Error(), name) || strings.Contains(err.Error(), "\n") {
		t.Fatalf("%s gives %q, want one line that names %s", what, err, name)
	}
}

func putAndGet(t *testing.T, st storage.Storage) {
	large := bytes.Repeat([]byte("orthokeep"), 1<<18)
	for name, data := range map[string][]byte{"config": []byte("{}"), "empty": {}, "packs/ab/abcd": large, "a/b/c/d/e": {0}} {
		put(t, st, name, data)
		wantObject(t, st, name, data)
		if size, err := st.Size(t.Context(), name); err != nil || size != int64(len(data)) {
			t.Fatalf("the size of %s is %d, %v; want %d", name, size, err, len(data))
		}
	}
	data := []byte("mine")
	put(t, st, "kept", data)
	data[0] = 'M'
	wantObject(t, st, "kept", []byte("mine"))
}

func putAgain(t *testing.T, st storage.Storage) {
	data := bytes.Repeat([]byte{7}, 3<<20)
	put(t, st, "packs/x", data)
	put(t, st, "packs/x", data)
	other := bytes.Clone(data)
	other[len(other)-1]++
	wantNamed(t, "Put of other bytes", "packs/x", st.Put(t.Context(), "packs/x", other), storage.ErrExists)
	wantError(t, "Put of fewer bytes", st.Put(t.Context(), "packs/x", data[1:]), storage.ErrExists)
	wantError(t, "Put of nothing", st.Put(t.Context(), "packs/x", nil), storage.ErrExists)
	wantObject(t, st, "packs/x", data)
}

func putNew(t *testing.T, st storage.Storage) {
	if err := st.PutNew(t.Context(), "prune", []byte("a")); err != nil {
		t.Fatal(err)
	}
	wantNamed(t, "PutNew of the same bytes", "prune", st.PutNew(t.Context(), "prune", []byte("a")), storage.ErrExists)
	wantError(t, "PutNew of other bytes", st.PutNew(t.Context(), "prune", []byte("b")), storage.ErrExists)
	wantObject(t, st, "prune", []byte("a"))
	if err := st.Delete(t.Context(), "prune"); err != nil {
		t.Fatal(err)
	}
	if err := st.PutNew(t.Context(), "prune", []byte("b")); err != nil {
		t.Fatal(err)
	}
	wantObject(t, st, "prune", []byte("b"))
}

func replaces(t *testing.T, st storage.Storage) {
	put(t, st, "r/a", []byte("damaged"))
	if err := st.ReadAt(t.Context(), "r/a", make([]byte, 1), 0); err != nil { // may keep it open
		t.Fatal(err)
	}
	for _, name := range []string{"r/a", "r/b", "s/c"} { // damaged, gone, gone with its folder
		data := []byte(name)
		if err := st.Replace(t.Context(), name, data); err != nil {
			t.Fatal(err)
		}
		wantObject(t, st, name, data)
		p := make([]byte, len(data))
		if err := st.ReadAt(t.Context(), name, p, 0); err != nil || !bytes.Equal(p, data) {
			t.Fatalf("ReadAt returns %q, %v", p, err)
		}
	}
	if got := listed(t, st, ""); !slices.Equal(got, []string{"r/a", "r/b", "s/c"}) {
		t.Fatalf("there are %q", got)
	}
}

func getBounded(t *testing.T, st storage.Storage) {
	put(t, st, "five", []byte("12345"))
	wantObject(t, st, "five", []byte("12345"))
	data, err := st.Get(t.Context(), "five", 4)
	wantNamed(t, "Get with a lower limit", "five", err, storage.ErrTooLong)
	if data != nil {
		t.Fatalf("Get returns %q with an error", data)
	}
}

func readAt(t *testing.T, st storage.Storage) {
	put(t, st, "p/digits", []byte("0123456789"))
	for _, r := range []struct{ off, n int64 }{{0, 10}, {0, 1}, {9, 1}, {3, 4}, {0, 0}, {10, 0}} {
		p := make([]byte, r.n)
		if err := st.ReadAt(t.Context(), "p/digits", p, r.off); err != nil {
			t.Fatal(err)
		}
		if want := "0123456789"[r.off : r.off+r.n]; string(p) != want {
			t.Fatalf("bytes at %d are %q, want %q", r.off, p, want)
		}
	}
	for _, r := range []struct{ off, n int64 }{{0, 11}, {9, 2}, {10, 1}, {1 << 40, 1}} {
		err := st.ReadAt(t.Context(), "p/digits", make([]byte, r.n), r.off)
		wantNamed(t, fmt.Sprintf("ReadAt of %d bytes at %d", r.n, r.off), "p/digits", err, storage.ErrShort)
	}
}

func absent(t *testing.T, st storage.Storage) {
	put(t, st, "a/b", []byte("x"))
	for _, name := range []string{"nothing", "a/c", "c/d/e", "a", "a/b/c"} { // a folder, and a file in a folder's place, too
		_, err := st.Get(t.Context(), name, 10)
		wantNamed(t, "Get", name, err, storage.ErrNotFound)
		_, err = st.Size(t.Context(), name)
		wantNamed(t, "Size", name, err, storage.ErrNotFound)
		err = st.ReadAt(t.Context(), name, make([]byte, 1), 0)
		wantNamed(t, "ReadAt", name, err, storage.ErrNotFound)
	}
}

func listed(t *testing.T, st storage.Storage, prefix string) []string {
	t.Helper()
	var out []string
	for o, err := range st.List(t.Context(), prefix) {
		if err != nil {
			t.Fatal(err)
		}
		if o.Size != int64(len(o.Name)) {
			t.Fatalf("%s is listed with %d bytes, want %d", o.Name, o.Size, len(o.Name))
		}
		out = append(out, o.Name)
	}
	return out
}

func list(t *testing.T, st storage.Storage) {
	if got := listed(t, st, ""); got != nil {
		t.Fatalf("an empty storage lists %q", got)
	}
	all := []string{"a/b", "a-b", "a.b/c", "a0", "a/b.d/e", "a/b-c", "config", "keys/r-1", "keys/r-2", "keys/w-1", "snapshots/20261123T020417Z-77aa"}
	for _, name := range all {
		put(t, st, name, []byte(name))
	}
	slices.Sort(all)
	for _, prefix := range []string{"", "a", "a/", "a/b", "a/b.d/", "keys/r", "keys/r-2", "keys/r-23", "con", "config/", "nothing", "keys", "snapshots/2026"} {
		var want []string
		for _, name := range all {
			if strings.HasPrefix(name, prefix) {
				want = append(want, name)
			}
		}
		if got := listed(t, st, prefix); !slices.Equal(got, want) {
			t.Errorf("prefix %q lists %q, want %q", prefix, got, want)
		}
	}
}

func listStops(t *testing.T, st storage.Storage) {
	for i := range 10 {
		put(t, st, fmt.Sprintf("d%d/o", i), []byte("12345"))
	}
	n := 0
	for _, err := range st.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		if n++; n == 3 {
			break
		}
	}
	if n != 3 {
		t.Fatalf("listed %d objects, want 3", n)
	}
}

func deletes(t *testing.T, st storage.Storage) {
	put(t, st, "d/a", []byte("d/a"))
	put(t, st, "d/b", []byte("d/b"))
	if err := st.ReadAt(t.Context(), "d/a", make([]byte, 1), 0); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"d/a", "d/a", "never/was", "never"} {
		if err := st.Delete(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	_, err := st.Get(t.Context(), "d/a", 10)
	wantError(t, "Get of what was deleted", err, storage.ErrNotFound)
	err = st.ReadAt(t.Context(), "d/a", make([]byte, 1), 0)
	wantError(t, "ReadAt of what was deleted", err, storage.ErrNotFound)
	if got := listed(t, st, ""); !slices.Equal(got, []string{"d/b"}) {
		t.Fatalf("left are %q", got)
	}
	put(t, st, "d/a", []byte("other"))
	wantObject(t, st, "d/a", []byte("other"))
	p := make([]byte, 5)
	if err := st.ReadAt(t.Context(), "d/a", p, 0); err != nil || string(p) != "other" {
		t.Fatalf("ReadAt returns %q, %v", p, err)
	}
}

func names(t *testing.T, st storage.Storage) {
	bad := []string{"", "/", "/a", "a/", "a//b", ".", "..", "a/..", "../a", "a/../b", ".hidden", "a.", "a.tmp", "a.tmp/b", "a b", "a\\b", "C:",
		"ä", "a\x00", "a\n", strings.Repeat("a", 201), strings.Repeat("a/", 128)}
	for _, name := range bad {
		wantError(t, fmt.Sprintf("Put of %q", name), st.Put(t.Context(), name, nil), storage.ErrName)
		wantError(t, fmt.Sprintf("PutNew of %q", name), st.PutNew(t.Context(), name, nil), storage.ErrName)
		wantError(t, fmt.Sprintf("Delete of %q", name), st.Delete(t.Context(), name), storage.ErrName)
		_, err := st.Get(t.Context(), name, 1)
		wantError(t, fmt.Sprintf("Get of %q", name), err, storage.ErrName)
		_, err = st.Size(t.Context(), name)
		wantError(t, fmt.Sprintf("Size of %q", name), err, storage.ErrName)
		wantError(t, fmt.Sprintf("ReadAt of %q", name), st.ReadAt(t.Context(), name, nil, 0), storage.ErrName)
	}
	long := strings.Repeat("a", 199) + "/" + strings.Repeat("b", 55)
	for _, name := range []string{"a", "0", "A-b_c.d", "b/c/d", long} {
		put(t, st, name, []byte(name))
	}
}

func cancelled(t *testing.T, st storage.Storage) {
	put(t, st, "there", []byte("x"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	wantError(t, "Put", st.Put(ctx, "new", nil), context.Canceled)
	wantError(t, "PutNew", st.PutNew(ctx, "new", nil), context.Canceled)
	wantError(t, "Delete", st.Delete(ctx, "there"), context.Canceled)
	wantError(t, "Replace", st.Replace(ctx, "there", nil), context.Canceled)
	_, err := st.Get(ctx, "there", 1)
	wantError(t, "Get", err, context.Canceled)
	_, err = st.Size(ctx, "there")
	wantError(t, "Size", err, context.Canceled)
	wantError(t, "ReadAt", st.ReadAt(ctx, "there", make([]byte, 1), 0), context.Canceled)
	n := 0
	for _, err := range st.List(ctx, "") {
		wantError(t, "List", err, context.Canceled)
		n++
	}
	if n != 1 {
		t.Fatalf("a cancelled List yields %d times, want one error", n)
	}
	wantObject(t, st, "there", []byte("x"))
}

// putAtOnce puts the same object from many goroutines, among others in the same new folders.
func putAtOnce(t *testing.T, st storage.Storage) {
	var wg sync.WaitGroup
	for i := range 32 {
		wg.Go(func() {
			name := fmt.Sprintf("x/y/%d", i%4)
			if err := st.Put(t.Context(), name, []byte(name)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := listed(t, st, ""); !slices.Equal(got, []string{"x/y/0", "x/y/1", "x/y/2", "x/y/3"}) {
		t.Fatalf("listed %q", got)
	}
}

func putNewAtOnce(t *testing.T, st storage.Storage) {
	var wg sync.WaitGroup
	var won atomic.Int32
	for i := range 16 {
		wg.Go(func() {
			err := st.PutNew(t.Context(), "prune", []byte{byte(i)})
			if err == nil {
				won.Add(1)
			} else if !errors.Is(err, storage.ErrExists) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Fatalf("%d of 16 callers created the object, want 1", won.Load())
	}
}

// readManyAtOnce reads more objects than an implementation keeps open.
func readManyAtOnce(t *testing.T, st storage.Storage) {
	const objects = 80
	for i := range objects {
		put(t, st, fmt.Sprintf("o%d", i), fmt.Appendf(nil, "object %d", i))
	}
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 5 * objects {
				n := (i*7 + g) % objects
				want := fmt.Sprintf("object %d", n)
				p := make([]byte, len(want))
				if err := st.ReadAt(t.Context(), fmt.Sprintf("o%d", n), p, 0); err != nil || string(p) != want {
					t.Errorf("object %d reads as %q, %v", n, p, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

package faulty_test

import (
	"errors"
	"testing"

	"github.com/orthokeep/orthokeep/repo/storage"
	"github.com/orthokeep/orthokeep/repo/storage/faulty"
	"github.com/orthokeep/orthokeep/repo/storage/storagetest"
)

// Nothing spoiled: the wrapper, and Local on the file system in memory, are storages like any other.
func TestPassesOn(t *testing.T) {
	storagetest.Run(t, func(t *testing.T) storage.Storage { return faulty.Wrap(onFS(t, faulty.NewFS())) })
}

func onFS(t *testing.T, fsys *faulty.FS) *storage.Local {
	t.Helper()
	l, err := storage.CreateOn(fsys, "/repo")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func TestFaults(t *testing.T) {
	tests := []struct {
		name    string
		how     faulty.Fault
		want    error
		stored  bool
		crashed bool
	}{
		{"not stored", faulty.NotStored, faulty.ErrFailed, false, false},
		{"stored", faulty.Stored, faulty.ErrFailed, true, false},
		{"crash, not stored", faulty.CrashNotStored, faulty.ErrCrashed, false, true},
		{"crash, stored", faulty.CrashStored, faulty.ErrCrashed, true, true},
		{"full", faulty.Full, storage.ErrNoSpace, false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inner := onFS(t, faulty.NewFS())
			st := faulty.Wrap(inner)
			st.FailChange(1, tt.how)
			if err := st.Put(t.Context(), "a", []byte("a")); err != nil {
				t.Fatal(err)
			}
			if err := st.Put(t.Context(), "b", []byte("b")); !errors.Is(err, tt.want) {
				t.Fatalf("Put gives %v, want %v", err, tt.want)
			}
			if _, err := inner.Size(t.Context(), "b"); (err == nil) != tt.stored {
				t.Fatalf("stored: %v, want %v", err == nil, tt.stored)
			}
			err := st.Put(t.Context(), "c", []byte("c"))
			if errors.Is(err, faulty.ErrCrashed) != tt.crashed || st.Crashed() != tt.crashed {
				t.Fatalf("the next Put gives %v", err)
			}
			if _, err := st.Get(t.Context(), "a", 1); errors.Is(err, faulty.ErrCrashed) != tt.crashed {
				t.Fatalf("the next Get gives %v", err)
			}
			if !tt.crashed && st.Changes() != 3 {
				t.Fatalf("%d changes counted, want 3", st.Changes())
			}
		})
	}
}

func TestDamage(t *testing.T) {
	st := faulty.Wrap(onFS(t, faulty.NewFS()))
	if err := st.Put(t.Context(), "o", []byte("0123456789")); err != nil {
		t.Fatal(err)
	}
	st.Flip("o", 4)
	if data, err := st.Get(t.Context(), "o", 10); err != nil || string(data) != "0123556789" {
		t.Fatalf("Get returns %q, %v", data, err)
	}
	p := make([]byte, 2)
	if err := st.ReadAt(t.Context(), "o", p, 4); err != nil || string(p) != "55" {
		t.Fatalf("ReadAt returns %q, %v", p, err)
	}
	if err := st.ReadAt(t.Context(), "o", p, 5); err != nil || string(p) != "56" {
		t.Fatalf("ReadAt beside the damage returns %q, %v", p, err)
	}
	st.Cut("o", 6)
	if data, err := st.Get(t.Context(), "o", 10); err != nil || string(data) != "012355" {
		t.Fatalf("Get returns %q, %v", data, err)
	}
	if err := st.ReadAt(t.Context(), "o", p, 5); !errors.Is(err, storage.ErrShort) {
		t.Fatalf("ReadAt beyond the cut gives %v", err)
	}
	if size, err := st.Size(t.Context(), "o"); err != nil || size != 6 {
		t.Fatalf("size %d, %v", size, err)
	}
	st.Heal()
	if data, err := st.Get(t.Context(), "o", 10); err != nil || string(data) != "0123456789" {
		t.Fatalf("Get returns %q, %v", data, err)
	}
}

func TestAlways(t *testing.T) {
	st := faulty.Wrap(onFS(t, faulty.NewFS()))
	st.Always(faulty.Full, true)
	st.Always(faulty.Refused, true)
	if err := st.PutNew(t.Context(), "o", nil); !errors.Is(err, storage.ErrNoSpace) {
		t.Fatalf("PutNew gives %v", err)
	}
	if err := st.Delete(t.Context(), "o"); !errors.Is(err, storage.ErrRefused) {
		t.Fatalf("Delete gives %v", err)
	}
	st.Always(faulty.Full, false)
	if err := st.Put(t.Context(), "o", nil); err != nil {
		t.Fatal(err)
	}
	st.FailRead(st.Reads(), faulty.NotStored)
	if _, err := st.Get(t.Context(), "o", 1); !errors.Is(err, faulty.ErrFailed) {
		t.Fatalf("Get gives %v", err)
	}
}

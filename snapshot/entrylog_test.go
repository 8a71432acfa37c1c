package snapshot

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/bits"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/orthokeep/orthokeep/repo"
)

func randomEntry(rnd *rand.Rand) Entry {
	var e Entry
	for i := range e.UUID {
		e.UUID[i] = byte(rnd.Uint32())
	}
	e.headLength, e.headChunk, e.headOffset = 1+rnd.Int64N(1000), rnd.Uint64N(100), rnd.Int64N(1000)
	e.Size = e.headLength
	if rnd.IntN(50) == 0 { // longer than what is read at once
		for range 200 {
			e.bulk = append(e.bulk, bulkRef{repo.ID{byte(rnd.Uint32())}, 1})
			e.Size++
		}
	}
	e.Uncompressed = e.Size
	return e
}

// randomHeads are the chunks that the heads of random entries lie in.
func randomHeads() []headRef {
	heads := make([]headRef, 110)
	for i := range heads {
		heads[i].length = 2000
	}
	return heads
}

// openEntryLog opens a log of which end bytes count, as a journal does.
func openEntryLog(path string, seed uint32, end int64) (*entryLog, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	l := &entryLog{file: file, seed: seed, end: end}
	if err := l.load(randomHeads()); err != nil {
		return nil, errors.Join(err, l.close())
	}
	return l, nil
}

func mustOpenLog(t testing.TB, path string, seed uint32, end int64) *entryLog {
	t.Helper()
	l, err := openEntryLog(path, seed, end)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.close() })
	return l
}

func mustAppend(t testing.TB, l *entryLog, entries []Entry) int64 {
	t.Helper()
	end, err := l.append(entries)
	if err != nil {
		t.Fatal(err)
	}
	return end
}

// TestEntryLog: the log finds the latest entry of each UUID that was accepted, also when it is opened anew, and no other.
func TestEntryLog(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	path := filepath.Join(t.TempDir(), "log")
	l := mustOpenLog(t, path, 7, 0)
	want := map[UUID]Entry{}
	var order []UUID
	check := func() {
		t.Helper()
		for u, e := range want {
			if got, ok := l.get(u); !ok || !reflect.DeepEqual(got, e) {
				t.Fatalf("%s: %v %+v, want %+v", u, ok, got, e)
			}
		}
		for range 1000 {
			if e, ok := l.get(randomEntry(rnd).UUID); ok {
				t.Fatalf("found an entry that nobody wrote: %s", e.UUID)
			}
		}
	}
	for range 5 {
		var entries []Entry
		for range 1000 {
			e := randomEntry(rnd)
			if len(order) > 0 && rnd.IntN(10) == 0 {
				e.UUID = order[rnd.IntN(len(order))]
			}
			entries = append(entries, e)
		}
		end := mustAppend(t, l, entries)
		check() // what is not accepted is not found
		if err := l.accept(end); err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			want[e.UUID], order = e, append(order, e.UUID)
		}
		check()
		if rnd.IntN(2) == 0 { // a crash before these are accepted
			mustAppend(t, l, []Entry{randomEntry(rnd), randomEntry(rnd)})
			l = mustOpenLog(t, path, 7, end)
			check()
		}
	}
	if err := l.reset(8); err != nil {
		t.Fatal(err)
	}
	clear(want)
	check()
}

// sameHash returns another UUID that the table cannot tell from one.
func sameHash(u UUID) (other UUID) {
	binary.BigEndian.PutUint64(other[:], binary.BigEndian.Uint64(u[:])^0x1234)
	last := bits.RotateLeft64(binary.BigEndian.Uint64(u[8:]), 31) ^ 0x1234
	binary.BigEndian.PutUint64(other[8:], bits.RotateLeft64(last, -31))
	return other
}

func TestEntryLogTellsEqualHashesApart(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	l := mustOpenLog(t, filepath.Join(t.TempDir(), "log"), 7, 0)
	a, b := randomEntry(rnd), randomEntry(rnd)
	b.UUID = sameHash(a.UUID)
	if placeHash(a.UUID) != placeHash(b.UUID) || a.UUID == b.UUID {
		t.Fatal("the hashes differ")
	}
	for _, e := range []Entry{a, b} {
		if _, ok := l.get(b.UUID); ok {
			t.Fatal("found the other one")
		}
		if err := l.accept(mustAppend(t, l, []Entry{e})); err != nil {
			t.Fatal(err)
		}
	}
	for _, e := range []Entry{a, b} {
		if got, ok := l.get(e.UUID); !ok || !reflect.DeepEqual(got, e) {
			t.Fatalf("%v %+v, want %+v", ok, got, e)
		}
	}
}

// TestEntryLogDamage: a log with any byte changed, cut short or of another seed is damaged; the journal then begins with an empty one.
func TestEntryLogDamage(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 6))
	path := filepath.Join(t.TempDir(), "s.state")
	log := filepath.Join(filepath.Dir(path), "s.log")
	j, err := OpenJournal(path)
	if err != nil {
		t.Fatal(err)
	}
	entries := []Entry{randomEntry(rnd), randomEntry(rnd), randomEntry(rnd)}
	if err := j.commit([]headRef{{length: 1}}, entries); err != nil {
		t.Fatal(err)
	}
	seed, end := j.log.seed, j.log.end
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(log)
	if err != nil || int64(len(whole)) != end {
		t.Fatalf("%d bytes, want %d: %v", len(whole), end, err)
	}
	open := func(b []byte, seed uint32) error {
		if err := os.WriteFile(log, b, 0o600); err != nil {
			t.Fatal(err)
		}
		l, err := openEntryLog(log, seed, end)
		if err == nil {
			err = l.close()
		}
		return err
	}
	if err := open(whole, seed); err != nil {
		t.Fatal(err)
	}
	if err := open(whole, seed+1); !errors.Is(err, repo.ErrCorrupt) {
		t.Errorf("another seed: %v", err)
	}
	if err := open(whole[:len(whole)-1], seed); !errors.Is(err, repo.ErrCorrupt) {
		t.Errorf("cut short: %v", err)
	}
	for i := range whole {
		changed := bytes.Clone(whole)
		changed[i] ^= 1 << rnd.IntN(8)
		if err := open(changed, seed); !errors.Is(err, repo.ErrCorrupt) {
			t.Errorf("byte %d changed: %v", i, err)
		}
	}
	if j, err = OpenJournal(path); err != nil { // the log is the last of these
		t.Fatal(err)
	}
	defer j.Close()
	if _, ok := j.get(entries[0].UUID); ok || len(j.heads()) > 0 {
		t.Errorf("a damaged log is not forgotten: %v, %d head chunks", ok, len(j.heads()))
	}
	if err := j.commit(nil, entries); err != nil {
		t.Fatal(err)
	}
	if _, ok := j.get(entries[2].UUID); !ok {
		t.Error("an entry is not found")
	}
}

// FuzzEntryLog: a log that some other program has written gives entries that read back as they are, or damage.
func FuzzEntryLog(f *testing.F) {
	rnd := rand.New(rand.NewPCG(7, 8))
	l := mustOpenLog(f, filepath.Join(f.TempDir(), "log"), 0, 0)
	e := randomEntry(rnd)
	record, err := l.record(nil, &e)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(record)
	f.Add([]byte{0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		path := filepath.Join(t.TempDir(), "log")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		l, err := openEntryLog(path, 0, int64(len(b)))
		if err != nil {
			if !errors.Is(err, repo.ErrCorrupt) {
				t.Fatal(err)
			}
			return
		}
		defer l.close()
		for _, v := range l.table.slots {
			if v == 0 {
				continue
			}
			var e, found Entry
			if err := l.read(int64(uint32(v)-1)*logUnit, &e); err != nil {
				t.Fatal(err)
			}
			var ok bool
			if found, ok = l.get(e.UUID); !ok || !reflect.DeepEqual(found, e) {
				t.Fatalf("%+v, want %+v", found, e)
			}
		}
	})
}

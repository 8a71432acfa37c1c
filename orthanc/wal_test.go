//go:build linux

package orthanc_test

import (
	"bytes"
	"database/sql"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/orthokeep/orthokeep/orthanc"
	"github.com/orthokeep/orthokeep/orthanc/orthanctest"
)

// realWAL returns a log with three commits, as SQLite wrote it, for a database with one page of 4096 bytes before it.
func realWAL(t testing.TB) []byte {
	t.Helper()
	_, wal := withLog(t)
	return wal
}

// withLog returns a database and its log, which holds all rows of Resources.
func withLog(t testing.TB) (index, wal []byte) {
	t.Helper()
	dir := t.TempDir()
	makeIndex(t, dir)
	db, err := sql.Open("sqlite", filepath.Join(dir, "index"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	for _, statement := range []string{
		"PRAGMA journal_mode=WAL",
		"INSERT INTO Resources VALUES(1, 1, 'a', NULL)", "INSERT INTO Resources VALUES(2, 1, 'b', NULL)", "INSERT INTO Resources VALUES(3, 1, 'c', NULL)",
	} {
		if _, err := db.Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
	if index, err = os.ReadFile(filepath.Join(dir, "index")); err != nil {
		t.Fatal(err)
	}
	if wal, err = os.ReadFile(filepath.Join(dir, "index-wal")); err != nil {
		t.Fatal(err)
	}
	return index, wal
}

// TestLogStates opens a real index with logs in each state that a copy can catch: what is committed is there, what is
// not is not, and a log that cannot be trusted at all is damage.
func TestLogStates(t *testing.T) {
	index, wal := withLog(t)
	whole, err := orthanc.ParseWAL(bytes.NewReader(wal))
	if err != nil || whole.Committed < 3 || whole.Pending != 0 || whole.Torn || whole.PageSize != 4096 || whole.Pages == 0 {
		t.Fatalf("%+v, %v", whole, err)
	}
	frame := 24 + whole.PageSize
	last := 32 + frame*(whole.Committed-1) // offset of the frame that commits the third row
	changed := func(change func(b []byte) []byte) []byte { return change(bytes.Clone(wal)) }
	for _, test := range []struct {
		name      string
		wal       []byte
		resources int64 // -1: damage
		torn      bool
	}{
		{"whole", wal, 3, false},
		{"absent", nil, 0, false},
		{"header only", wal[:32], 0, false},
		{"header cut", wal[:20], -1, false},
		{"frame cut in its page", wal[:len(wal)-1], 2, true},
		{"frame cut in its header", wal[:last+10], 2, false},
		{"frame absent", wal[:last], 2, false},
		{"page changed", changed(func(b []byte) []byte { b[len(b)-1] ^= 1; return b }), 2, true},
		{"page of the first frame changed", changed(func(b []byte) []byte { b[32+24+100] ^= 1; return b }), 0, true},
		{"other salts behind", changed(func(b []byte) []byte { b[last+8] ^= 1; return b }), 2, false},
		{"salts of the header changed", changed(func(b []byte) []byte { b[16] ^= 1; return b }), -1, false},
		{"header of zeros", changed(func(b []byte) []byte { clear(b[:32]); return b }), -1, false},
		{"version", changed(func(b []byte) []byte { b[7]++; return b }), -1, false},
		{"no log", []byte("something else, long enough to be a header of a log"), -1, false},
		{"not committed", changed(func(b []byte) []byte { return uncommit(b, last) }), 2, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, "index", string(index))
			if test.wal != nil {
				write(t, dir, "index-wal", string(test.wal))
			}
			x, err := orthanc.OpenIndexCopy(t.Context(), dir, orthanc.CheckFull)
			if test.resources < 0 {
				if !errors.Is(err, orthanc.ErrIndex) {
					t.Fatalf("accepted: %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer x.Close()
			counts, err := x.Counts(t.Context())
			if err != nil || counts.Patients != test.resources || x.WAL.Torn != test.torn {
				t.Fatalf("%d resources, want %d; %+v, %v", counts.Patients, test.resources, x.WAL, err)
			}
			if test.name == "not committed" && x.WAL.Pending == 0 {
				t.Fatalf("%+v", x.WAL)
			}
			if _, err := os.Stat(filepath.Join(dir, "index-wal")); !errors.Is(err, os.ErrNotExist) {
				t.Fatalf("the log is left: %v", err)
			}
		})
	}
}

// uncommit makes the frame at an offset one of a transaction under way, with its checksum right.
func uncommit(wal []byte, at int) []byte {
	order := binary.ByteOrder(binary.LittleEndian)
	if wal[3]&1 == 1 {
		order = binary.BigEndian
	}
	binary.BigEndian.PutUint32(wal[at+4:], 0)
	frame := len(wal) - at
	s1, s2 := binary.BigEndian.Uint32(wal[at-frame+16:]), binary.BigEndian.Uint32(wal[at-frame+20:])
	for _, part := range [][]byte{wal[at : at+8], wal[at+24:]} {
		for ; len(part) > 0; part = part[8:] {
			s1 += order.Uint32(part) + s2
			s2 += order.Uint32(part[4:]) + s1
		}
	}
	binary.BigEndian.PutUint32(wal[at+16:], s1)
	binary.BigEndian.PutUint32(wal[at+20:], s2)
	return wal
}

// TestLogOfAnother: a log that belongs to a database with other contents must not pass unseen when SQLite leaves it out.
func TestLogOfAnother(t *testing.T) {
	_, wal := withLog(t)
	dir := t.TempDir()
	makeIndex(t, dir) // not in WAL mode: SQLite does not look at the log
	write(t, dir, "index-wal", string(wal))
	x, err := orthanc.OpenIndexCopy(t.Context(), dir, orthanc.CheckFull)
	if err == nil {
		counts, err := x.Counts(t.Context())
		x.Close()
		if err != nil || counts.Patients != 3 {
			t.Fatalf("the log was passed over: %+v, %v", counts, err)
		}
		return
	}
	if !errors.Is(err, orthanc.ErrIndex) {
		t.Fatal(err)
	}
}

func FuzzWAL(f *testing.F) {
	wal := realWAL(f)
	f.Add(wal)
	f.Add(wal[:32])
	f.Add(wal[:len(wal)-100])
	f.Fuzz(func(t *testing.T, data []byte) {
		w, err := orthanc.ParseWAL(bytes.NewReader(data))
		if err != nil && (!errors.Is(err, orthanc.ErrIndex) || w != (orthanc.WAL{})) {
			t.Fatalf("%+v, %v", w, err)
		}
		if frames := w.Committed + w.Pending; frames > 0 && 32+frames*(24+w.PageSize) > len(data) {
			t.Fatalf("%+v of %d bytes", w, len(data))
		}
	})
}

// freeze stops a server where it stands, until thaw.
func freeze(t *testing.T, s *orthanctest.Server) {
	t.Helper()
	if err := syscall.Kill(s.PID(), syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	time.Sleep(20 * time.Millisecond)
}

func thaw(t *testing.T, s *orthanctest.Server) {
	t.Helper()
	if err := syscall.Kill(s.PID(), syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
}

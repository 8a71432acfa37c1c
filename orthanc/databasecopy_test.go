package orthanc

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// source is a database that is written as Orthanc writes its index: one connection, a write-ahead log.
type source struct {
	t    *testing.T
	path string
	db   *sql.DB
	rnd  *rand.Rand
}

func newSource(t *testing.T) *source {
	t.Helper()
	s := &source{t: t, path: filepath.Join(t.TempDir(), "index"), rnd: rand.New(rand.NewPCG(1, 2))}
	s.open()
	s.exec("PRAGMA journal_mode=WAL")
	s.exec("PRAGMA wal_autocheckpoint=0")
	s.exec("CREATE TABLE t (id INTEGER PRIMARY KEY, x BLOB)")
	for range 300 {
		s.write()
	}
	s.exec("PRAGMA wal_checkpoint(TRUNCATE)")
	return s
}

func (s *source) open() {
	s.t.Helper()
	db, err := sql.Open("sqlite", s.path)
	if err != nil {
		s.t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	s.db = db
	s.t.Cleanup(func() { db.Close() })
}

func (s *source) exec(query string, args ...any) {
	s.t.Helper()
	if _, err := s.db.Exec(query, args...); err != nil {
		s.t.Fatal(err)
	}
}

// write changes a row somewhere and adds one.
func (s *source) write() {
	s.t.Helper()
	s.exec("UPDATE t SET x = randomblob(700) WHERE id = ?", s.rnd.IntN(300))
	s.exec("INSERT INTO t (x) VALUES (randomblob(900))")
}

func content(t *testing.T, db *sql.DB) string {
	t.Helper()
	var ok, sum string
	if err := db.QueryRow("PRAGMA integrity_check").Scan(&ok); err != nil || ok != "ok" {
		t.Fatalf("integrity_check: %q, %v", ok, err)
	}
	if err := db.QueryRow("SELECT COUNT(*) || group_concat(id || hex(x)) FROM (SELECT * FROM t ORDER BY id)").Scan(&sum); err != nil {
		t.Fatal(err)
	}
	return sum
}

// same opens the copy, which replays its log, and compares it with the source.
func (s *source) same(path string) {
	s.t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		s.t.Fatal(err)
	}
	defer db.Close()
	if content(s.t, db) != content(s.t, s.db) {
		s.t.Error("the copy differs from the source")
	}
}

func TestPrecopyHoldsAsLongAsTheRoundOfTheLog(t *testing.T) {
	ctx := context.Background()
	for _, c := range []struct {
		name    string
		before  func(s *source) // the pre-copy
		between func(s *source) // pre-copy and window
		want    error
	}{
		{"written to the log", (*source).write, (*source).write, nil},
		{"taken over into the index", (*source).write, func(s *source) {
			s.write()
			s.exec("PRAGMA wal_checkpoint(PASSIVE)")
		}, nil},
		{"a new round", (*source).write, func(s *source) {
			s.exec("PRAGMA wal_checkpoint(PASSIVE)")
			s.write()
		}, errTouched},
		{"the log was cut to nothing", (*source).write, func(s *source) { s.exec("PRAGMA wal_checkpoint(TRUNCATE)") }, errTouched},
		{"a log came into being", func(*source) {}, func(s *source) {
			s.write()
			s.exec("PRAGMA wal_checkpoint(PASSIVE)")
		}, errTouched},
		{"untouched without a log", func(*source) {}, func(*source) {}, nil},
		{"a log came, the index is untouched", func(*source) {}, (*source).write, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newSource(t)
			c.before(s)
			copier := &databaseCopier{source: s.path, target: filepath.Join(t.TempDir(), "index"), clock: time.Now}
			defer copier.close()
			if err := copier.precopy(ctx); err != nil || !copier.valid {
				t.Fatalf("pre-copy: %v, valid %v", err, copier.valid)
			}
			c.between(s)
			err := copier.inside(ctx, false)
			if errors.Is(err, errTouched) && c.want != nil {
				err = copier.inside(ctx, true)
				if err != nil {
					t.Fatal(err)
				}
			} else if !errors.Is(err, c.want) {
				t.Fatalf("inside the window: %v, want %v", err, c.want)
			}
			s.same(copier.target)
		})
	}
}

// TestTornPrecopyIsPutRight spoils every page of the pre-copy that stands in the log, as a copy does that is taken while
// SQLite writes to the index.
func TestTornPrecopyIsPutRight(t *testing.T) {
	s := newSource(t)
	for range 40 {
		s.write()
	}
	copier := &databaseCopier{source: s.path, target: filepath.Join(t.TempDir(), "index"), clock: time.Now}
	defer copier.close()
	if err := copier.precopy(context.Background()); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(copier.target, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	log, err := os.ReadFile(s.path + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	spoiled := 0
	for at := walHeaderSize; at+walFrameHeader+4096 <= len(log); at += walFrameHeader + 4096 {
		page := int64(log[at])<<24 | int64(log[at+1])<<16 | int64(log[at+2])<<8 | int64(log[at+3])
		if page == 1 {
			continue // SQLite reads the page size from the first page before it looks at the log
		}
		if _, err := f.WriteAt([]byte(fmt.Sprintf("torn%2000d", page)), (page-1)*4096+1000); err != nil {
			t.Fatal(err)
		}
		spoiled++
	}
	if spoiled < 40 {
		t.Fatalf("only %d pages stand in the log", spoiled)
	}
	s.exec("PRAGMA wal_checkpoint(PASSIVE)")
	if err := copier.inside(context.Background(), false); err != nil {
		t.Fatal(err)
	}
	s.same(copier.target)
}

// A clean stop takes the log over into the database and removes it: what was held open still completes the pre-copy.
func TestLogIsReadAfterACleanStop(t *testing.T) {
	s := newSource(t)
	s.write()
	copier := &databaseCopier{source: s.path, target: filepath.Join(t.TempDir(), "index"), clock: time.Now}
	defer copier.close()
	if err := copier.precopy(context.Background()); err != nil || !copier.valid {
		t.Fatalf("pre-copy: %v, valid %v", err, copier.valid)
	}
	for range 40 {
		s.write()
	}
	if err := s.db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(s.path + "-wal"); !os.IsNotExist(err) {
		t.Fatalf("the log is still there: %v", err)
	}
	if err := copier.inside(context.Background(), false); err != nil || !copier.written() {
		t.Fatalf("inside the window: %v, written %v", err, copier.written())
	}
	if info, err := os.Stat(copier.target + "-wal"); err != nil || info.Size() < 40*4096 {
		t.Errorf("the log of the copy: %v, %v", info, err)
	}
	s.open()
	s.same(copier.target)
}

// patchFile makes an older copy the same, whatever it was: longer, shorter, with holes.
func TestPatchFile(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	random := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(rnd.Uint32())
		}
		return b
	}
	fresh := random(5*patchBlock + 1000)
	changed := append([]byte(nil), fresh...)
	changed[0], changed[3*patchBlock-1], changed[len(changed)-1] = 1+fresh[0], 1+fresh[3*patchBlock-1], 1+fresh[len(fresh)-1]
	for name, old := range map[string][]byte{"the same": fresh, "bytes differ": changed, "longer": append(random(patchBlock), fresh...),
		"shorter": fresh[:2*patchBlock+7], "empty": {}} {
		dir := t.TempDir()
		source, target := filepath.Join(dir, "source"), filepath.Join(dir, "target")
		if err := errors.Join(os.WriteFile(source, fresh, 0o600), os.WriteFile(target, old, 0o600)); err != nil {
			t.Fatal(err)
		}
		if err := patchFile(context.Background(), target, source); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(target); err != nil || !bytes.Equal(got, fresh) {
			t.Errorf("%s: %d bytes, %v, differ from the source's %d", name, len(got), err, len(fresh))
		}
	}
}

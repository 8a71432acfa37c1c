package orthanc

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"

	"modernc.org/sqlite"
)

// IndexCheck says how an index copy is checked when it is opened.
type IndexCheck int

const (
	CheckQuick IndexCheck = iota // PRAGMA quick_check: every page, without comparing indices with tables
	CheckFull                    // PRAGMA integrity_check
	CheckNone                    // for a copy that was checked before it was stored, or is checked later
)

// Index is a private copy of Orthanc's SQLite index. Its methods may be called at once by several goroutines.
type Index struct {
	Schema     int  // version of the schema, always 6
	CustomData bool // its columns are those of Orthanc 1.12.8 and later
	WAL        WAL  // what the log beside it held before it was replayed

	db *sql.DB
}

// OpenIndexCopy opens dir/index, a copy of Orthanc's index, with its log dir/index-wal where there is one. The log is
// checked and replayed, after which dir/index alone is the whole index, as a clean stop of Orthanc leaves it. dir belongs
// to the caller and to nobody else meanwhile. An index that a process holds open is refused with ErrHeld.
//
// An error matches ErrIndex when the copy is damaged, ErrSchema when its schema is not version 6.
func OpenIndexCopy(ctx context.Context, dir string, check IndexCheck) (*Index, error) {
	path, err := filepath.Abs(filepath.Join(dir, "index"))
	if err != nil {
		return nil, err
	}
	if p, err := FindProcess(path); err == nil {
		return nil, fmt.Errorf("open copy of index: %w: %s: process %d", ErrHeld, path, p.PID)
	} else if errors.Is(err, ErrManyProcesses) {
		return nil, fmt.Errorf("open copy of index: %w: %w", ErrHeld, err)
	}
	wal, err := replayCopy(ctx, path)
	if err != nil {
		return nil, err
	}
	db, err := sql.Open("sqlite", dsn(path, "ro"))
	if err != nil {
		return nil, fmt.Errorf("open copy of index: %w", err)
	}
	x := &Index{WAL: wal, db: db}
	if err := x.examine(ctx, check); err != nil {
		db.Close()
		return nil, err
	}
	return x, nil
}

// Check checks the copy, when it was opened without. The error matches ErrIndex when it is damaged.
func (x *Index) Check(ctx context.Context, check IndexCheck) error {
	return checkPages(ctx, x.db, check)
}

// Close closes the copy. The files stay.
func (x *Index) Close() error { return x.db.Close() }

// replayCopy makes a copy of a database and its log one file, and returns what the log held.
func replayCopy(ctx context.Context, path string) (WAL, error) {
	if err := sniff(path); err != nil {
		return WAL{}, err
	}
	wal, err := readWAL(path + "-wal")
	if err != nil {
		return WAL{}, err
	}
	return wal, replay(ctx, path, wal)
}

// sniff looks at the header without SQLite.
func sniff(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return fmt.Errorf("open copy of index: %w", err)
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%w: not a regular file", ErrIndex)
	}
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("open copy of index: %w", err)
	}
	defer f.Close()
	var header [100]byte
	if _, err := io.ReadFull(f, header[:]); err == io.EOF || err == io.ErrUnexpectedEOF {
		return fmt.Errorf("%w: %d bytes long", ErrIndex, info.Size())
	} else if err != nil {
		return fmt.Errorf("open copy of index: %w", err)
	}
	size := int(binary.BigEndian.Uint16(header[16:]))
	if size == 1 {
		size = 65536
	}
	// The two bytes behind the page size are the versions to write and read: 1 without, 2 with a log. SQLite opens others
	// for reading only.
	if !bytes.HasPrefix(header[:], []byte("SQLite format 3\x00")) || !validPageSize(size) ||
		header[18] < 1 || header[18] > 2 || header[19] < 1 || header[19] > 2 {
		return fmt.Errorf("%w: not an SQLite database", ErrIndex)
	}
	return nil
}

// dsn names a database to the driver. It is not trusted: no schema of its own making runs functions.
func dsn(path, mode string) string {
	u := url.URL{Scheme: "file", Path: filepath.ToSlash(path)}
	if u.Path[0] != '/' {
		u.Path = "/" + u.Path
	}
	q := url.Values{"mode": {mode}, "_pragma": {"trusted_schema(0)", "cell_size_check(1)", "busy_timeout(1000)"}}
	if mode == "rw" {
		q.Add("_pragma", "locking_mode(EXCLUSIVE)") // no index-shm
		q.Add("_pragma", "synchronous(OFF)")        // a copy that a crash spoils is taken anew, and what is stored of it was read before
	}
	return u.String() + "?" + q.Encode()
}

// replay brings what the log holds into the index, and sees that SQLite took as much of it as is there.
func replay(ctx context.Context, path string, wal WAL) error {
	db, err := sql.Open("sqlite", dsn(path, "rw"))
	if err != nil {
		return fmt.Errorf("open copy of index: %w", err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	var busy, frames, moved int
	if err := db.QueryRowContext(ctx, "PRAGMA wal_checkpoint(PASSIVE)").Scan(&busy, &frames, &moved); err != nil {
		return indexError(ctx, "replay log", err)
	}
	if max(frames, 0) != wal.Committed || busy != 0 || moved != frames {
		return fmt.Errorf("%w: log: %d frames are committed, SQLite took %d", ErrIndex, wal.Committed, max(moved, 0))
	}
	var pages uint32
	if err := db.QueryRowContext(ctx, "PRAGMA page_count").Scan(&pages); err != nil {
		return indexError(ctx, "replay log", err)
	}
	if wal.Pages != 0 && pages != wal.Pages {
		return fmt.Errorf("%w: log: commits %d pages, SQLite has %d", ErrIndex, wal.Pages, pages)
	}
	// As Orthanc does when it stops: checkpoints, and takes away the log.
	var mode string
	if err := db.QueryRowContext(ctx, "PRAGMA journal_mode=DELETE").Scan(&mode); err != nil {
		return indexError(ctx, "replay log", err)
	}
	if mode != "delete" {
		return fmt.Errorf("replay log: journal mode stays %s", mode)
	}
	if err := db.Close(); err != nil {
		return indexError(ctx, "replay log", err)
	}
	for _, suffix := range []string{"-wal", "-shm", "-journal"} {
		switch info, err := os.Lstat(path + suffix); {
		case errors.Is(err, os.ErrNotExist):
		case err != nil:
			return fmt.Errorf("replay log: %w", err)
		case suffix == "-wal" && info.Size() > wal.Size || suffix == "-journal" && info.Size() > 0:
			return fmt.Errorf("replay log: %s%s is left", path, suffix)
		default: // an empty one that came with the copy, or one that was replayed
			if err := os.Remove(path + suffix); err != nil {
				return fmt.Errorf("replay log: %w", err)
			}
		}
	}
	return nil
}

// examine checks the copy and reads what version it is.
func (x *Index) examine(ctx context.Context, check IndexCheck) error {
	if err := checkPages(ctx, x.db, check); err != nil {
		return err
	}
	if err := x.tables(ctx); err != nil {
		return err
	}
	version, err := x.property(ctx, 1)
	if err != nil {
		return err
	}
	if version != "6" {
		return fmt.Errorf("%w: version %q; supported is 6, that of Orthanc 0.9.5 and later", ErrSchema, oneLine(version))
	}
	x.Schema = 6
	return nil
}

// computed counts what makes SQLite compute values where it only reads: columns, indices of expressions or with a condition, virtual tables.
const computed = `SELECT
	(SELECT COUNT(*) FROM sqlite_schema WHERE type = 'table' AND rootpage = 0) +
	(SELECT COUNT(*) FROM sqlite_schema s, pragma_table_xinfo(s.name) c WHERE s.type = 'table' AND s.rootpage > 0 AND c.hidden <> 0) +
	(SELECT COUNT(*) FROM sqlite_schema s, pragma_index_list(s.name) i, pragma_index_xinfo(i.name) c
		WHERE s.type = 'table' AND s.rootpage > 0 AND (i.partial <> 0 OR c.cid = -2))`

// checkPages refuses a database that computes, which could take any time and memory, and lets SQLite check it.
func checkPages(ctx context.Context, db *sql.DB, check IndexCheck) error {
	var n int
	if err := db.QueryRowContext(ctx, computed).Scan(&n); err != nil {
		return indexError(ctx, "read schema", err)
	}
	if n > 0 {
		return fmt.Errorf("%w: its schema computes values, which that of Orthanc does not", ErrIndex)
	}
	pragma := map[IndexCheck]string{CheckQuick: "PRAGMA quick_check(1)", CheckFull: "PRAGMA integrity_check(1)"}[check]
	if pragma == "" {
		return nil
	}
	var result string
	if err := db.QueryRowContext(ctx, pragma).Scan(&result); err != nil {
		return indexError(ctx, "check index", err)
	}
	if result != "ok" {
		return fmt.Errorf("%w: %s", ErrIndex, oneLine(result))
	}
	return nil
}

// tables sees that the tables that are read are real tables, not views, which could compute anything.
func (x *Index) tables(ctx context.Context) error {
	for _, name := range []string{"GlobalProperties", "Resources", "MainDicomTags", "DicomIdentifiers", "AttachedFiles"} {
		var n int
		err := x.db.QueryRowContext(ctx, "SELECT COUNT(*) FROM sqlite_schema WHERE name = ? AND type = 'table' AND rootpage > 0", name).Scan(&n)
		if err != nil {
			return indexError(ctx, "read schema", err)
		}
		if n != 1 {
			return fmt.Errorf("%w: no table %s: not an index of Orthanc", ErrSchema, name)
		}
	}
	var n int
	if err := x.db.QueryRowContext(ctx, "SELECT COUNT(*) FROM pragma_table_info('AttachedFiles') WHERE name = 'customData'").Scan(&n); err != nil {
		return indexError(ctx, "read schema", err)
	}
	x.CustomData = n > 0
	return nil
}

// property returns one of GlobalProperties, "" where it is not set.
func (x *Index) property(ctx context.Context, number int) (string, error) {
	var value sql.NullString
	err := x.db.QueryRowContext(ctx, "SELECT substr(value, 1, 100) FROM GlobalProperties WHERE property = ?", number).Scan(&value)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", indexError(ctx, "read properties", err)
	}
	return value.String, nil
}

// What SQLite says of a file that is not what it should be: SQLITE_ERROR (no such column, malformed schema), CORRUPT,
// TOOBIG, MISMATCH, NOTADB. Other codes are the machine's: a full disk, no permission.
var damageCodes = map[int]bool{1: true, 11: true, 18: true, 20: true, 26: true}

// indexError wraps an error of the driver: as damage, unless it is the caller's or the machine's.
func indexError(ctx context.Context, what string, err error) error {
	var coded *sqlite.Error
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("%s: %w", what, context.Cause(ctx))
	case errors.As(err, &coded) && !damageCodes[coded.Code()&0xff]:
		return fmt.Errorf("%s: %w", what, err)
	}
	return fmt.Errorf("%w: %s: %s", ErrIndex, what, oneLine(err.Error()))
}

// oneLine returns the first line of a text that came from the file, quoted where it is not plain, at most 200 bytes.
func oneLine(s string) string {
	s = s[:min(len(s), 200)]
	for _, r := range s {
		if r < ' ' || r > '~' {
			return fmt.Sprintf("%q", s)
		}
	}
	return s
}

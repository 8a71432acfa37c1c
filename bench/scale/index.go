package main

import (
	"bytes"
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/klauspost/compress/zstd"
	"modernc.org/sqlite"
)

const (
	seriesPerStudy     = 2
	instancesPerSeries = 100
	instancesPerStudy  = seriesPerStudy * instancesPerSeries
)

// Rows of the pattern that Orthanc itself wrote: it stores an instance first, then its series, study and patient.
const (
	patternInstance = 1
	patternSeries   = 2
	patternStudy    = 3
	patternPatient  = 4
	patternSecond   = 5 // an instance of a series that was there
)

// changeOf is Orthanc's number of the change that says a resource is new, by its type.
var changeOf = map[int]int{1: 3, 2: 5, 3: 4, 4: 2}

// The triggers of Orthanc's schema call these, to learn which files it has to remove.
func init() {
	for name, arguments := range map[string]int32{"SignalFileDeleted": 7, "SignalResourceDeleted": 2, "SignalRemainingAncestor": 2} {
		sqlite.MustRegisterScalarFunction(name, arguments, func(*sqlite.FunctionContext, []driver.Value) (driver.Value, error) { return nil, nil })
	}
}

// openIndex opens the index as Orthanc does, and keeps a list of resources to be made beside it.
func (a *archive) openIndex() (err error) {
	if a.db, err = sql.Open("sqlite", "file:"+a.index()+"?_pragma=foreign_keys(1)&_pragma=journal_mode(wal)&_pragma=locking_mode(exclusive)&_pragma=synchronous(off)&_pragma=recursive_triggers(1)"); err != nil {
		return err
	}
	a.db.SetMaxOpenConns(1)
	_, err = a.db.Exec(`CREATE TEMP TABLE fresh(id INTEGER PRIMARY KEY, type, parent, publicId, own, pattern, change)`)
	return err
}

// resource is a row to be made.
type resource struct{ id, kind, parent, pattern int }

// study lists the resources of a study in the order in which Orthanc makes them, from an id on.
func study(first int) (all []resource) {
	id := first
	add := func(kind, parent, pattern int) int {
		all = append(all, resource{id, kind, parent, pattern})
		id++
		return id - 1
	}
	studyID := first + 2
	for series := range seriesPerStudy {
		seriesID := id + 1
		add(4, seriesID, patternInstance)
		add(3, studyID, patternSeries)
		if series == 0 {
			add(2, studyID+1, patternStudy)
			add(1, 0, patternPatient)
		}
		for range instancesPerSeries - 1 {
			add(4, seriesID, patternSecond)
		}
	}
	return all
}

// addStudies adds studies to the index, in one transaction, and returns the files that it then names.
func (a *archive) addStudies(ctx context.Context, n int) (files []file, err error) {
	tx, err := a.db.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, tx.Rollback())
		}
	}()
	var last int
	if err := tx.QueryRow("SELECT seq FROM sqlite_sequence WHERE name = 'Resources'").Scan(&last); err != nil {
		return nil, err
	}
	fresh, err := tx.Prepare("INSERT INTO fresh VALUES (?, ?, NULLIF(?, 0), ?, ?, ?, ?)")
	if err != nil {
		return nil, err
	}
	attach, err := tx.Prepare("INSERT INTO AttachedFiles VALUES (?, 1, ?, ?, ?, 1, ?, ?)")
	if err != nil {
		return nil, err
	}
	for range n {
		for _, r := range study(last + 1) {
			last = r.id
			if _, err := fresh.Exec(r.id, r.kind, r.parent, a.publicID(), fmt.Sprintf("2.25.%d", a.rnd.Uint64()), r.pattern, changeOf[r.kind]); err != nil {
				return nil, err
			}
		}
		a.studies++
	}
	if err := a.cloneRows(tx); err != nil {
		return nil, err
	}
	rows, err := tx.Query("SELECT id FROM fresh WHERE type = 4 ORDER BY id")
	if err != nil {
		return nil, err
	}
	var ids []int
	for rows.Next() {
		var id int
		if err := rows.Scan(&id); err != nil {
			return nil, errors.Join(err, rows.Close())
		}
		ids = append(ids, id)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return nil, err
	}
	for _, id := range ids {
		f := a.newFile()
		if _, err := attach.Exec(id, f.uuid.String(), fileSize, fileSize, f.md5, f.md5); err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	if _, err := tx.Exec("DELETE FROM fresh"); err != nil {
		return nil, err
	}
	return files, tx.Commit()
}

// cloneRows writes what Orthanc writes for each of the resources: the pattern's rows, with identifiers of their own.
func (a *archive) cloneRows(tx *sql.Tx) error {
	const own = `CASE WHEN (t.tagGroup, t.tagElement) IN (VALUES (8, 24), (8, 80), (16, 16), (16, 32), (32, 13), (32, 14)) THEN n.own ELSE t.value END`
	for _, statement := range []string{
		// Parents are made after their children: their keys are checked when all are there.
		"PRAGMA defer_foreign_keys = 1",
		"INSERT INTO Resources SELECT id, type, publicId, parent FROM fresh ORDER BY id",
		"INSERT INTO MainDicomTags SELECT n.id, t.tagGroup, t.tagElement, " + own + " FROM fresh n JOIN MainDicomTags t ON t.id = n.pattern ORDER BY n.id",
		"INSERT INTO DicomIdentifiers SELECT n.id, t.tagGroup, t.tagElement, " + own + " FROM fresh n JOIN DicomIdentifiers t ON t.id = n.pattern ORDER BY n.id",
		"INSERT INTO Metadata SELECT n.id, t.type, t.value FROM fresh n JOIN Metadata t ON t.id = n.pattern ORDER BY n.id",
		"INSERT INTO Changes SELECT NULL, change, id, type, strftime('%Y%m%dT%H%M%S', 1600000000 + id, 'unixepoch') FROM fresh ORDER BY id",
	} {
		if _, err := tx.Exec(statement); err != nil {
			return err
		}
	}
	return nil
}

// publicID makes up an identifier of the form of Orthanc's, which are SHA-1 sums.
func (a *archive) publicID() string {
	var sum [20]byte
	for i := range sum {
		sum[i] = byte(a.rnd.Uint32())
	}
	h := hex.EncodeToString(sum[:])
	return h[:8] + "-" + h[8:16] + "-" + h[16:24] + "-" + h[24:32] + "-" + h[32:]
}

// deleteSeries deletes series all over the archive as Orthanc does, by its triggers, and returns the names of the files that are
// named no more.
func (a *archive) deleteSeries(ctx context.Context, n int) (gone []string, err error) {
	for range n {
		var series int
		err := a.db.QueryRowContext(ctx, "SELECT internalId FROM Resources WHERE resourceType = 3 AND internalId > ? ORDER BY internalId LIMIT 1",
			a.rnd.IntN(max(1, (a.studies-1)*instancesPerStudy))+patternSecond).Scan(&series)
		if err != nil {
			return nil, err
		}
		rows, err := a.db.QueryContext(ctx, "SELECT f.uuid FROM AttachedFiles f JOIN Resources r ON r.internalId = f.id WHERE r.parentId = ?", series)
		if err != nil {
			return nil, err
		}
		for rows.Next() {
			var name string
			if err := rows.Scan(&name); err != nil {
				return nil, errors.Join(err, rows.Close())
			}
			gone = append(gone, name)
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			return nil, err
		}
		if _, err := a.db.ExecContext(ctx, "DELETE FROM Resources WHERE internalId = ?", series); err != nil {
			return nil, err
		}
	}
	return gone, nil
}

const pageSize = 4096 // of Orthanc's index

// changedPages compares two states of an index.
func changedPages(before, after string) (pages, compressed int64, err error) {
	old, err := os.Open(before)
	if err != nil {
		return 0, 0, err
	}
	defer old.Close()
	now, err := os.Open(after)
	if err != nil {
		return 0, 0, err
	}
	defer now.Close()
	var out countingWriter
	z, err := zstd.NewWriter(&out)
	if err != nil {
		return 0, 0, err
	}
	a, b := make([]byte, pageSize), make([]byte, pageSize)
	for at := int64(0); ; at += pageSize {
		if _, err := now.ReadAt(b, at); err == io.EOF {
			break
		} else if err != nil {
			return 0, 0, err
		}
		if n, err := old.ReadAt(a, at); err != nil && err != io.EOF {
			return 0, 0, err
		} else if n == pageSize && bytes.Equal(a, b) {
			continue
		}
		pages++
		if _, err := z.Write(b); err != nil {
			return 0, 0, err
		}
	}
	err = z.Close()
	return pages, out.n, err
}

// countingWriter counts what is written to it.
type countingWriter struct{ n int64 }

func (c *countingWriter) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	return len(p), nil
}

// copyFile copies a file.
func copyFile(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

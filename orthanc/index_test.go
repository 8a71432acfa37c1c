//go:build linux

package orthanc_test

import (
	"context"
	"crypto/md5"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/orthokeep/orthokeep/orthanc"
	"github.com/orthokeep/orthokeep/orthanc/orthanctest"
)

// schema is what the reader needs of Orthanc's schema, version 6.
const schema = `
	CREATE TABLE GlobalProperties(property INTEGER PRIMARY KEY, value TEXT);
	CREATE TABLE Resources(internalId INTEGER PRIMARY KEY AUTOINCREMENT, resourceType INTEGER, publicId TEXT, parentId INTEGER);
	CREATE TABLE MainDicomTags(id INTEGER, tagGroup INTEGER, tagElement INTEGER, value TEXT, PRIMARY KEY(id, tagGroup, tagElement));
	CREATE TABLE DicomIdentifiers(id INTEGER, tagGroup INTEGER, tagElement INTEGER, value TEXT, PRIMARY KEY(id, tagGroup, tagElement));
	CREATE TABLE AttachedFiles(id INTEGER, fileType INTEGER, uuid TEXT, compressedSize INTEGER, uncompressedSize INTEGER,
		compressionType INTEGER, uncompressedMD5 TEXT, compressedMD5 TEXT, PRIMARY KEY(id, fileType));
	CREATE INDEX ChildrenIndex ON Resources(parentId);
	CREATE INDEX ResourceTypeIndex ON Resources(resourceType);
	INSERT INTO GlobalProperties VALUES(1, '6');`

// makeIndex writes dir/index with the schema and what the statements add.
func makeIndex(t testing.TB, dir string, statements ...string) {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(dir, "index"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, statement := range append([]string{schema}, statements...) {
		if _, err := db.Exec(statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

// attach is the statement for one attachment.
func attach(id, kind int, uuid string) string {
	return fmt.Sprintf("INSERT INTO AttachedFiles VALUES(%d, %d, '%s', 5, 6, 1, '', '')", id, kind, uuid)
}

func open(t testing.TB, dir string) *orthanc.Index {
	t.Helper()
	x, err := orthanc.OpenIndexCopy(t.Context(), dir, orthanc.CheckFull)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { x.Close() })
	return x
}

func TestAttachmentsOrder(t *testing.T) {
	dir := t.TempDir()
	uuid := func(i int) string { return fmt.Sprintf("%08x-0000-4000-8000-0123456789ab", i) }
	makeIndex(t, dir, attach(7, 1, uuid(1)), attach(3, 1024, uuid(2)), attach(3, 1, uuid(3)), attach(12, 1, uuid(4)),
		"INSERT INTO AttachedFiles VALUES(1, 3, '"+uuid(5)+"', 5, 6, 2, 'x', '00112233445566778899aabbccddeeff')",
		"INSERT INTO AttachedFiles VALUES(2, 3, '"+uuid(6)+"', 5, 6, 2, NULL, NULL)")
	x := open(t, dir)
	list, err := collect(x.Attachments(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, a := range list {
		got = append(got, fmt.Sprintf("%d/%d/%s/%v", a.ResourceID, a.FileType, a.UUID.String()[:8], a.HasMD5))
	}
	want := []string{"1/3/00000005/true", "2/3/00000006/false", "3/1/00000003/false", "3/1024/00000002/false", "7/1/00000001/false", "12/1/00000004/false"}
	if !slices.Equal(got, want) {
		t.Fatalf("got %q", got)
	}
	a := list[0]
	if a.CompressedSize != 5 || a.UncompressedSize != 6 || a.Compression != 2 || hex.EncodeToString(a.CompressedMD5[:]) != "00112233445566778899aabbccddeeff" {
		t.Fatalf("%+v", a)
	}
	plan, err := x.AttachmentsPlan(t.Context())
	if err != nil || !strings.Contains(plan, "USING INDEX") || strings.Contains(plan, "TEMP B-TREE") {
		t.Fatalf("the list is sorted in memory: %s, %v", plan, err)
	}
	counts, err := x.Counts(t.Context())
	if err != nil || counts.Attachments != 6 || counts.Bytes != 30 {
		t.Fatalf("%+v, %v", counts, err)
	}
	// It can be left early, and read again.
	for range x.Attachments(t.Context()) {
		break
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := collect(x.Attachments(ctx)); !errors.Is(err, context.Canceled) || errors.Is(err, orthanc.ErrIndex) {
		t.Fatalf("cancelled: %v", err)
	}
}

func TestIndexRefused(t *testing.T) {
	for _, test := range []struct {
		name      string
		statement string
		want      error
		says      string
	}{
		{"older schema", "UPDATE GlobalProperties SET value = '5'", orthanc.ErrSchema, `"5"`},
		{"newer schema", "UPDATE GlobalProperties SET value = '7'", orthanc.ErrSchema, `"7"`},
		{"no version", "DELETE FROM GlobalProperties", orthanc.ErrSchema, `""`},
		{"no table", "DROP TABLE AttachedFiles", orthanc.ErrSchema, "AttachedFiles"},
		{"a view", "ALTER TABLE Resources RENAME TO x; CREATE VIEW Resources AS SELECT * FROM x", orthanc.ErrSchema, "Resources"},
		{"a column", "ALTER TABLE AttachedFiles RENAME COLUMN uuid TO x", orthanc.ErrIndex, "uuid"},
		{"path in UUID", attach(1, 1, "../../../../../../../../etc/passwd01"), orthanc.ErrIndex, "resource 1"},
		{"long UUID", attach(1, 1, someUUID+"/x"), orthanc.ErrIndex, "resource 1"},
		{"upper case", attach(1, 1, strings.ToUpper(someUUID)), orthanc.ErrIndex, "UUID"},
		{"no UUID", "INSERT INTO AttachedFiles VALUES(1, 1, NULL, 1, 1, 1, '', '')", orthanc.ErrIndex, ""},
		{"negative size", "INSERT INTO AttachedFiles VALUES(1, 1, '" + someUUID + "', -1, 1, 1, '', '')", orthanc.ErrIndex, "negative"},
		{"size is no number", "INSERT INTO AttachedFiles VALUES(1, 1, '" + someUUID + "', 'x', 1, 1, '', '')", orthanc.ErrIndex, ""},
		{"no number of resource", "INSERT INTO AttachedFiles VALUES(NULL, 1, '" + someUUID + "', 1, 1, 1, '', '')", orthanc.ErrIndex, ""},
		{"short MD5", "INSERT INTO AttachedFiles VALUES(1, 1, '" + someUUID + "', 1, 1, 1, '', '0011')", orthanc.ErrIndex, "MD5"},
		{"long MD5", "INSERT INTO AttachedFiles VALUES(1, 1, '" + someUUID + "', 1, 1, 1, '', '00112233445566778899aabbccddeeff0')", orthanc.ErrIndex, "MD5"},
		{"file type", attach(1, 65536, someUUID), orthanc.ErrIndex, "file type 65536"},
		{
			"custom data", "ALTER TABLE AttachedFiles ADD COLUMN customData BLOB; INSERT INTO AttachedFiles VALUES(1, 1, '" + someUUID + "', 1, 1, 1, '', '', x'00')",
			orthanc.ErrLayout, someUUID,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			makeIndex(t, dir, test.statement)
			x, err := orthanc.OpenIndexCopy(t.Context(), dir, orthanc.CheckQuick)
			if err == nil {
				defer x.Close()
				_, err = collect(x.Attachments(t.Context()))
			}
			if !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.says) || strings.Contains(err.Error(), "passwd") && test.name != "path in UUID" {
				t.Fatalf("got %v, want %v with %q", err, test.want, test.says)
			}
		})
	}
}

func TestIndexCustomDataEmpty(t *testing.T) {
	dir := t.TempDir()
	makeIndex(t, dir, "ALTER TABLE AttachedFiles ADD COLUMN revision INTEGER", "ALTER TABLE AttachedFiles ADD COLUMN customData BLOB", "INSERT INTO GlobalProperties VALUES(7, 1)",
		"INSERT INTO AttachedFiles VALUES(1, 1, '"+someUUID+"', 1, 1, 1, '', '', 0, NULL)")
	x := open(t, dir)
	if list, err := collect(x.Attachments(t.Context())); err != nil || len(list) != 1 || !x.CustomData {
		t.Fatalf("%v, %v", list, err)
	}
}

// TestIndexDamaged: each kind of broken file is damage, said in one line.
func TestIndexDamaged(t *testing.T) {
	whole := t.TempDir()
	var statements []string
	for i := range 500 {
		statements = append(statements, attach(i, 1, fmt.Sprintf("%08x-0000-4000-8000-0123456789ab", i)))
	}
	makeIndex(t, whole, statements...)
	good, err := os.ReadFile(filepath.Join(whole, "index"))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name   string
		change func(b []byte) []byte
	}{
		{"empty", func([]byte) []byte { return nil }},
		{"cut in the header", func(b []byte) []byte { return b[:50] }},
		{"cut", func(b []byte) []byte { return b[:len(b)/2] }},
		{"a page of zeros", func(b []byte) []byte { clear(b[len(b)-4096:]); return b }},
		{"pages exchanged", func(b []byte) []byte {
			n := len(b)
			return slices.Concat(b[:n-8192], b[n-4096:], b[n-8192:n-4096])
		}},
		{"not a database", func(b []byte) []byte { return []byte(strings.Repeat("no database ", 1000)) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, "index", string(test.change(slices.Clone(good))))
			if x, err := orthanc.OpenIndexCopy(t.Context(), dir, orthanc.CheckFull); !errors.Is(err, orthanc.ErrIndex) || strings.Contains(err.Error(), "\n") {
				if err == nil {
					x.Close()
				}
				t.Fatalf("got %v", err)
			}
		})
	}
	if _, err := orthanc.OpenIndexCopy(t.Context(), t.TempDir(), orthanc.CheckQuick); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("absent: %v", err)
	}
	link := t.TempDir()
	if os.Symlink(filepath.Join(whole, "index"), filepath.Join(link, "index")) == nil {
		if _, err := orthanc.OpenIndexCopy(t.Context(), link, orthanc.CheckQuick); !errors.Is(err, orthanc.ErrIndex) {
			t.Fatalf("a link: %v", err)
		}
	}
}

func TestIndexHeld(t *testing.T) {
	dir := t.TempDir()
	makeIndex(t, dir)
	hold(t, filepath.Join(dir, "index"), os.O_RDWR)
	if _, err := orthanc.OpenIndexCopy(t.Context(), dir, orthanc.CheckQuick); !errors.Is(err, orthanc.ErrHeld) {
		t.Fatalf("an index that is held open: %v", err)
	}
}

// copyIndex copies index and log of a server that stands still.
func copyIndex(t *testing.T, s *orthanctest.Server) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"index", "index-wal"} {
		if err := copyFile(filepath.Join(dir, name), filepath.Join(s.IndexDir(), name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
	return dir
}

// TestIndexOfRealServer: a copy taken from a frozen and from a stopped server says what the server itself says, although
// all of it lies in the log at first.
func TestIndexOfRealServer(t *testing.T) {
	t.Parallel()
	s := orthanctest.Start(t, orthanctest.Options{SplitIndex: true})
	sums := map[string]bool{}
	for i := range 12 {
		data := orthanctest.Sample(1+i/8, i/4, i/2, i, 8+i)
		if _, err := s.Upload(data); err != nil {
			t.Fatal(err)
		}
		sum := md5.Sum(data)
		sums[hex.EncodeToString(sum[:])] = true
	}
	statistics, err := s.Statistics()
	if err != nil {
		t.Fatal(err)
	}

	verify := func(dir string) orthanc.WAL {
		t.Helper()
		x := open(t, dir)
		counts, err := x.Counts(t.Context())
		want := orthanc.Counts{
			Patients: statistics.CountPatients, Studies: statistics.CountStudies, Series: statistics.CountSeries,
			Instances: statistics.CountInstances, Bytes: statistics.TotalDiskSize,
		}
		list, err2 := collect(x.Attachments(t.Context()))
		want.Attachments = int64(len(list))
		if err != nil || err2 != nil || counts != want || x.Schema != 6 {
			t.Fatalf("%+v, want %+v; %v, %v", counts, want, err, err2)
		}
		found := 0
		for _, a := range list {
			if a.FileType == orthanc.FileDicom && a.HasMD5 && sums[hex.EncodeToString(a.CompressedMD5[:])] {
				found++
			}
			path := filepath.Join(s.StorageDir(), a.UUID.String()[:2], a.UUID.String()[2:4], a.UUID.String())
			if info, err := os.Stat(path); err != nil || info.Size() != a.CompressedSize {
				t.Fatalf("attachment %s: %v, %v", a.UUID, info, err)
			}
		}
		if found != 12 {
			t.Fatalf("%d of 12 instances by their MD5", found)
		}
		views(t, x)
		x.Close()
		if names, _ := filepath.Glob(filepath.Join(dir, "*")); len(names) != 1 {
			t.Fatalf("beside the index there is %q", names)
		}
		again := open(t, dir)
		if counts, err := again.Counts(t.Context()); err != nil || counts != want || again.WAL != (orthanc.WAL{}) {
			t.Fatalf("opened again: %+v, %+v, %v", counts, again.WAL, err)
		}
		return x.WAL
	}

	freeze(t, s)
	frozen := copyIndex(t, s)
	lost := t.TempDir() // what reading the index without its log gives
	if err := copyFile(filepath.Join(lost, "index"), filepath.Join(frozen, "index")); err != nil {
		t.Fatal(err)
	}
	thaw(t, s)
	if wal := verify(frozen); wal.Committed == 0 || wal.Torn || wal.PageSize != 4096 {
		t.Fatalf("log of the frozen server: %+v", wal)
	}
	// Without the log the instances are not there: the test has rows only in the log.
	if x, err := orthanc.OpenIndexCopy(t.Context(), lost, orthanc.CheckFull); err == nil {
		counts, err := x.Counts(t.Context())
		x.Close()
		if err != nil || counts.Instances != 0 {
			t.Fatalf("without the log: %+v, %v", counts, err)
		}
	}
	if err := s.Kill(); err != nil {
		t.Fatal(err)
	}
	if wal := verify(copyIndex(t, s)); wal.Committed == 0 {
		t.Fatalf("log of the killed server: %+v", wal)
	}
	if err := s.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	if wal := verify(copyIndex(t, s)); wal != (orthanc.WAL{}) {
		t.Fatalf("log of the stopped server: %+v", wal)
	}
	agree(t, copyIndex(t, s), s.StorageDir())
}

// views compares patients, studies and series with what was uploaded.
func views(t *testing.T, x *orthanc.Index) {
	t.Helper()
	patients, err := collect(x.Patients(t.Context()))
	if err != nil || len(patients) != 2 || patients[0].PatientID != "P1" || patients[0].Name != "Sample^Patient1" ||
		patients[0].Studies != 2 || patients[0].Instances != 8 || patients[1].Instances != 4 || len(patients[0].ID) != 44 {
		t.Fatalf("patients %+v, %v", patients, err)
	}
	studies, err := collect(x.Studies(t.Context()))
	if err != nil || len(studies) != 3 {
		t.Fatalf("studies %+v, %v", studies, err)
	}
	s := studies[1]
	if s.PatientID != "P1" || s.PatientName != "Sample^Patient1" || s.Date != "20240202" || s.Description != "Study 1" ||
		s.AccessionNumber != "ACC1" || s.Series != 2 || s.Instances != 4 || s.StudyInstanceUID != "1.2.826.0.1.3680043.10.1.1.1" {
		t.Fatalf("study %+v", s)
	}
	series, err := collect(x.Series(t.Context()))
	if err != nil || len(series) != 6 {
		t.Fatalf("series %+v, %v", series, err)
	}
	if e := series[2]; e.Modality != "OT" || e.Instances != 2 || e.Description != "Series 2" || e.StudyInstanceUID != s.StudyInstanceUID ||
		e.SeriesInstanceUID != s.StudyInstanceUID+".2" {
		t.Fatalf("series %+v", e)
	}
}

func FuzzIndex(f *testing.F) {
	dir := f.TempDir()
	makeIndex(f, dir, attach(1, 1, someUUID), "INSERT INTO Resources VALUES(1, 1, 'x', NULL)", "INSERT INTO MainDicomTags VALUES(1, 16, 32, 'v')")
	good, err := os.ReadFile(filepath.Join(dir, "index"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good, []byte{})
	f.Add(good, realWAL(f))
	f.Add(good[:4096], []byte("x"))
	f.Add([]byte("SQLite format 3\x00\x10\x00"), []byte{})
	f.Fuzz(func(t *testing.T, index, wal []byte) {
		if len(index) <= 1<<18 && len(wal) <= 1<<18 {
			hostile(t, index, wal)
		}
	})
}

// hostile reads all there is of an index, which may be anything: no panic, no error without a name, an end.
func hostile(t *testing.T, index, wal []byte) {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, "index", string(index))
	if len(wal) > 0 {
		write(t, dir, "index-wal", string(wal))
	}
	for _, check := range []orthanc.IndexCheck{orthanc.CheckQuick, orthanc.CheckNone} { // the second time the log has been replayed
		readAll(t, dir, check)
	}
}

// readAll reads all there is of an index that may be anything.
func readAll(t *testing.T, dir string, check orthanc.IndexCheck) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	known := func(err error) {
		if err != nil && !errors.Is(err, orthanc.ErrIndex) && !errors.Is(err, orthanc.ErrSchema) && !errors.Is(err, orthanc.ErrLayout) && ctx.Err() == nil {
			t.Fatalf("unexpected error: %v", err)
		}
	}
	x, err := orthanc.OpenIndexCopy(ctx, dir, check)
	known(err)
	if err != nil {
		return
	}
	defer x.Close()
	_, err = orthanc.UnfinishedJobs(ctx, filepath.Join(dir, "index"))
	known(err)
	_, err = collect(x.Attachments(ctx))
	known(err)
	_, err = x.Counts(ctx)
	known(err)
	_, err = collect(x.Patients(ctx))
	known(err)
	_, err = collect(x.Studies(ctx))
	known(err)
	_, err = collect(x.Series(ctx))
	known(err)
}

// TestIndexHostile changes bytes of an index with a log at random: more of them than the fuzzer reaches in a short time.
func TestIndexHostile(t *testing.T) {
	t.Parallel()
	index, wal := withLog(t)
	for seed := range uint64(60) {
		random := rand.New(rand.NewPCG(seed, 1))
		index, wal := slices.Clone(index), slices.Clone(wal)
		for range 1 + random.IntN(20) {
			b := index
			if seed%3 == 0 {
				b = wal
			}
			at := random.IntN(len(b))
			if random.IntN(2) == 0 { // near the beginning of a page, where its structure is
				at = at&^4095 + random.IntN(64)
			}
			b[min(at, len(b)-1)] = byte(random.IntN(256))
		}
		if seed%2 == 0 {
			wal = nil
		}
		hostile(t, index, wal)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// agree sees that the storage area holds what the index names, and nothing else.
func agree(t *testing.T, index, storage string) {
	t.Helper()
	named := map[orthanc.UUID]bool{}
	for a, err := range open(t, index).Attachments(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		named[a.UUID] = true
	}
	var count orthanc.Listing
	for u, err := range (orthanc.StorageArea{Root: storage}).List(t.Context(), &count) {
		if err != nil || !named[u] {
			t.Fatalf("attachment %s is not in the index (%v)", u, err)
		}
	}
	if count.Attachments != int64(len(named)) || count.Foreign != 0 {
		t.Fatalf("%+v, the index names %d", count, len(named))
	}
}

// TestIndexOfCompressingServer: compressed attachments, beginnings of files, and no MD5 where none is stored.
func TestIndexOfCompressingServer(t *testing.T) {
	t.Parallel()
	s := orthanctest.Start(t, orthanctest.Options{Settings: map[string]any{"StorageCompression": true, "StoreMD5ForAttachments": false}})
	if _, err := s.Upload(orthanctest.Sample(1, 1, 1, 1, 64)); err != nil {
		t.Fatal(err)
	}
	freeze(t, s)
	dir := copyIndex(t, s)
	thaw(t, s)
	list, err := collect(open(t, dir).Attachments(t.Context()))
	if err != nil || len(list) != 2 || list[0].FileType != orthanc.FileDicom || list[1].FileType != orthanc.FileUntilPixelData {
		t.Fatalf("%+v, %v", list, err)
	}
	for _, a := range list {
		f, err := orthanc.StorageArea{Root: s.StorageDir()}.Open(a.UUID)
		if err != nil {
			t.Fatal(err)
		}
		info, err := f.Stat()
		f.Close()
		if err != nil || info.Size() != a.CompressedSize || a.Compression != orthanc.CompressionZlibSize || a.HasMD5 ||
			a.UncompressedSize <= a.CompressedSize {
			t.Fatalf("%+v, %v bytes, %v", a, info.Size(), err)
		}
	}
}

//go:build linux

package orthanc

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/orthokeep/orthokeep/repo"
	"github.com/orthokeep/orthokeep/snapshot"
)

// allocated returns the bytes that f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestHostileConfiguration: without limits the first two exhaust the stack, which nothing recovers from, and the others take hundreds of
// megabytes to gigabytes.
func TestHostileConfiguration(t *testing.T) {
	const most = maxConfiguration - 100
	for name, text := range map[string]string{
		"lists in lists":             `{"a":` + strings.Repeat("[", most),
		"objects in objects":         strings.Repeat(`{"a":`, most/5),
		"closed again":               `{"a":` + strings.Repeat("[", maxNesting+1) + strings.Repeat("]", maxNesting+1) + "}",
		"behind comments and quotes": `{"\"":"[[",/*]*/"a":` + strings.Repeat("[", most/2),
		"a million values":           `{"a":[` + strings.Repeat("1,", 1<<20) + `]}`,
		"a million members":          `{` + strings.Repeat(`"":1,`, 1<<19) + `}`,
		"a variable again and again": `{"a":"` + strings.Repeat("${LONG}", 1<<14) + `"}`,
	} {
		t.Run(name, func(t *testing.T) {
			env := func(string) (string, bool) { return strings.Repeat("x", 10_000), true }
			var err error
			n := allocated(func() {
				_, err = parseConfiguration(nil, "/c.json", []ConfigurationFile{{"/c.json", []byte(text)}}, env)
			})
			if !errors.Is(err, ErrConfiguration) || n > 256<<20 {
				t.Errorf("%d bytes allocated, %v", n, err)
			}
		})
	}
	deep := `{"a":` + strings.Repeat("[", maxNesting-1) + strings.Repeat("]", maxNesting-1) + "}"
	if _, err := parseConfiguration(nil, "/c.json", []ConfigurationFile{{"/c.json", []byte(deep)}}, nil); err != nil {
		t.Errorf("as deep as Orthanc permits: %v", err)
	}
}

// hostileRestore is a restore of files whose contents are given.
func hostileRestore(target string, storage string, files ...snapshot.ExtraFile) *restorer {
	p := &RestorePlan{Target: target, Storage: filepath.Join(target, "storage"), Files: filepath.Join(target, "files"), rewritten: map[string][]byte{},
		files: snapshot.Files{Storage: storage, Files: files}, o: RestoreOptions{Overwrite: true}}
	for i, f := range files {
		p.rewritten[f.Path] = []byte{byte('0' + i)}
	}
	return &restorer{plan: p, root: &snapshot.Root{}, res: &RestoreResult{}}
}

// TestRestoreOfFilesThatMeet: of two files that come to lie in one place the first is kept, and the second is damage.
func TestRestoreOfFilesThatMeet(t *testing.T) {
	target := t.TempDir()
	if err := errors.Join(os.MkdirAll(filepath.Join(target, "files", "etc", "real"), 0o755), os.Symlink("real", filepath.Join(target, "files", "etc", "link")),
		os.WriteFile(filepath.Join(target, "files", "etc", "real", "x"), []byte("old"), 0o644)); err != nil {
		t.Fatal(err)
	}
	file := func(path string) snapshot.ExtraFile {
		return snapshot.ExtraFile{Path: path, Mode: 0o644, Kind: KindScript}
	}
	err := hostileRestore(target, "/s", file("/etc/real/x"), file("/etc/link/x"), file("/etc/REAL"), file("/dev/null")).files(t.Context())
	if !errors.Is(err, repo.ErrCorrupt) || !strings.Contains(err.Error(), "/etc/link/x") {
		t.Errorf("error %v", err)
	}
	for path, want := range map[string]string{"etc/real/x": "0", "etc/REAL": "2", "dev/null": "3"} {
		info, statErr := os.Lstat(filepath.Join(target, "files", path))
		got, err := os.ReadFile(filepath.Join(target, "files", path))
		if err != nil || statErr != nil || string(got) != want || !info.Mode().IsRegular() {
			t.Errorf("%s holds %q, %v", path, got, err)
		}
	}
	if err := hostileRestore(t.TempDir(), "/s", file("/etc/a"), file("/etc/a")).files(t.Context()); !errors.Is(err, repo.ErrCorrupt) {
		t.Errorf("the same twice: %v", err)
	}
}

// TestPendingListsInTheWrongPlace: what says it is a list of pending deletions may not be the index, its log, or an attachment.
func TestPendingListsInTheWrongPlace(t *testing.T) {
	const uuid = "0123abcd-0000-4000-8000-0123456789ab"
	for path, want := range map[string]bool{
		"/s/pending-deletions.db": true, "/s/lists/p.db": true, "/etc/index": true, "/s/sub/index": true, "/elsewhere/" + uuid: true,
		"/s/index": false, "/s/index-wal": false, "/s/INDEX-journal": false, "/s/index-shm": false, "/s/01/23/" + uuid: false, "/s/" + uuid: false,
	} {
		p := hostileRestore("/t", "/s", snapshot.ExtraFile{Path: path, Kind: KindPending}).plan
		if err := p.checkPending(); want != (err == nil) || err != nil && !errors.Is(err, repo.ErrCorrupt) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// TestNeededOfHostileCounts: counts at their bounds do not overflow to a restore that fits everywhere.
func TestNeededOfHostileCounts(t *testing.T) {
	root := &snapshot.Root{Counts: snapshot.Counts{Attachments: 1 << 40, Bytes: 1 << 60}, Orphans: &snapshot.Orphans{Bytes: 1 << 60},
		Index: snapshot.Index{Size: 4096, Layers: []snapshot.IndexLayer{{Size: 1 << 48}, {Size: 4096}}}}
	root.Orphans.Attachments = 1 << 40
	if n := needed(root, []snapshot.ExtraFile{{Size: 1 << 50}}); n < 1<<61 {
		t.Errorf("%d bytes", n)
	}
	if n := needed(&snapshot.Root{Index: root.Index}, nil); n < 1<<48 {
		t.Errorf("an index that is larger on its way: %d bytes", n)
	}
}

// testIndex makes the file of an index with nothing in it.
func testIndex(t testing.TB, statements ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "index")
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, s := range append([]string{
		"CREATE TABLE GlobalProperties(property INTEGER PRIMARY KEY, value TEXT)",
		"CREATE TABLE Resources(internalId INTEGER PRIMARY KEY AUTOINCREMENT, resourceType INTEGER, publicId TEXT, parentId INTEGER)",
		"CREATE TABLE MainDicomTags(id INTEGER, tagGroup INTEGER, tagElement INTEGER, value TEXT, PRIMARY KEY(id, tagGroup, tagElement))",
		"CREATE TABLE AttachedFiles(id INTEGER, fileType INTEGER, uuid TEXT, compressedSize INTEGER, uncompressedSize INTEGER, compressionType INTEGER, uncompressedMD5 TEXT, compressedMD5 TEXT, PRIMARY KEY(id, fileType))",
		"INSERT INTO GlobalProperties VALUES(1, '6')",
	}, statements...) {
		if _, err := db.Exec(s); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

const identifiers = "CREATE TABLE DicomIdentifiers(id INTEGER, tagGroup INTEGER, tagElement INTEGER, value TEXT, PRIMARY KEY(id, tagGroup, tagElement))"

// TestHostileIndexSchema: an index may not compute what it says.
func TestHostileIndexSchema(t *testing.T) {
	if x, err := OpenIndexCopy(t.Context(), filepath.Dir(testIndex(t, identifiers)), CheckNone); err != nil {
		t.Fatal("a good one:", err)
	} else if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	for name, statement := range map[string]string{
		"a computed column":  "CREATE TABLE DicomIdentifiers(id INTEGER, tagGroup INTEGER, tagElement INTEGER, value TEXT AS (hex(zeroblob(400000000))))",
		"a view":             "CREATE VIEW DicomIdentifiers AS SELECT 1 AS id, 2 AS tagGroup, 3 AS tagElement, hex(zeroblob(400000000)) AS value",
		"no table at all":    "CREATE TABLE other(id INTEGER)",
		"a stored column":    "CREATE TABLE DicomIdentifiers(id INTEGER, tagGroup INTEGER, tagElement INTEGER, value TEXT AS ('x') STORED)",
		"a table of another": "CREATE VIRTUAL TABLE DicomIdentifiers USING fts5(id, tagGroup, tagElement, value)",
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			if x, err := OpenIndexCopy(ctx, filepath.Dir(testIndex(t, statement)), CheckNone); !errors.Is(err, ErrSchema) && !errors.Is(err, ErrIndex) {
				t.Errorf("%v, %v", x, err)
			}
		})
	}
}

// TestHostileIndexMemory: SQLite's check computes the expressions of indices, 800 MB here; those of constraints it leaves alone.
func TestHostileIndexMemory(t *testing.T) {
	path := testIndex(t, identifiers, "INSERT INTO Resources VALUES(1, 1, 'x', NULL)", "CREATE INDEX big ON Resources(length(publicId))", "PRAGMA writable_schema=1",
		"UPDATE sqlite_schema SET sql = 'CREATE INDEX big ON Resources(length(hex(zeroblob(400000000))))' WHERE name = 'big'")
	constraint := testIndex(t, strings.Replace(identifiers, "value TEXT", "value TEXT CHECK (length(value) < 9)", 1), "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 40) INSERT INTO DicomIdentifiers SELECT i, 1, 1, 'x' FROM n", "PRAGMA writable_schema=1",
		"UPDATE sqlite_schema SET sql = replace(sql, 'length(value) < 9', 'length(hex(zeroblob(400000000 + id))) < 9') WHERE name = 'DicomIdentifiers'")
	partial := testIndex(t, identifiers, "CREATE INDEX part ON Resources(publicId) WHERE length(publicId) < 9")
	for _, c := range []struct {
		path string
		want error
	}{{path, ErrIndex}, {partial, ErrIndex}, {constraint, nil}} {
		began := time.Now()
		x, err := OpenIndexCopy(t.Context(), filepath.Dir(c.path), CheckFull)
		if !errors.Is(err, c.want) || err != nil && !strings.Contains(err.Error(), "computes") {
			t.Errorf("%s: %v", c.path, err)
		}
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("%s: %v", c.path, took)
		}
		if x != nil {
			x.Close()
		}
	}
}

// TestHostileJobs: jobs are JSON in the index.
func TestHostileJobs(t *testing.T) {
	var many strings.Builder
	for i := range maxJobValues / 3 {
		fmt.Fprintf(&many, `"%d":{},`, i)
	}
	for name, text := range map[string]string{
		"many values": `'{"Jobs":{` + many.String() + `"x":{"State":"Running"}}}'`,
		"too long":    `'{"Jobs":{"a":{"State":"Running"}}' || replace(hex(zeroblob(20000000)), '0', ' ') || '}'`,
		"nested":      `'` + strings.Repeat(`{"Jobs":`, 100_000) + `'`,
	} {
		path := testIndex(t, "INSERT INTO GlobalProperties VALUES(5, "+text+")")
		if n, err := unfinishedJobs(t.Context(), path); n != 0 || err != nil {
			t.Errorf("%s: %d jobs, %v", name, n, err)
		}
	}
}

// FuzzPendingList reads what may be a list of pending deletions.
func FuzzPendingList(f *testing.F) {
	good, err := os.ReadFile(testIndex(f, "CREATE TABLE Pending(uuid TEXT, type INTEGER)", "INSERT INTO Pending VALUES('0123abcd-0000-4000-8000-0123456789ab', 1)"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good, uint16(0), byte(0))
	f.Add(good, uint16(105), byte(1))
	f.Add(good[:512], uint16(0), byte(0))
	f.Add([]byte{}, uint16(0), byte(0))
	f.Fuzz(func(t *testing.T, b []byte, at uint16, flip byte) {
		if len(b) > 1<<17 {
			return
		}
		dir := t.TempDir()
		if len(b) > 0 {
			b = append([]byte(nil), b...)
			b[int(at)%len(b)] ^= flip
		}
		path := filepath.Join(dir, "list.db")
		named := newUUIDSet(filepath.Join(dir, "named"))
		err := os.WriteFile(path, b, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		n := allocated(func() { err = settleList(ctx, path, named) })
		if err != nil && !errors.Is(err, ErrIndex) && ctx.Err() == nil {
			t.Fatal(err)
		}
		if n > 16<<20+64*uint64(len(b)) {
			t.Fatalf("%d bytes allocated", n)
		}
		if err := named.filled(); err != nil {
			t.Fatal(err)
		}
	})
}

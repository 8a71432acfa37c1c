package main

import (
	"cmp"
	"crypto/md5"
	"database/sql"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
	_ "modernc.org/sqlite"

	"github.com/orthokeep/orthokeep/chunk/dicomtest"
)

// siteSchema is what orthokeep reads of Orthanc's schema, version 6.
const siteSchema = `
	CREATE TABLE GlobalProperties(property INTEGER PRIMARY KEY, value TEXT);
	CREATE TABLE Resources(internalId INTEGER PRIMARY KEY AUTOINCREMENT, resourceType INTEGER, publicId TEXT, parentId INTEGER);
	CREATE TABLE MainDicomTags(id INTEGER, tagGroup INTEGER, tagElement INTEGER, value TEXT, PRIMARY KEY(id, tagGroup, tagElement));
	CREATE TABLE DicomIdentifiers(id INTEGER, tagGroup INTEGER, tagElement INTEGER, value TEXT, PRIMARY KEY(id, tagGroup, tagElement));
	CREATE TABLE AttachedFiles(id INTEGER, fileType INTEGER, uuid TEXT, compressedSize INTEGER, uncompressedSize INTEGER,
		compressionType INTEGER, uncompressedMD5 TEXT, compressedMD5 TEXT, PRIMARY KEY(id, fileType));
	CREATE INDEX ChildrenIndex ON Resources(parentId);
	INSERT INTO GlobalProperties VALUES(1, '6');
	INSERT INTO Resources VALUES(1, 1, 'patient-1', NULL), (2, 2, 'study-1', 1), (3, 3, 'series-1', 2);
	INSERT INTO DicomIdentifiers VALUES(1, 16, 32, 'PID-1'), (2, 32, 13, '1.2.3'), (2, 8, 80, 'ACC-1'), (3, 32, 14, '1.2.3.4');
	INSERT INTO MainDicomTags VALUES(1, 16, 16, 'Doe^' || char(27) || '[31mJane'), (1, 16, 48, '19700101'), (1, 16, 64, 'F'),
		(2, 8, 32, '20240229'), (2, 8, 4144, 'Head'), (3, 8, 96, 'CT'), (3, 32, 17, '7'), (3, 8, 4158, 'axial');`

// makeSite is "site DIR": the folder of an Orthanc that is down, with one patient and six instances, DIR/orthanc.json,
// DIR/index/index and DIR/storage. The UUIDs are 00000000-0000-0000-0000-000000000001 and so on; the last is large enough to be cut.
func makeSite(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: site DIR")
	}
	dir := ts.MkAbs(args[0])
	for _, name := range []string{"index", "storage"} {
		ts.Check(os.MkdirAll(filepath.Join(dir, name), 0o755))
	}
	config, err := json.Marshal(map[string]any{"Name": "Site", "StorageDirectory": "storage", "IndexDirectory": "index", "HttpServerEnabled": false})
	ts.Check(err)
	ts.Check(os.WriteFile(filepath.Join(dir, "orthanc.json"), config, 0o640))
	db, err := sql.Open("sqlite", filepath.Join(dir, "index", "index"))
	ts.Check(err)
	_, err = db.Exec(siteSchema)
	ts.Check(err)
	n := 0
	for _, c := range []dicomtest.Config{{Seed: 1, Instances: 5, Columns: 64}, {Seed: 1, Kind: dicomtest.MR, Columns: 256}} {
		for instance := range dicomtest.Study(c) {
			n++
			uuid := fmt.Sprintf("00000000-0000-0000-0000-%012d", n)
			path := filepath.Join(dir, "storage", "00", "00", uuid)
			ts.Check(os.MkdirAll(filepath.Dir(path), 0o755))
			ts.Check(os.WriteFile(path, instance.Data, 0o644))
			sum := fmt.Sprintf("%x", md5.Sum(instance.Data))
			_, err := db.Exec("INSERT INTO Resources VALUES(?, 4, ?, 3)", 3+n, fmt.Sprintf("instance-%d", n))
			ts.Check(err)
			_, err = db.Exec("INSERT INTO AttachedFiles VALUES(?, 1, ?, ?, ?, 1, ?, ?)", 3+n, uuid, len(instance.Data), len(instance.Data), sum, sum)
			ts.Check(err)
		}
	}
	ts.Check(db.Close())
}

// shrinkSite is "shrink DIR": the site loses its largest instance.
func shrinkSite(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: shrink DIR")
	}
	dir := ts.MkAbs(args[0])
	db, err := sql.Open("sqlite", filepath.Join(dir, "index", "index"))
	ts.Check(err)
	_, err = db.Exec("DELETE FROM Resources WHERE internalId = 9; DELETE FROM AttachedFiles WHERE id = 9")
	ts.Check(err)
	ts.Check(db.Close())
	ts.Check(os.Remove(filepath.Join(dir, "storage", "00", "00", "00000000-0000-0000-0000-000000000006")))
}

// damagePacks is "damage REPO": one byte in the middle of the largest pack is changed.
func damagePacks(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: damage REPO")
	}
	packs := packFiles(ts, args[0])
	flipByte(ts, slices.MaxFunc(packs, func(a, b packFile) int { return cmp.Compare(a.size, b.size) }))
}

// checkRounds is "rounds REPO SHARE N": every pack is damaged in turn, and one of N checks that read a share of the packs finds it, which the next
// one finds again; put right again, the checks go on.
func checkRounds(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: rounds REPO SHARE N")
	}
	n, err := strconv.Atoi(args[2])
	ts.Check(err)
	check := func() error {
		return ts.Exec("orthokeep", "check", "--repo", args[0], "--read-packs="+args[1])
	}
	packs, late := packFiles(ts, args[0]), false
	for _, f := range packs {
		flipByte(ts, f)
		tries := 1
		for check() == nil {
			if tries++; tries > n {
				ts.Fatalf("%s is damaged, and none of %d checks of %s finds it", f.path, n, args[1])
			}
		}
		late = late || tries > 1
		if check() == nil {
			ts.Fatalf("%s is damaged, and the check after the one that found it does not", f.path)
		}
		flipByte(ts, f)
		ts.Check(check())
	}
	if len(packs) < 3 || !late {
		ts.Fatalf("%d packs, and each was found at once: nothing was seen", len(packs))
	}
}

// A packFile is a pack of a repository.
type packFile struct {
	path string
	size int64
}

func packFiles(ts *testscript.TestScript, repo string) (all []packFile) {
	ts.Check(filepath.WalkDir(filepath.Join(ts.MkAbs(repo), "packs"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			all = append(all, packFile{path, info.Size()})
		}
		return err
	}))
	return all
}

// flipByte changes a byte in the middle of a file, and back.
func flipByte(ts *testscript.TestScript, f packFile) {
	data, err := os.ReadFile(f.path)
	ts.Check(err)
	data[f.size/2] ^= 0x40
	ts.Check(os.Chmod(f.path, 0o600))
	ts.Check(os.WriteFile(f.path, data, 0o600))
}

// noPatients is "nopatients FOLDER": no file below it, nor its name, holds a patient, a description or a UUID of makeSite.
func noPatients(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: nopatients FOLDER")
	}
	ts.Check(filepath.WalkDir(ts.MkAbs(args[0]), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		for _, word := range []string{"PID-1", "Doe^", "axial", "PHANTOM", "orthanc.json", "0000-0000-0000-0000", "\"Site\"", "instance-1"} {
			if strings.Contains(string(data), word) || strings.Contains(filepath.Base(path), word) {
				ts.Fatalf("%s holds %q in clear", path, word)
			}
		}
		return err
	}))
}

package main

import (
	"bytes"
	"crypto/md5"
	"database/sql"
	"encoding/hex"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	_ "modernc.org/sqlite"

	"github.com/orthokeep/orthokeep/orthanc/orthanctest"
)

// named is one attachment that an index names.
type named struct {
	level    int // 1 patient to 4 instance
	publicID string
	uuid     string
	fileType int
	size     int64
	md5      string // of the bytes on disk
}

// readIndex reads an index that no Orthanc has open: the instances, and all attachments.
func readIndex(t *testing.T, path string) (instances map[string]bool, list []named) {
	t.Helper()
	if _, err := os.Stat(path + "-wal"); err == nil {
		t.Errorf("%s has a WAL", path)
	}
	db, err := sql.Open("sqlite", "file:"+path+"?mode=ro&immutable=1")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var verdict string
	if err := db.QueryRow("PRAGMA integrity_check").Scan(&verdict); err != nil || verdict != "ok" {
		t.Fatalf("integrity_check of %s says %q, %v", path, verdict, err)
	}
	query := func(text string, scan func(*sql.Rows) error) {
		t.Helper()
		rows, err := db.Query(text)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		for rows.Next() {
			if err := scan(rows); err != nil {
				t.Fatal(err)
			}
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
	}
	instances = map[string]bool{}
	query("SELECT publicId FROM Resources WHERE resourceType = 4", func(rows *sql.Rows) error {
		var id string
		err := rows.Scan(&id)
		instances[id] = true
		return err
	})
	query(`SELECT r.resourceType, r.publicId, a.uuid, a.fileType, a.compressedSize, a.compressedMD5
		FROM AttachedFiles a JOIN Resources r ON r.internalId = a.id`, func(rows *sql.Rows) error {
		var n named
		err := rows.Scan(&n.level, &n.publicID, &n.uuid, &n.fileType, &n.size, &n.md5)
		list = append(list, n)
		return err
	})
	return instances, list
}

// restored is a snapshot that was brought back.
type restored struct {
	storage, config string
	instances       map[string]bool
	attachments     []named
}

// restore brings a snapshot back with the recovery key and compares every file with the index: all that the index names
// is there with the size and MD5 that it states, and nothing else.
func (r *scene) restore(snapshot string, flags ...string) restored {
	r.t.Helper()
	target := filepath.Join(openTemp(r.t), "target")
	r.run(append([]string{"restore", snapshot, "--target", target, "--recovery-key", r.path("recovery.key")}, flags...)...)
	return r.verify(target)
}

// remove removes what was restored, where many snapshots are.
func (got restored) remove(t *testing.T) {
	t.Helper()
	if err := os.RemoveAll(filepath.Dir(got.storage)); err != nil {
		t.Error(err)
	}
}

func (r *scene) verify(target string) restored {
	r.t.Helper()
	got := restored{storage: filepath.Join(target, "storage"), config: filepath.Join(target, "files", r.config)}
	index := filepath.Join(got.storage, "index")
	if _, err := os.Stat(index); err != nil {
		index = filepath.Join(target, "index", "index")
	}
	got.instances, got.attachments = readIndex(r.t, index)
	paths := map[string]bool{index: true}
	for _, n := range got.attachments {
		path := filepath.Join(got.storage, n.uuid[:2], n.uuid[2:4], n.uuid)
		paths[path] = true
		data, err := os.ReadFile(path)
		if err != nil {
			r.t.Fatal(err)
		}
		if sum := md5.Sum(data); int64(len(data)) != n.size || hex.EncodeToString(sum[:]) != n.md5 {
			r.t.Fatalf("attachment %s is not what the index says", n.uuid)
		}
	}
	err := filepath.WalkDir(got.storage, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && !paths[path] {
			r.t.Errorf("%s is not named by the index", path)
		}
		return err
	})
	if err != nil {
		r.t.Error(err)
	}
	return got
}

var levels = []string{"", "patients/", "studies/", "series/", "instances/"}

// served starts a real Orthanc on what was restored, and compares what a client finds with the index as it was restored.
func (r *scene) served(got restored) {
	r.t.Helper()
	port, err := orthanctest.FreePort()
	if err != nil {
		r.t.Fatal(err)
	}
	text, err := os.ReadFile(got.config)
	if err != nil {
		r.t.Fatal(err)
	}
	was := fmt.Sprintf(`"HttpPort": %s`, r.server.URL()[strings.LastIndex(r.server.URL(), ":")+1:])
	if !bytes.Contains(text, []byte(was)) {
		r.t.Fatalf("the restored configuration has no %s:\n%s", was, text)
	}
	text = bytes.ReplaceAll(text, []byte(was), fmt.Appendf(nil, `"HttpPort": %d`, port))
	if err := os.WriteFile(got.config, text, 0o600); err != nil {
		r.t.Fatal(err)
	}
	s := orthanctest.Start(r.t, orthanctest.Options{Dir: r.t.TempDir(), Config: got.config, Port: port})
	defer s.Kill() // a scratch copy: its orderly end takes two seconds
	got.counted(r.t, s)
	content, err := s.Content(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	served := map[string]bool{}
	files := 0
	for id, attachments := range content {
		if id, ok := strings.CutPrefix(id, "instances/"); ok {
			served[id] = true
		}
		files += len(attachments)
	}
	if !maps.Equal(served, got.instances) {
		r.t.Errorf("Orthanc serves %d instances, the index names %d, or others", len(served), len(got.instances))
	}
	sums := map[string]string{}
	for _, n := range got.attachments {
		sums[fmt.Sprint(levels[n.level], n.publicID, " ", n.md5)] = n.uuid
	}
	for id, attachments := range content {
		for name, a := range attachments {
			if sums[id+" "+a.MD5] == "" || a.Stated != a.MD5 {
				r.t.Errorf("%s of %s is not what the index says", name, id)
			}
		}
	}
	if files != len(got.attachments) {
		r.t.Errorf("Orthanc serves %d attachments, the index names %d", files, len(got.attachments))
	}
	if _, err := s.Upload(orthanctest.Sample(1, 2, 3, 4, 8)); err != nil {
		r.t.Errorf("upload to the restored server: %v", err)
	}
}

// counted compares what Orthanc counts with the index.
func (got restored) counted(t *testing.T, s *orthanctest.Server) {
	t.Helper()
	var size int64
	for _, n := range got.attachments {
		size += n.size
	}
	counts, err := s.Statistics()
	if err != nil || counts.CountInstances != int64(len(got.instances)) || counts.TotalDiskSize != size {
		t.Errorf("Orthanc counts %+v, %v; the index has %d instances and %d bytes", counts, err, len(got.instances), size)
	}
}

// has wants instances in a snapshot, unless they were deleted since they were acknowledged.
func (got restored) has(t *testing.T, before map[string]bool, c *client) {
	t.Helper()
	kept := c.acknowledged()
	checked := 0
	for id := range before {
		if !kept[id] {
			continue
		}
		checked++
		if !got.instances[id] {
			t.Errorf("instance %s was acknowledged before the backup, and is not in the snapshot", id)
		}
	}
	t.Logf("%d instances in the snapshot; %d of them acknowledged by the client before it", len(got.instances), checked)
}

package orthanc

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// Paths of a server are followed as it would follow them: absolute links start at its root, and mounts lie elsewhere.
func TestSight(t *testing.T) {
	root, volume := t.TempDir(), t.TempDir()
	err := errors.Join(
		os.MkdirAll(filepath.Join(root, "etc/orthanc"), 0o755), os.MkdirAll(filepath.Join(root, "data/db"), 0o755),
		os.Symlink("/data/db", filepath.Join(root, "etc/orthanc/db")), os.Symlink("../../data", filepath.Join(root, "etc/orthanc/data")),
		os.Symlink("/etc/orthanc/round", filepath.Join(root, "etc/orthanc/round")), os.Symlink("/../../../etc", filepath.Join(root, "up")),
		os.Mkdir(filepath.Join(volume, "ab"), 0o755), os.Symlink("/etc", filepath.Join(volume, "etc")))
	if err != nil {
		t.Fatal(err)
	}
	s := &sight{root: root, mounts: []mount{{"/data/db", volume}}}
	for path, want := range map[string]string{
		"/": root + "/", "/etc/orthanc/c.json": root + "/etc/orthanc/c.json",
		"/data/db": volume, "/data/db/ab/x": volume + "/ab/x", "/data/dbx": root + "/data/dbx",
		"/etc/orthanc/db/ab": volume + "/ab", "/etc/orthanc/data/db": volume, "/etc/orthanc/data/../etc": root + "/etc",
		"/data/db/etc/orthanc/db": volume, "/up/orthanc": root + "/etc/orthanc", "/../../etc": root + "/etc",
		"/etc/orthanc/round": root + "/etc/orthanc/round",
	} {
		if got := s.path(path); got != want {
			t.Errorf("%s lies at %s, want %s", path, got, want)
		}
	}
	if to, err := s.link("/up/orthanc/db"); err != nil || to != "/data/db" {
		t.Errorf("link: %q, %v", to, err)
	}
	if !s.mounted("/etc/orthanc/db/ab") || s.mounted("/etc/orthanc") {
		t.Error("what is mounted")
	}
	// A mount that the process does not have at its place is not believed.
	if s := newSight(root, []mount{{"/data/db", volume}, {"/data", filepath.Join(root, "data")}}); len(s.mounts) != 1 || s.mounts[0].inside != "/data" {
		t.Errorf("mounts %v", s.mounts)
	}
	var none *sight
	if none.path("/x/../y") != "/x/../y" || !none.mounted("/x") {
		t.Error("the sight of a server in no container")
	}
}

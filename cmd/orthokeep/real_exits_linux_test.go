package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/orthokeep/orthokeep/orthanc"
	"github.com/orthokeep/orthokeep/orthanc/orthanctest"
)

const nobody = 65534

// Other commands, and a second backup, while a backup is held in its window and after it.
func TestRealMeanwhile(t *testing.T) {
	t.Parallel()
	r := newScene(t, buildCommand(t), orthanctest.Start(t, orthanctest.Options{Dir: openTemp(t)}))
	r.window = []string{"--window", "freeze"}
	r.init()
	upload(t, r.server, small(1, 60, 20))
	first := r.backup()
	upload(t, r.server, small(100, 20, 20))
	for _, point := range []string{orthanc.PointInside, orthanc.PointOpened, orthanc.PointStored} {
		before := r.snapshots()
		child, release := r.held(point)
		if ids := r.snapshots(); !slices.Equal(ids, before) {
			t.Errorf("%s: snapshots are %v, were %v", point, ids, before)
		}
		r.restore(first.Snapshot[:8])
		r.run("ls", "latest", "--recovery-key", r.path("recovery.key"))
		r.run("stats")
		r.run("check")
		r.try(r.backupArgs()...).fails(exitLocked)
		release()
		if got := child.wait(); got.code != exitDone {
			t.Errorf("%s: the backup that was held ends with %d:\n%s", point, got.code, got.stderr)
		}
		if ids := r.snapshots(); len(ids) != len(before)+1 {
			t.Errorf("%s: snapshots are %v", point, ids)
		}
	}
	if got := r.restore("latest"); len(got.instances) != 80 {
		t.Errorf("%d instances in the last snapshot", len(got.instances))
	}
	r.noPatientData(patients(t, r.server))
}

// What is missing or wrong is told in one line, with its own exit code, and changes nothing.
func TestRealRefusals(t *testing.T) {
	t.Parallel()
	r := newScene(t, buildCommand(t), orthanctest.Start(t, orthanctest.Options{Dir: openTemp(t)}))
	r.window = []string{"--window", "freeze"}
	r.init()
	upload(t, r.server, small(1, 20, 20))
	r.backup()

	t.Run("passphrase", func(t *testing.T) {
		r.write("wrong", "correct horse battery stable\n")
		target := filepath.Join(t.TempDir(), "target")
		for _, args := range [][]string{{"restore", "latest", "--target", target}, {"ls", "latest"}, {"check", "--read-data"}} {
			r.try(append(args, "--passphrase-file", r.path("wrong"))...).fails(exitWrongKey, "passphrase")
		}
		if _, err := os.Stat(target); err == nil {
			t.Error("the target was made")
		}
	})
	t.Run("repository", func(t *testing.T) {
		empty, file := t.TempDir(), filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(file, []byte("text"), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, repo := range []string{filepath.Join(empty, "absent"), empty, file, filepath.Join(file, "below")} {
			for _, args := range [][]string{{"snapshots"}, r.backupArgs(), {"check"}, {"restore", "latest", "--target", filepath.Join(empty, "target")}} {
				r.try(append(args, "--repo", repo)...).fails(exitNoRepo, repo)
			}
		}
		if entries, err := os.ReadDir(empty); err != nil || len(entries) > 0 {
			t.Errorf("%v, %v were made", entries, err)
		}
		r.try("init", "--repo", file, "--passphrase-file", r.path("passphrase"), "--writer-key", r.path("other.key")).fails(exitNoRepo, file)
		r.try("init", "--passphrase-file", r.path("passphrase"), "--writer-key", r.path("other.key")).fails(exitFailed, r.repo)
	})
	t.Run("configuration", func(t *testing.T) {
		absent := filepath.Join(t.TempDir(), "orthanc.json")
		r.try("backup", "--orthanc", absent).fails(exitFailed, absent)
		broken := r.path("broken.json")
		r.write("broken.json", `{"Name": "Someone^Secret" "HttpPort": 1}`)
		r.try("backup", "--orthanc", broken).fails(exitFailed, broken)
		r.unreadable()
	})
	t.Run("layout", func(t *testing.T) { r.layouts() })
	if ids := r.snapshots(); len(ids) != 1 {
		t.Errorf("snapshots are %v", ids)
	}
	r.restore("latest")
	r.noPatientData(append(patients(t, r.server), "Someone^Secret"))
}

// unreadable backs up as a user who may not read the configuration.
func (r *scene) unreadable() {
	r.t.Helper()
	secret := filepath.Join(openTemp(r.t), "credentials.json")
	if err := os.WriteFile(secret, []byte(`{"Name": "x"}`), 0o000); err != nil {
		r.t.Fatal(err)
	}
	other := newScene(r.t, r.binary, r.server)
	if os.Geteuid() == 0 {
		other.asUser = &syscall.Credential{Uid: nobody, Gid: nobody, NoSetGroups: false}
		for _, dir := range []string{".", "run", "home"} {
			if err := os.Chown(other.path(dir), nobody, nobody); err != nil {
				r.t.Fatal(err)
			}
		}
	}
	other.init()
	other.try("backup", "--orthanc", secret).fails(exitFailed, secret, "permission denied")
	other.try("backup", "--orthanc", filepath.Dir(secret)).fails(exitFailed, secret, "permission denied")
}

// layouts backs up configurations with plug-ins that keep index or attachments elsewhere.
func (r *scene) layouts() {
	r.t.Helper()
	for _, c := range []struct{ library, section string }{
		{"libOrthancMySQLIndex.so", `"MySQL": {"EnableIndex": true}`},
		{"libOrthancMySQLStorage.so.4.0.so", `"MySQL": {"EnableStorage": true}`},
		{"libOrthancOdbcIndex.so", `"Odbc": {"EnableIndex": true}`},
		{"libOrthancOdbcStorage.so", `"Odbc": {"EnableStorage": true}`},
		{"libOrthancAwsS3Storage.so", `"AwsS3Storage": {"BucketName": "x"}`},
		{"libOrthancAzureBlobStorage.so", `"AzureBlobStorage": {"ContainerName": "x"}`},
		{"libOrthancGoogleCloudStorage.so", `"GoogleCloudStorage": {"BucketName": "x"}`},
		{"libAdvancedStorage.so", `"AdvancedStorage": {"Enable": true}`},
	} {
		dir := r.t.TempDir()
		plugins := filepath.Join(dir, "plugins")
		config := filepath.Join(dir, "orthanc.json")
		text := `{"StorageDirectory": "` + r.server.StorageDir() + `", "Plugins": ["` + plugins + `"], ` + c.section + `} // as it stands`
		for _, err := range []error{os.Mkdir(plugins, 0o755), os.WriteFile(filepath.Join(plugins, c.library), nil, 0o755), os.WriteFile(config, []byte(text), 0o600)} {
			if err != nil {
				r.t.Fatal(err)
			}
		}
		section, _, _ := strings.Cut(c.section, ":")
		r.try("backup", "--orthanc", config).fails(exitLayout, c.library, section)
	}
}

// The key of the host that backs up opens nothing; the passphrase opens all, on a machine that has only the repository.
func TestRealKeys(t *testing.T) {
	t.Parallel()
	binary := buildCommand(t)
	r := newScene(t, binary, orthanctest.Start(t, orthanctest.Options{Dir: openTemp(t)}))
	r.window = []string{"--window", "freeze"}
	r.withKeys()
	r.run("init", "--passphrase-file", r.path("passphrase")) // the recovery key lies nowhere else
	upload(t, r.server, small(1, 30, 10))
	r.backup()

	target := r.path("target")
	for _, args := range [][]string{{"restore", "latest", "--target", target}, {"ls", "latest"}, {"check", "--read-data"}} {
		r.try(args...).fails(exitUsage, "--passphrase-file")
	}
	stranger := newScene(t, binary, nil)
	stranger.init()
	wrong := stranger.path("recovery.key")
	r.try("restore", "latest", "--target", target, "--recovery-key", wrong).fails(exitWrongKey)
	r.try("snapshots", "--writer-key", stranger.path("writer.key")).fails(exitWrongKey)
	if _, err := os.Stat(target); err == nil {
		t.Error("the target was made")
	}

	// Another machine: a copy of the repository, no key, an empty cache.
	far := newScene(t, binary, r.server)
	if err := os.CopyFS(far.repo, os.DirFS(r.repo)); err != nil {
		t.Fatal(err)
	}
	far.try("snapshots").fails(exitUsage, "--passphrase-file")
	far.try("restore", "latest", "--target", target, "--recovery-key", wrong).fails(exitWrongKey)
	far.run("snapshots", "--passphrase-file", far.path("passphrase"))
	far.run("restore", "latest", "--target", far.path("target"), "--rewrite-configuration", "--passphrase-file", far.path("passphrase"))
	got := far.verify(far.path("target"))
	if len(got.instances) != 30 {
		t.Errorf("%d instances", len(got.instances))
	}
	far.served(got)
	r.noPatientData(patients(t, r.server))
	far.noPatientData(patients(t, r.server))
}

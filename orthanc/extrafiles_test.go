package orthanc_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/orthokeep/orthokeep/orthanc"
)

func TestExtraFiles(t *testing.T) {
	dir := t.TempDir()
	etc, run := filepath.Join(dir, "etc"), filepath.Join(dir, "run")
	write(t, etc, "main.json", `{
		"LuaScripts": ["a.lua", "absent.lua", "a.lua"],
		"PythonScript": "p.py",
		"SslEnabled": true, "SslCertificate": "tls/server.pem",
		"SslTrustedClientCertificates": "absent.pem",
		"DicomTlsEnabled": true, "DicomTlsCertificate": "d.crt", "DicomTlsPrivateKey": "/nonexistent/d.key",
		"OrthancPeers": {"x": {"Url": "u", "Password": "secret", "CertificateFile": "`+etc+`/peer.crt"}, "y": ["u"]},
		"DicomWeb": {"Servers": {"z": {"CertificateKeyFile": "web.key"}}},
		"Worklists": {"Enable": true, "Database": "wl"},
		"ServeFolders": {"/doc": "/srv/doc"}
	}`)
	for _, name := range []string{"a.lua", "p.py", "real.pem", "peer.crt", "web.key", "wl/1.wl", "wl/below/2.wl"} {
		write(t, etc, name, "x")
	}
	write(t, run, "d.crt", "x")
	write(t, run, "p.py", "x")
	os.Mkdir(filepath.Join(etc, "tls"), 0o700)
	for link, target := range map[string]string{
		"tls/server.pem": "../real.pem", "wl/3.wl": "1.wl", "wl/loop": ".", "wl/gone.wl": "nowhere",
	} {
		if err := os.Symlink(target, filepath.Join(etc, link)); err != nil {
			t.Skip(err)
		}
	}
	c, err := orthanc.ReadConfiguration(etc, nil)
	if err != nil {
		t.Fatal(err)
	}
	extra, err := orthanc.ListExtraFiles(c, run)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range extra.Files {
		path, _ := filepath.Rel(dir, f.Path)
		got = append(got, strings.TrimSpace(strings.Join([]string{path, f.Kind, f.Key, f.Link}, " ")))
	}
	want := []string{
		"etc/main.json configuration",
		"etc/a.lua script LuaScripts",
		"run/p.py script PythonScript",
		"etc/tls/server.pem certificate SslCertificate ../real.pem",
		"run/d.crt certificate DicomTlsCertificate",
		"etc/web.key certificate DicomWeb.Servers.z.CertificateKeyFile",
		"etc/peer.crt certificate OrthancPeers.x.CertificateFile",
		"etc/wl/1.wl worklist Worklists.Database",
		"etc/wl/3.wl worklist Worklists.Database 1.wl",
		"etc/wl/below/2.wl worklist Worklists.Database",
	}
	if !slices.Equal(got, want) {
		t.Errorf("files\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if len(extra.Warnings) != 2 || !strings.Contains(extra.Warnings[0], "absent.lua") || !strings.Contains(extra.Warnings[1], "d.key") {
		t.Errorf("warnings %q", extra.Warnings)
	}
	if len(extra.LeftOut) != 2 || extra.LeftOut[1] != "served folder /srv/doc" {
		t.Errorf("left out %q", extra.LeftOut)
	}
}

// TestExtraFilesQuiet: what Debian's own configuration names without using it is not missed.
func TestExtraFilesQuiet(t *testing.T) {
	c, err := orthanc.ReadConfiguration(write(t, t.TempDir(), "c.json", `{"SslEnabled": false, "SslCertificate": "certificate.pem",
		"HttpsCACertificates": "", "Worklists": {"Enable": false, "Database": "/nonexistent"}, "ServeFolders": {}}`), nil)
	if err != nil {
		t.Fatal(err)
	}
	extra, err := orthanc.ListExtraFiles(c, "")
	if err != nil || len(extra.Files) != 1 || len(extra.Warnings)+len(extra.LeftOut) != 0 {
		t.Fatalf("%+v, %v", extra, err)
	}
}

func TestExtraFilesUnreadable(t *testing.T) {
	dir := t.TempDir()
	path := write(t, dir, "a.lua", "x")
	c, err := orthanc.ReadConfiguration(write(t, dir, "c.json", `{"LuaScripts": ["a.lua", "folder"]}`), nil)
	if err != nil {
		t.Fatal(err)
	}
	os.Mkdir(filepath.Join(dir, "folder"), 0o700)
	want := 1
	if os.Geteuid() != 0 {
		want = 2
		if err := os.Chmod(path, 0); err != nil {
			t.Fatal(err)
		}
	}
	extra, err := orthanc.ListExtraFiles(c, "")
	if err != nil || len(extra.Warnings) != want || !strings.Contains(extra.Warnings[want-1], filepath.Join(dir, "folder")) {
		t.Fatalf("%+v, %v", extra, err)
	}
}

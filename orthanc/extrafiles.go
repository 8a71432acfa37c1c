package orthanc

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// What an extra file is for.
const (
	KindConfiguration = "configuration"
	KindScript        = "script"
	KindCertificate   = "certificate" // or its key
	KindWorklist      = "worklist"
	KindPending       = "pending-deletions" // list of plug-in DelayedDeletion, copied with the index
)

// ExtraFile is a file beside index and storage area that a server needs to be itself again.
type ExtraFile struct {
	Path string // absolute; its content is that of a regular file
	Kind string
	Key  string // of the configuration, that led to it
	Link string // what Path links to, as the link says; empty when it is no link
}

// ExtraFiles is what a configuration names.
type ExtraFiles struct {
	Files    []ExtraFile
	LeftOut  []string // one line each: folders and programs that the configuration names and a snapshot leaves out
	Warnings []string // one line each: files that should be in Files and cannot be read
}

// ListExtraFiles lists the files that the configuration names: itself, scripts, certificates, worklists. cwd is the
// working directory of Orthanc's process, to which some paths are relative; where it is not known it is empty. Files
// that only a disabled setting names are listed when they exist, and not missed when they do not.
func ListExtraFiles(c *Configuration, cwd string) (*ExtraFiles, error) {
	l := &lister{c: c, cwd: cwd, seen: map[string]bool{}}
	for _, path := range c.Files {
		l.file(path, KindConfiguration, "", true)
	}
	scripts, err := c.list("LuaScripts")
	if err != nil {
		return nil, err
	}
	for _, path := range scripts {
		l.named(path, KindScript, "LuaScripts", true, false)
	}
	r := reader{c: c}
	if path := r.text("PythonScript", ""); path != "" {
		l.named(path, KindScript, "PythonScript", true, true)
		l.out.LeftOut = append(l.out.LeftOut, "modules that PythonScript imports")
	}
	l.certificates(&r)
	if r.err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrConfiguration, c.Path, r.err)
	}
	for _, key := range slices.Sorted(maps.Keys(c.sections)) {
		l.clientCertificates(key, c.sections[key])
	}
	for _, key := range []string{"Database", "Directory"} {
		if path := text(c.members("Worklists")[key]); path != "" {
			l.folder(path, KindWorklist, "Worklists."+key, c.flag("Worklists", "Enable", false))
		}
	}
	l.servedFolders()
	return &l.out, nil
}

// lister collects. Its methods add a file once, whatever names it.
type lister struct {
	c    *Configuration
	cwd  string
	seen map[string]bool
	out  ExtraFiles
}

// certificates adds what Orthanc itself opens. Orthanc takes the paths of HTTPS relative to its configuration, those
// of DICOM TLS relative to its working directory.
func (l *lister) certificates(r *reader) {
	for _, k := range []struct {
		key, fallback, enable string
		cwd                   bool
	}{
		{"SslCertificate", "certificate.pem", "SslEnabled", false},
		{"SslTrustedClientCertificates", "trustedClientCertificates.pem", "SslVerifyPeers", false},
		{"HttpsCACertificates", "", "", false},
		{"DicomTlsCertificate", "", "DicomTlsEnabled", true},
		{"DicomTlsPrivateKey", "", "DicomTlsEnabled", true},
		{"DicomTlsTrustedCertificates", "", "DicomTlsEnabled", true},
	} {
		path, needed := r.text(k.key, k.fallback), k.enable == "" || r.boolean(k.enable, false)
		if path != "" {
			l.named(path, KindCertificate, k.key, needed, k.cwd)
		}
	}
}

// clientCertificates adds what peers and DICOMweb servers present, at any depth below a key.
func (l *lister) clientCertificates(key string, raw json.RawMessage) {
	var members map[string]json.RawMessage
	if json.Unmarshal(raw, &members) != nil {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		if name == "CertificateFile" || name == "CertificateKeyFile" {
			if path := text(members[name]); path != "" {
				l.named(path, KindCertificate, key+"."+name, true, true)
			}
			continue
		}
		l.clientCertificates(key+"."+name, members[name])
	}
}

// servedFolders names the folders of ServeFolders, which a snapshot leaves out.
func (l *lister) servedFolders() {
	folders := l.c.members("ServeFolders")
	var nested map[string]json.RawMessage
	if json.Unmarshal(folders["Folders"], &nested) == nil && nested != nil {
		folders = nested
	}
	for _, url := range slices.Sorted(maps.Keys(folders)) {
		if path := text(folders[url]); path != "" {
			l.out.LeftOut = append(l.out.LeftOut, "served folder "+l.c.Resolve(path))
		}
	}
}

// text returns a JSON text, or nothing.
func text(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return ""
	}
	return s
}

// place returns the absolute path of a file or folder that the configuration names. Where it may be relative to the
// working directory and nothing lies there, it is taken as relative to the configuration.
func (l *lister) place(path string, cwd bool) string {
	if cwd && l.cwd != "" && !filepath.IsAbs(path) {
		if there := filepath.Join(l.cwd, path); l.exists(there) {
			return there
		}
	}
	return l.c.Resolve(path)
}

func (l *lister) exists(path string) bool {
	_, err := os.Stat(l.c.sight.path(path))
	_, other := l.c.sight.link(path)
	return err == nil || other == nil // or a link that leads nowhere
}

func (l *lister) named(path, kind, key string, needed, cwd bool) {
	l.file(l.place(path, cwd), kind, key, needed)
}

// file adds one file, or says why it cannot.
func (l *lister) file(path, kind, key string, needed bool) {
	if l.seen[path] {
		return
	}
	l.seen[path] = true
	link, err := openable(l.c.sight, path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !needed:
	case err != nil:
		l.warn(kind, key, err)
	default:
		l.out.Files = append(l.out.Files, ExtraFile{Path: path, Kind: kind, Key: key, Link: link})
	}
}

func (l *lister) warn(kind, key string, err error) {
	if key != "" {
		kind += " (" + key + ")"
	}
	l.out.Warnings = append(l.out.Warnings, kind+": "+err.Error())
}

// folder adds the files below a folder. Links to folders are not followed.
func (l *lister) folder(path, kind, key string, needed bool) {
	root := l.place(path, true)
	if !needed && !l.exists(root) {
		return
	}
	root = l.c.sight.real(root) // the folder itself may be a link
	seen := l.c.sight.path(root)
	_ = filepath.WalkDir(seen, func(path string, entry fs.DirEntry, err error) error {
		path = root + strings.TrimPrefix(path, seen)
		switch {
		case err != nil:
			l.warn(kind, key, err)
		case entry.IsDir():
		case entry.Type().IsRegular():
			l.file(path, kind, key, false)
		case entry.Type()&fs.ModeSymlink != 0:
			if info, err := os.Stat(l.c.sight.path(path)); err == nil && info.Mode().IsRegular() {
				l.file(path, kind, key, false)
			}
		}
		return nil
	})
}

// openable sees that a regular file, or a link to one, can be opened, and returns what the link says.
func openable(s *sight, path string) (link string, err error) {
	info, err := os.Stat(s.path(path))
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() {
		return "", fmt.Errorf("%s is not a regular file", path)
	}
	f, err := os.Open(s.path(path))
	if err != nil {
		return "", err
	}
	f.Close()
	if link, err := s.link(path); err == nil {
		return link, nil
	}
	return "", nil
}

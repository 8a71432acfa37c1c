package orthanc

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// replaces are the plug-ins that keep the index or the attachments elsewhere, by the start of their names. Each does
// so only where its section enables it: by a key, or, where enable is empty, by its presence.
var replaces = []struct {
	name     string
	sections []string
	enable   string
	fallback bool // of enable, where the section does not give it; true when in doubt
	keeps    string
}{
	{"orthancmysqlindex", []string{"MySQL"}, "EnableIndex", false, "the index in MySQL"},
	{"orthancmysqlstorage", []string{"MySQL"}, "EnableStorage", false, "attachments in MySQL"},
	{"orthancpostgresqlindex", []string{"PostgreSQL"}, "EnableIndex", false, "the index in PostgreSQL"},
	{"orthancpostgresqlstorage", []string{"PostgreSQL"}, "EnableStorage", false, "attachments in PostgreSQL"},
	{"orthancodbcindex", []string{"Odbc"}, "EnableIndex", false, "the index in an ODBC database"},
	{"orthancodbcstorage", []string{"Odbc"}, "EnableStorage", false, "attachments in an ODBC database"},
	{"orthancsqliteindex", []string{"SQLite"}, "EnableIndex", false, "the index in a database of its own"},
	{"orthancawss3storage", []string{"AwsS3Storage"}, "", false, "attachments in object storage (S3)"},
	{"orthancazureblobstorage", []string{"AzureBlobStorage", "BlobStorage"}, "", false, "attachments in object storage (Azure)"},
	{"orthancgooglecloudstorage", []string{"GoogleCloudStorage"}, "", false, "attachments in object storage (Google)"},
	{"advancedstorage", []string{"AdvancedStorage"}, "Enable", true, "attachments at paths of its own"},
	{"orthancindexer", []string{"Indexer"}, "Enable", true, "attachments in folders outside the storage directory"},
}

// harmless are the plug-ins known to leave index and storage area to Orthanc.
var harmless = []string{
	"authorization", "orthancauthorization", "automatedjpeg2kcompression", "connectivitychecks", "customimagedecoder",
	"delayeddeletion", "housekeeper", "modalityworklists", "multitenantdicom", "orthancdicomweb", "orthanceducation", "orthancexplorer2",
	"orthancgdcm", "orthancneuro", "orthancohif", "orthancstl", "orthanctcia", "orthanctransfers", "orthancvolview",
	"orthancwebviewer", "orthancworklists", "orthancwsi", "osimiswebviewer", "osimiswebviewerbasic",
	"osimiswebviewerpro", "sanitizer", "servefolders", "stonewebviewer", "storagecommitmentscp", "webdavfilesystem",
}

// Layout is what a configuration that can be backed up implies.
type Layout struct {
	Index    string   // path of the index file, where it lies on this machine
	Storage  string   // the storage directory, likewise
	Plugins  []Plugin // all that are loaded
	Warnings []string // one line each: what may make a backup less than it seems
}

const supported = "supported is Orthanc's own SQLite index with the storage directory on a file system"

// CheckLayout says where index and attachments lie, or refuses by name what cannot be backed up with an error that
// matches ErrLayout. A plug-in that it does not know is a warning: it may keep attachments elsewhere.
func CheckLayout(c *Configuration) (*Layout, error) {
	plugins, err := c.Plugins()
	if err != nil {
		return nil, err
	}
	l := &Layout{Index: c.sight.path(filepath.Join(c.IndexDirectory, "index")), Storage: c.sight.path(c.StorageDirectory), Plugins: plugins}
	if !c.StoreDicom {
		return nil, fmt.Errorf("%w: StoreDicom is false: Orthanc keeps no DICOM files; %s", ErrLayout, supported)
	}
	for _, p := range plugins {
		warning, err := judge(c, p)
		if err != nil {
			return nil, err
		}
		if warning != "" {
			l.Warnings = append(l.Warnings, warning)
		}
	}
	if err := l.present(); err != nil {
		return nil, err
	}
	return l, nil
}

// judge refuses a plug-in, or returns what to say about it.
func judge(c *Configuration, p Plugin) (warning string, err error) {
	for _, r := range replaces {
		if !p.is(r.name) {
			continue
		}
		for _, section := range r.sections {
			if c.Has(section) && (r.enable == "" || c.flag(section, r.enable, r.fallback)) {
				return "", fmt.Errorf("%w: plug-in %s (section %q) keeps %s; %s", ErrLayout, p.Name(), section, r.keeps, supported)
			}
		}
		return "", nil
	}
	switch {
	case p.is("orthancpython") && c.Has("PythonScript"), p.is("orthancjava"):
		return fmt.Sprintf("plug-in %s: its program can keep attachments elsewhere; those would not be backed up", p.Name()), nil
	case p.is("orthancpython"):
		return "", nil
	}
	if slices.ContainsFunc(p.names, func(name string) bool { return slices.Contains(harmless, name) }) {
		return "", nil
	}
	return fmt.Sprintf("plug-in %s is not known: attachments that it keeps elsewhere would not be backed up", p.Name()), nil
}

// present sees that the index and the storage area are there.
func (l *Layout) present() error {
	info, err := os.Stat(l.Index)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("%w: no SQLite index at %s: has Orthanc been started with this configuration?", ErrLayout, l.Index)
	case err != nil:
		return fmt.Errorf("%w: index: %w", ErrLayout, err)
	case !info.Mode().IsRegular():
		return fmt.Errorf("%w: %s is not a regular file", ErrLayout, l.Index)
	}
	info, err = os.Stat(l.Storage)
	switch {
	case err != nil:
		return fmt.Errorf("%w: storage directory: %w", ErrLayout, err)
	case !info.IsDir():
		return fmt.Errorf("%w: storage directory %s is not a folder", ErrLayout, l.Storage)
	}
	return nil
}

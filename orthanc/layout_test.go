package orthanc_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/orthokeep/orthokeep/orthanc"
	"github.com/orthokeep/orthokeep/orthanc/orthanctest"
)

func TestLayout(t *testing.T) {
	const mysql, pg = "libOrthancMySQLIndex.so", "libOrthancPostgreSQLStorage.so"
	for _, test := range []struct {
		name, plugin, text string
		refused, warned    string // what the error or the only warning says
	}{
		{"nothing", "", ``, "", ""},
		{"MySQL index", mysql, `"MySQL": {"EnableIndex": true}`, "MySQL", ""},
		{"MySQL by version", mysql + ".4.0.so", `"MySQL": {"EnableIndex": true}`, "MySQL", ""},
		{"MySQL not enabled", mysql, `"MySQL": {"EnableIndex": false, "EnableStorage": true}`, "", ""},
		{"MySQL by default", mysql, `"MySQL": {}`, "", ""},
		{"MySQL without section", mysql, ``, "", ""},
		{"MySQL, other case of key", mysql, `"MySQL": {"enableindex": true}`, "", ""},
		{"MySQL, odd value", mysql, `"MySQL": {"EnableIndex": "true"}`, "MySQL", ""},
		{"MySQL not loaded", "libOrthancDicomWeb.so", `"MySQL": {"EnableIndex": true, "EnableStorage": true}`, "", ""},
		{"MySQL storage", "libOrthancMySQLStorage.so", `"MySQL": {"EnableStorage": true}`, "attachments in MySQL", ""},
		{"PostgreSQL storage", pg, `"PostgreSQL": {"EnableStorage": true}`, "PostgreSQL", ""},
		{"PostgreSQL index", "libOrthancPostgreSQLIndex.so", `"PostgreSQL": {"EnableIndex": true}`, "the index in PostgreSQL", ""},
		{"ODBC", "libOrthancOdbcIndex.so", `"Odbc": {"EnableIndex": true}`, "ODBC", ""},
		{"ODBC storage", "libOrthancOdbcStorage.so", `"Odbc": {"EnableStorage": true}`, "ODBC", ""},
		{"S3", "libOrthancAwsS3Storage.so", `"AwsS3Storage": {"BucketName": "b"}`, "S3", ""},
		{"S3 without section", "libOrthancAwsS3Storage.so", ``, "", ""},
		{"Azure", "libOrthancAzureBlobStorage.so", `"AzureBlobStorage": {}`, "Azure", ""},
		{"Azure, old section", "libOrthancAzureBlobStorage.so", `"BlobStorage": {}`, "Azure", ""},
		{"Google", "libOrthancGoogleCloudStorage.so", `"GoogleCloudStorage": {}`, "Google", ""},
		{"AdvancedStorage", "libAdvancedStorage.so", `"AdvancedStorage": {"Enable": true}`, "libAdvancedStorage.so", ""},
		{"AdvancedStorage off", "libAdvancedStorage.so", `"AdvancedStorage": {"Enable": false}`, "", ""},
		{"Indexer", "libOrthancIndexer.so", `"Indexer": {"Enable": true}`, "libOrthancIndexer.so", ""},
		{"Windows", "OrthancMySQLIndex.dll", `"MySQL": {"EnableIndex": true}`, "MySQL", ""},
		{"delayed deletion not set up", "libDelayedDeletion.so", ``, "", ""},
		{"delayed deletion", "libDelayedDeletion.so", `"DelayedDeletion": {}`, "", ""},
		{"delayed deletion off", "libDelayedDeletion.so", `"DelayedDeletion": {"Enable": false}`, "", ""},
		{"Python", "libOrthancPython.so", `"PythonScript": "x.py"`, "", "libOrthancPython.so"},
		{"Python without script", "libOrthancPython.so", ``, "", ""},
		{"unknown", "libSomething.so", ``, "", "libSomething.so is not known"},
		{"unknown with a known start", "libHousekeeperToTape.so", ``, "", "libHousekeeperToTape.so is not known"},
		{"known", "libOrthancExplorer2.so", ``, "", ""},
		{"no library", "readme.txt", ``, "", ""},
		{"index only", "", `"StoreDicom": false`, "StoreDicom", ""},
	} {
		for _, folder := range []bool{true, false} {
			name := test.name + " by file"
			if folder {
				name = test.name + " in folder"
			}
			t.Run(name, func(t *testing.T) {
				dir := t.TempDir()
				write(t, dir, "OrthancStorage/index", "")
				list := []string{}
				if test.plugin != "" {
					list = []string{"plugins"}
					write(t, dir, "plugins/"+test.plugin, "")
					write(t, dir, "plugins/below/libOrthancMySQLIndex.so", "")
					if !folder {
						list = []string{filepath.Join(dir, "plugins", test.plugin)}
					}
					if !folder && test.name == "no library" {
						t.Skip("a file that is named is loaded whatever its name")
					}
				}
				text, _ := json.Marshal(list)
				config := `{"Plugins": ` + string(text) + `, ` + test.text + `}`
				config = strings.Replace(config, ", }", "}", 1)
				c, err := orthanc.ReadConfiguration(write(t, dir, "c.json", config), nil)
				if err != nil {
					t.Fatal(err)
				}
				l, err := orthanc.CheckLayout(c)
				if test.refused != "" {
					if !errors.Is(err, orthanc.ErrLayout) || !strings.Contains(err.Error(), test.refused) ||
						strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), test.plugin) {
						t.Fatalf("got %v, want one about %q", err, test.refused)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				if got := strings.Join(l.Warnings, "\n"); (got == "") != (test.warned == "") || !strings.Contains(got, test.warned) {
					t.Fatalf("warnings %q, want %q", got, test.warned)
				}
			})
		}
	}
}

// TestLayoutSeesThroughLinks: a plug-in behind a link of another name is known by what it links to.
func TestLayoutSeesThroughLinks(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "OrthancStorage/index", "")
	if err := os.Symlink(write(t, dir, "libOrthancMySQLIndex.so.4.0", ""), filepath.Join(dir, "libX.so")); err != nil {
		t.Skip(err)
	}
	c, err := orthanc.ReadConfiguration(write(t, dir, "c.json", `{"Plugins": ["libX.so"], "MySQL": {"EnableIndex": true}}`), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := orthanc.CheckLayout(c); !errors.Is(err, orthanc.ErrLayout) {
		t.Fatalf("accepted: %v", err)
	}
}

func TestLayoutAbsent(t *testing.T) {
	dir := t.TempDir()
	path := write(t, dir, "c.json", `{"Plugins": ["absent", "libOrthancDicomWeb.so"], "IndexDirectory": "i"}`)
	check := func(want string) {
		t.Helper()
		c, err := orthanc.ReadConfiguration(path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := orthanc.CheckLayout(c); !errors.Is(err, orthanc.ErrLayout) || !strings.Contains(err.Error(), want) {
			t.Fatalf("got %v, want %q", err, want)
		}
	}
	check("no SQLite index at " + filepath.Join(dir, "i", "index"))
	write(t, dir, "i/index/x", "")
	check("not a regular file")
	os.RemoveAll(filepath.Join(dir, "i"))
	write(t, dir, "i/index", "")
	check("storage directory")
	write(t, dir, "OrthancStorage", "")
	check("not a folder")
}

// TestLayoutOfRealServer: the plug-ins that the distribution ships, loaded by a real server, are known.
func TestLayoutOfRealServer(t *testing.T) {
	t.Parallel()
	binary := orthanctest.Need(t)
	plugins := filepath.Join(filepath.Dir(binary), "root", "usr", "share", "orthanc", "plugins")
	if _, err := os.Stat(plugins); err != nil {
		plugins = "/usr/share/orthanc/plugins"
	}
	s := orthanctest.Start(t, orthanctest.Options{SplitIndex: true, Settings: map[string]any{"Plugins": []string{plugins}}})
	c, err := orthanc.ReadConfiguration(s.ConfigPath(), nil)
	if err != nil {
		t.Fatal(err)
	}
	l, err := orthanc.CheckLayout(c)
	if err != nil || l.Storage != s.StorageDir() || l.Index != filepath.Join(s.IndexDir(), "index") || len(l.Warnings) != 0 {
		t.Fatalf("%+v, %v", l, err)
	}
	answer, err := s.Do("GET", "/plugins", nil)
	if err != nil {
		t.Fatal(err)
	}
	var loaded []string
	if err := json.Unmarshal(answer, &loaded); err != nil {
		t.Fatal(err)
	}
	// Orthanc counts its own explorer as a plug-in.
	if len(loaded)-1 != len(l.Plugins) {
		t.Errorf("Orthanc loaded %q, found were %v", loaded, l.Plugins)
	}
}

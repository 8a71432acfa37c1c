package orthanc_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/orthokeep/orthokeep/orthanc"
	"github.com/orthokeep/orthokeep/orthanc/orthanctest"
)

// write writes a file below dir, with its folders, and returns its path.
func write(t testing.TB, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// environment looks a variable up in a map.
func environment(values map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		value, ok := values[name]
		return value, ok
	}
}

func TestConfigurationDefaults(t *testing.T) {
	dir := t.TempDir()
	c, err := orthanc.ReadConfiguration(write(t, dir, "orthanc.json", `{}`), environment(nil))
	if err != nil {
		t.Fatal(err)
	}
	storage := filepath.Join(dir, "OrthancStorage")
	if c.Name != "MyOrthanc" || c.StorageDirectory != storage || c.IndexDirectory != storage || c.DicomPort != 4242 ||
		c.HTTP.URL("/system") != "http://127.0.0.1:8042/system" || !c.StoreMD5ForAttachments || c.StorageCompression ||
		!c.StoreDicom || !c.HTTP.Enabled || len(c.Files) != 1 {
		t.Fatalf("%+v, storage %s, index %s", *c, c.StorageDirectory, c.IndexDirectory)
	}
}

// TestConfigurationText: the names as the real Orthanc 1.10.1 was seen to read them.
func TestConfigurationText(t *testing.T) {
	env := environment(map[string]string{"SET": "value", "EMPTY": "", "CR:LF": "never"})
	for _, test := range []struct{ name, text, want string }{
		{"trailing commas", `{"LuaScripts": [1,], "Name": "a",}`, "a"},
		{"the last of two counts", `{"Name": "a", "Name": "b"}`, "b"},
		{"text behind the object", `{"Name": "a"} // and` + "\nmore }", "a"},
		{"byte order mark", "\ufeff{\"Name\": \"a\"}", "a"},
		{"comments", "// x\n/* \" */{ /* { */ \"Name\" // }\n : \"a//b/*c*/\" }", "a//b/*c*/"},
		{"comments in Latin-1", "{ // gr\xfc\xdfe\n\"Name\": \"a\" /* \xe4 */ }", "a"},
		{"variables", `{"Name": "x${SET}${UNSET}${UNSET:-d}${UNSET:-}${UNSET:-'s'}${EMPTY:-e}y"}`, "xvaluedsy"},
		{"quoted default", `{"Name": ${UNSET:-"q"}x${UNSET:-'"'}}`, ""},
		{"bare variable", `{"Name": ${UNSET:-'"bare"'}}`, "bare"},
		{"no variable", `{"Name": "$SET {SET} ${CR:LF} $${SET}"}`, "$SET {SET} ${CR:LF} $value"},
		{"key is case-sensitive", `{"name": "a"}`, "MyOrthanc"},
		{"escapes", `{"N\u0061me": "\u00e4\/\\"}`, "ä/\\"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, err := orthanc.ReadConfiguration(write(t, t.TempDir(), "c.json", test.text), env)
			if test.want == "" {
				if !errors.Is(err, orthanc.ErrConfiguration) {
					t.Fatalf("accepted: %v", err)
				}
				return
			}
			if err != nil || c.Name != test.want {
				t.Fatalf("got %v, want name %q", err, test.want)
			}
		})
	}
}

func TestConfigurationRefused(t *testing.T) {
	for _, test := range []struct{ name, text, says string }{
		{"no object", `["Name"]`, "not a JSON object"},
		{"null", `null`, "not a JSON object"},
		{"empty", ``, "JSON"},
		{"cut", `{"Name": "secret-value`, "line 1"},
		{"comment not ended", `{"Name": "a" /* }`, "line 1"},
		{"single quotes", "{\n'Name': 1}", "line 2"},
		{"control character", "{\"Name\": \"secret\tvalue\"}", "line 1, column 10"},
		{"variable without name", "{\n\"Name\": \"${}\"}", "line 2"},
		{"default without name", `{"Name": "${:-secret}"}`, "line 1"},
		{"port as a text", `{"HttpPort": "8042"}`, "HttpPort is not an integer"},
		{"port with a fraction", `{"DicomPort": 4242.0}`, "DicomPort is not an integer"},
		{"index is null", `{"IndexDirectory": null}`, "IndexDirectory is not a text"},
		{"storage is empty", `{"StorageDirectory": ""}`, "is empty"},
		{"flag as a number", `{"StoreDicom": 1}`, "StoreDicom is not true or false"},
		{"users", `{"AuthenticationEnabled": true, "RegisteredUsers": {"a": ["secret"]}}`, "RegisteredUsers"},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := write(t, t.TempDir(), "c.json", test.text)
			_, err := orthanc.ReadConfiguration(path, environment(nil))
			if !errors.Is(err, orthanc.ErrConfiguration) || !strings.Contains(err.Error(), test.says) ||
				!strings.Contains(err.Error(), path) || strings.Contains(err.Error(), "secret") {
				t.Fatalf("got %v, want %q", err, test.says)
			}
		})
	}
	if _, err := orthanc.ReadConfiguration("/nonexistent/orthanc", nil); !errors.Is(err, orthanc.ErrConfiguration) ||
		!errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "/nonexistent/orthanc") {
		t.Fatalf("absent: %v", err)
	}
}

func TestConfigurationFolder(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "b.json", `{"Name": "b"}`)
	write(t, dir, "a.JSON", `{"DicomPort": 1}`)
	write(t, dir, "c.json~", `no JSON`)
	write(t, dir, "below/d.json", `no JSON`)
	write(t, dir, "folder.json/e.json", `no JSON`)
	c, err := orthanc.ReadConfiguration(dir, nil)
	if err != nil || c.Name != "b" || c.DicomPort != 1 || len(c.Files) != 2 || c.StorageDirectory != dir+"/OrthancStorage" {
		t.Fatalf("%v, %q, %+v", err, c.Files, c)
	}
	write(t, dir, "z.json", `{"Name": "z"}`)
	_, err = orthanc.ReadConfiguration(dir, nil)
	if !errors.Is(err, orthanc.ErrConfiguration) || !strings.Contains(err.Error(), `"Name"`) ||
		!strings.Contains(err.Error(), "b.json") || !strings.Contains(err.Error(), "z.json") {
		t.Fatalf("a key in two files: %v", err)
	}
}

// TestConfigurationBehindLink: ".." is followed as the kernel does, from where a linked folder really lies.
func TestConfigurationBehindLink(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "real/etc/c.json", `{"StorageDirectory": "../db"}`)
	write(t, dir, "real/db/x", "")
	write(t, dir, "db/x", "")
	if err := os.Symlink(filepath.Join(dir, "real", "etc"), filepath.Join(dir, "link")); err != nil {
		t.Skip(err)
	}
	c, err := orthanc.ReadConfiguration(filepath.Join(dir, "link"), nil)
	if err != nil || c.StorageDirectory != filepath.Join(dir, "real", "db") {
		t.Fatalf("%v, %s", err, c.StorageDirectory)
	}
}

func TestConfigurationKeepsSecrets(t *testing.T) {
	c, err := orthanc.ReadConfiguration(write(t, t.TempDir(), "c.json",
		`{"RemoteAccessAllowed": true, "SslEnabled": true, "HttpPort": 1, "RegisteredUsers": {"eve": "secret-1"}}`), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		if text := fmt.Sprintf(format+format, c, c.HTTP); strings.Contains(text, "secret") || strings.Contains(text, "eve") ||
			strings.Contains(text, fmt.Sprintf("%x", "secret")) {
			t.Errorf("%s prints %s", format, text)
		}
	}
	request, err := http.NewRequest(http.MethodGet, c.HTTP.URL("/system"), nil)
	if err != nil {
		t.Fatal(err)
	}
	c.HTTP.Authorize(request)
	if user, password, ok := request.BasicAuth(); !ok || user != "eve" || password != "secret-1" ||
		request.URL.String() != "https://127.0.0.1:1/system" {
		t.Fatalf("%s as %s", request.URL, user)
	}
}

func TestRewrite(t *testing.T) {
	env := environment(map[string]string{"DATA": "/data"})
	for _, test := range []struct{ name, text, index, want string }{
		{
			"replaced", "{ // where\n \"StorageDirectory\" : \"${DATA:-x}/db\" /* here */, \"HttpPort\": ${PORT:-8042}, \"IndexDirectory\":\"i\", }",
			"/new/i", "{ // where\n \"StorageDirectory\" : \"/new/s\" /* here */, \"HttpPort\": ${PORT:-8042}, \"IndexDirectory\":\"/new/i\", }",
		},
		{"added", "// top {\n{\"Name\": \"${N}\"}", "/new/i", "// top {\n{\n  \"StorageDirectory\" : \"/new/s\",\n  \"IndexDirectory\" : \"/new/i\",\"Name\": \"${N}\"}"},
		{"added to nothing", "{}", "/new/s", "{\n  \"StorageDirectory\" : \"/new/s\"}"},
		{"both of two", `{"StorageDirectory": "a", "StorageDirectory": "b"}`, "/new/s", `{"StorageDirectory": "/new/s", "StorageDirectory": "/new/s"}`},
		{"below the top", `{"X": {"StorageDirectory": "a"}, "StorageDirectory": ""}`, "/new/s", `{"X": {"StorageDirectory": "a"}, "StorageDirectory": "/new/s"}`},
		{"Latin-1", "{/* \xfc */\"StorageDirectory\": \"a\" // \xe4\n}", "/new/s", "{/* \xfc */\"StorageDirectory\": \"/new/s\" // \xe4\n}"},
	} {
		t.Run(test.name, func(t *testing.T) {
			files := []orthanc.ConfigurationFile{{Path: "/etc/c.json", Data: []byte(test.text)}}
			out, err := orthanc.Rewrite(files, "/new/s", test.index, "", env)
			if err != nil || string(out[0].Data) != test.want {
				t.Fatalf("%v\n%s\nwant\n%s", err, out[0].Data, test.want)
			}
			if string(files[0].Data) != test.text {
				t.Fatal("the file given was changed")
			}
			again, err := orthanc.Rewrite(out, "/new/s", test.index, "", env)
			if err != nil || !bytes.Equal(again[0].Data, out[0].Data) {
				t.Fatalf("not stable: %v\n%s", err, again[0].Data)
			}
		})
	}
}

// TestRewriteRefuses: a key that is hidden in a variable cannot be replaced, and is not overlooked.
func TestRewriteRefuses(t *testing.T) {
	files := []orthanc.ConfigurationFile{{Path: "/etc/c.json", Data: []byte(`{"Name": "a", "Storage${D:-Directory}": "/old"}`)}}
	if out, err := orthanc.Rewrite(files, "/new", "/new", "", environment(nil)); !errors.Is(err, orthanc.ErrConfiguration) {
		t.Fatalf("%v, %s", err, out)
	}
}

// TestConfigurationLikeOrthanc starts the real server on configurations and compares what it says and where its
// files appear with what was read.
func TestConfigurationLikeOrthanc(t *testing.T) {
	orthanctest.Need(t)
	const common = `"HttpPort": ${TEST_PORT}, "DicomServerEnabled": false, // the port
		/* nothing "here" */ "RemoteAccessAllowed": false, "AuthenticationEnabled": false,`
	for _, test := range []struct {
		name  string
		files map[string]string
		open  string // what Orthanc is started with, below the folder
	}{
		{"folder", map[string]string{
			"etc/main.json":  `{` + common + `"Name": "n-${TEST_NAME:-x}-${TEST_UNSET}-${TEST_UNSET:-'d'}"}`,
			"etc/paths.JSON": `{"StorageDirectory": "../db/s", "IndexDirectory": "${TEST_INDEX:-x}",}`,
			"etc/old.json~":  `{`,
			"etc/sub/x.json": `{`,
		}, "etc"},
		{"file", map[string]string{
			"c.json": "\ufeff{" + common + `"Name": "first", "Name": "second", "DicomPort": 11112} trailing`,
		}, "c.json"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for name, text := range test.files {
				write(t, dir, name, text)
			}
			if test.open == "etc" {
				write(t, dir, "db/keep", "")
			}
			port, err := orthanctest.FreePort()
			if err != nil {
				t.Fatal(err)
			}
			values := map[string]string{"TEST_PORT": fmt.Sprint(port), "TEST_NAME": "name", "TEST_INDEX": "deep/index"}
			var list []string
			for name, value := range values {
				list = append(list, name+"="+value)
			}
			path := filepath.Join(dir, test.open)
			c, err := orthanc.ReadConfiguration(path, environment(values))
			if err != nil {
				t.Fatal(err)
			}
			s := orthanctest.Start(t, orthanctest.Options{Dir: filepath.Join(dir, "run"), Config: path, Port: port, Env: list})
			if want := s.URL() + "/system"; c.HTTP.URL("/system") != want {
				t.Errorf("URL %s, want %s", c.HTTP.URL("/system"), want)
			}
			system, err := s.System()
			if err != nil || system.Name != c.Name || system.DicomPort != c.DicomPort {
				t.Errorf("Orthanc says %+v (%v), read were %s and %d", system, err, c.Name, c.DicomPort)
			}
			if _, err := s.Upload(orthanctest.Sample(1, 1, 1, 1, 8)); err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat(filepath.Join(c.IndexDirectory, "index")); err != nil {
				t.Error(err)
			}
			if files, _ := filepath.Glob(filepath.Join(c.StorageDirectory, "??", "??", "*")); len(files) != 1 {
				t.Errorf("%d attachments below %s", len(files), c.StorageDirectory)
			}
		})
	}
}

func FuzzConfiguration(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"Name": "${A:-b}", "HttpPort": ${P:-1}, /* c */ "Plugins": ["a",],}`, "\ufeff{\"StorageDirectory\": \"x\"} y // z",
		`{"StorageDirectory":"${${A}}"}`, `{"a":"\`, `/*`, `{"IndexDirectory":"b"//`, `[`, "{\"a\" : 1 // \xff\n}",
	} {
		f.Add([]byte(seed))
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text []byte) {
		path := filepath.Join(dir, "c.json")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		env := environment(map[string]string{"A": "value"})
		c, err := orthanc.ReadConfiguration(path, env)
		if err != nil {
			if c != nil || !errors.Is(err, orthanc.ErrConfiguration) {
				t.Fatalf("%v with %v", c, err)
			}
			return
		}
		if !filepath.IsAbs(c.StorageDirectory) || !filepath.IsAbs(c.IndexDirectory) {
			t.Fatalf("%s, %s", c.StorageDirectory, c.IndexDirectory)
		}
		out, err := orthanc.Rewrite([]orthanc.ConfigurationFile{{Path: path, Data: text}}, "/s", "/i", "/p", env)
		if err != nil {
			return
		}
		if err := os.WriteFile(path, out[0].Data, 0o600); err != nil {
			t.Fatal(err)
		}
		if c, err := orthanc.ReadConfiguration(path, env); err != nil || c.StorageDirectory != "/s" || c.IndexDirectory != "/i" {
			t.Fatalf("rewritten: %v\n%s", err, out[0].Data)
		}
	})
}

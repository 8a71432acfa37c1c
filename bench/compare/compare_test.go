package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/orthokeep/orthokeep/chunk/dicomtest"
	"github.com/orthokeep/orthokeep/orthanc/orthanctest"
)

// TestCompare goes through all nights once, with orthokeep and with the peers that are there.
func TestCompare(t *testing.T) {
	orthanctest.Need(t)
	files, program := t.TempDir(), filepath.Join(t.TempDir(), "orthokeep")
	if out, err := exec.Command("go", "build", "-o", program, "../../cmd/orthokeep").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	writeStudies(t, files)
	o := options{corpus: files, rounds: 1, orthokeep: program, dir: t.TempDir(), tools: regexp.MustCompile("^(orthokeep balanced|restic auto|borg lz4|kopia zstd-fastest|rustic)$")}
	if err := makeCorpus(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	c, err := openCorpus(o.dir)
	if err != nil {
		t.Fatal(err)
	}
	if a, b, d := c.Days[0].Instances, c.Days[1].Instances, c.Days[2].Instances; a != 39 || b != 39 || d < 41 { // +1 −1, then a series more
		t.Errorf("%d, %d and %d instances", a, b, d)
	}
	all, err := findTools(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if err := measureAll(t.Context(), c, all, o); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := printTable(&out, c, all, o.rounds); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"initial | orthokeep balanced", "copies of 5 % | orthokeep balanced", "prune | orthokeep balanced", "initial | rustic | missing"} {
		if !strings.Contains(strings.Join(strings.Fields(out.String()), " "), want) {
			t.Errorf("no %q in the table:\n%s", want, out.String())
		}
	}
	for _, tool := range all {
		if !tool.missing && (tool.samples[0][0].added < 1e5 || tool.samples[0][0].cpu == 0) {
			t.Errorf("%s: a first backup that took and stored nothing: %+v", tool.name, tool.samples[0][0])
		}
	}
}

// writeStudies makes 40 files of a few kinds, 40 KB to 80 KB each, and one that is no DICOM.
func writeStudies(t *testing.T, dir string) {
	t.Helper()
	n := 0
	for i := range dicomtest.Archive(1, 40) {
		n++
		if err := os.WriteFile(filepath.Join(dir, strings.Repeat("i", n)), i.Data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "LICENSE"), bytes.Repeat([]byte("text "), 100), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestCompareFolders sees that a restore with one other byte, a file less, or a file more is found out.
func TestCompareFolders(t *testing.T) {
	original := t.TempDir()
	write := func(dir, name, text string) {
		t.Helper()
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	database := "SQLite format 3\x00" + strings.Repeat("x", 200)
	write(original, "ab/one", "abc")
	write(original, "index", database)
	for name, c := range map[string]struct {
		files map[string]string
		same  bool
	}{
		"equal":               {map[string]string{"ab/one": "abc", "index": database}, true},
		"fields of a header":  {map[string]string{"ab/one": "abc", "index": database[:24] + "yyyy" + database[28:]}, true},
		"another header":      {map[string]string{"ab/one": "abc", "index": database[:30] + "y" + database[31:]}, false},
		"another byte":        {map[string]string{"ab/one": "abd", "index": database}, false},
		"a byte more":         {map[string]string{"ab/one": "abcd", "index": database}, false},
		"a file less":         {map[string]string{"index": database}, false},
		"a file more":         {map[string]string{"ab/one": "abc", "ab/two": "abc", "index": database}, false},
		"in the other folder": {map[string]string{"ab/two": "abc", "index": database}, false},
	} {
		t.Run(name, func(t *testing.T) {
			restored := t.TempDir()
			for file, text := range c.files {
				write(restored, file, text)
			}
			if err := compareFolders(original, []string{restored}); (err == nil) != c.same {
				t.Errorf("compareFolders: %v", err)
			}
		})
	}
}

func TestMedians(t *testing.T) {
	samples := []sample{{files: 5}, {files: 1}, {files: 2}}
	if got := medians(step{kind: backing}, samples)[6]; got != 2 {
		t.Errorf("median of 5, 1, 2 is %v", got)
	}
	if got := medians(step{kind: backing}, samples[:2])[6]; got != 3 {
		t.Errorf("median of 5, 1 is %v", got)
	}
}

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The branches of testdata/sample are those whose line says so.
func TestBranches(t *testing.T) {
	packages, err := load([]string{"./testdata/sample"})
	if err != nil {
		t.Fatal(err)
	}
	if len(packages) != 1 {
		t.Fatalf("%d packages", len(packages))
	}
	found, panics := packages[0].branches()
	source, err := os.ReadFile("testdata/sample/sample.go")
	if err != nil {
		t.Fatal(err)
	}
	want := map[int]bool{}
	wantPanics := 0
	n := 0
	for line := range strings.Lines(string(source)) {
		n++
		want[n] = strings.Contains(line, "// branch")
		if strings.Contains(line, "// panic") {
			wantPanics++
		}
	}
	for _, b := range found {
		if !want[b.from.line] {
			t.Errorf("%s is no error branch", b)
		}
		delete(want, b.from.line)
	}
	for line, is := range want {
		if is {
			t.Errorf("line %d is an error branch", line)
		}
	}
	if panics != wantPanics {
		t.Errorf("%d panics, want %d", panics, wantPanics)
	}
}

// What was run is counted over all test binaries, what was not is named, and what the profile does not know is an error.
func TestReport(t *testing.T) {
	packages, err := load([]string{"./testdata/sample"})
	if err != nil {
		t.Fatal(err)
	}
	found, _ := packages[0].branches()
	var lines []string
	for i, b := range found {
		for binary := range 2 {
			count := "0"
			if i > 0 && binary == i%2 {
				count = "1"
			}
			lines = append(lines, b.file+":"+at(b.from)+","+at(b.to)+" 1 "+count)
		}
	}
	path := filepath.Join(t.TempDir(), "cover.out")
	write := func(lines []string) {
		t.Helper()
		if err := os.WriteFile(path, []byte("mode: set\n"+strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(lines)
	var out strings.Builder
	enough, err := report(&out, path, 100, []string{"./testdata/sample"})
	if err != nil || enough {
		t.Fatalf("enough: %v, %v", enough, err)
	}
	if got := out.String(); strings.Count(got, "not covered:") != 1 || !strings.Contains(got, "not covered: "+found[0].String()) {
		t.Errorf("it says\n%s", got)
	}
	if enough, err = report(&out, path, 50, []string{"./testdata/sample"}); err != nil || !enough {
		t.Errorf("enough of 50 per cent: %v, %v", enough, err)
	}
	write(slices.DeleteFunc(lines, func(l string) bool { return strings.HasPrefix(l, found[1].file+":"+at(found[1].from)) }))
	if _, err := report(&out, path, 0, []string{"./testdata/sample"}); err == nil {
		t.Error("a branch that the profile does not know is passed over")
	}
	write([]string{"nonsense"})
	if _, err := report(&out, path, 0, []string{"./testdata/sample"}); err == nil {
		t.Error("nonsense is a profile")
	}
}

func at(p place) string { return fmt.Sprintf("%d.%d", p.line, p.column) }

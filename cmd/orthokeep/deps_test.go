package main

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/orthokeep/orthokeep"

// allowed is the whole import graph of the module. A new edge is a decision. bench may import everything but cmd.
var allowed = map[string][]string{
	"cmd/orthokeep":            {"orthanc", "snapshot", "repo", "repo/storage"},
	"orthanc":                  {"snapshot", "repo"},
	"snapshot":                 {"chunk", "chunk/pixel", "repo", "repo/storage"},
	"repo":                     {"chunk/pixel", "repo/storage"},
	"chunk":                    {"chunk/pixel"},
	"chunk/pixel":              {},
	"repo/storage":             {},
	"chunk/dicomtest":          {"chunk/pixel"},
	"repo/storage/faulty":      {"repo/storage"},
	"repo/storage/storagetest": {"repo/storage"},
	"orthanc/orthanctest":      {"chunk/dicomtest"},
}

// testOnly are the packages that only tests, bench and each other import.
var testOnly = []string{"chunk/dicomtest", "repo/storage/faulty", "repo/storage/storagetest", "orthanc/orthanctest"}

func TestImportGraph(t *testing.T) {
	imports := goList(t, "Imports")
	for from, to := range imports {
		if within(from, "bench") {
			continue
		}
		edges, known := allowed[from]
		if !known {
			t.Errorf("package %s is not in the import graph", from)
		}
		for _, dep := range to {
			if !slices.Contains(edges, dep) {
				t.Errorf("%s imports %s", from, dep)
			}
		}
	}
	for from := range allowed {
		if _, there := imports[from]; !there {
			t.Errorf("the import graph names the package %s, which does not exist", from)
		}
	}
}

// upward are the packages above their own that black-box tests reach for: those of the codec cut real files.
var upward = map[string]string{"chunk/pixel": "chunk"}

// Tests may reach for more: the packages below and those made for tests. Nothing at all imports cmd, and only bench bench.
func TestImportsOfTests(t *testing.T) {
	for _, field := range []string{"Imports", "TestImports", "XTestImports"} {
		for from, to := range goList(t, field) {
			for _, dep := range to {
				switch {
				case within(dep, "cmd"), within(dep, "bench") && !within(from, "bench"):
					t.Errorf("%s of %s: %s", field, from, dep)
				case from != dep && field != "Imports" && !within(from, "bench") && !slices.Contains(testOnly, dep) && !below(from, dep) && upward[from] != dep:
					t.Errorf("%s of %s: %s is not below it", field, from, dep)
				}
			}
		}
	}
}

// below says whether from may import dep, itself or by way of others.
func below(from, dep string) bool {
	return slices.ContainsFunc(allowed[from], func(next string) bool { return next == dep || below(next, dep) })
}

func within(pkg, dir string) bool { return pkg == dir || strings.HasPrefix(pkg, dir+"/") }

// goList returns for each package of the module which others of the module it imports, without the module's name.
func goList(t *testing.T, field string) map[string][]string {
	t.Helper()
	cmd := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .`+field+` " "}}`, module+"/...")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	graph := map[string][]string{}
	for line := range strings.Lines(string(out)) {
		var ours []string
		for _, path := range strings.Fields(line) {
			if name, ok := strings.CutPrefix(path, module+"/"); ok {
				ours = append(ours, name)
			}
		}
		graph[ours[0]] = ours[1:]
	}
	return graph
}

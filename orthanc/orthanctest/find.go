package orthanctest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
)

// ErrNoOrthanc is returned by Find where there is no Orthanc to run. Its text names the command that gets one.
var ErrNoOrthanc = errors.New("no Orthanc here: run 'sh orthanc/orthanctest/get-orthanc.sh' or set ORTHOKEEP_ORTHANC")

// Find returns the path of the Orthanc to run. An ORTHOKEEP_ORTHANC that cannot be run is an error of its own, never
// passed over for another Orthanc.
func Find() (string, error) {
	if named := os.Getenv("ORTHOKEEP_ORTHANC"); named != "" {
		path, err := exec.LookPath(named)
		if err != nil {
			return "", fmt.Errorf("ORTHOKEEP_ORTHANC: %w", err)
		}
		return filepath.Abs(path)
	}
	if path, err := exec.LookPath("Orthanc"); err == nil {
		return filepath.Abs(path)
	}
	places := []string{"/usr/sbin/Orthanc"}
	for _, root := range roots() {
		places = append(places, filepath.Join(root, ".cache", "orthanc", "Orthanc"))
	}
	for _, place := range places {
		if path, err := exec.LookPath(place); err == nil {
			return path, nil
		}
	}
	return "", ErrNoOrthanc
}

// roots returns where the repository may lie: above the working folder, and above this file as it was compiled.
func roots() []string {
	var found []string
	if dir, err := os.Getwd(); err == nil {
		for ; ; dir = filepath.Dir(dir) {
			if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
				found = append(found, dir)
				break
			}
			if dir == filepath.Dir(dir) {
				break
			}
		}
	}
	if _, file, _, ok := runtime.Caller(0); ok && filepath.IsAbs(file) {
		found = append(found, filepath.Dir(filepath.Dir(filepath.Dir(file))))
	}
	return found
}

// Need returns the path of Orthanc. Without one the test fails in CI (CI=true), and is skipped elsewhere.
func Need(t testing.TB) string {
	t.Helper()
	path, err := Find()
	if err == nil {
		return path
	}
	if os.Getenv("CI") == "true" {
		t.Fatal(err)
	}
	t.Skip(err)
	return ""
}

package storage_test

import (
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/orthokeep/orthokeep/repo/storage"
)

// FuzzCheckName: a name that is accepted stays below its folder, means one file only, and is never a temporary one.
func FuzzCheckName(f *testing.F) {
	for _, name := range []string{"config", "packs/ab/abcd", "runs/20261123T020004Z-5b1f.end", "../x", "a/../b", "/a", "a//b", "a.tmp", "a\\b", "C:x", ".", "", "a/."} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if storage.CheckName(name) != nil {
			return
		}
		if !filepath.IsLocal(filepath.FromSlash(name)) || path.Clean(name) != name {
			t.Fatalf("%q is accepted and leads elsewhere", name)
		}
		if strings.HasSuffix(name, ".tmp") || strings.ContainsAny(name, "\\: \x00") || len(name) > storage.MaxName {
			t.Fatalf("%q is accepted", name)
		}
	})
}

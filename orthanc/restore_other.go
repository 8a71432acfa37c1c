//go:build !linux

package orthanc

import (
	"io/fs"
	"os"
	"path/filepath"
)

// freeSpace is not known here.
func freeSpace(string) int64 { return -1 }

// syncTree makes every file below a folder durable.
func syncTree(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			return err
		}
		defer f.Close()
		return f.Sync()
	})
}

//go:build !linux

package orthanc

import (
	"os"
	"path/filepath"
)

// folderReader reads the names in the folders below a root, for one goroutine.
type folderReader struct{ root string }

// openFolderReader opens a root. The caller closes it.
func openFolderReader(root string) (*folderReader, error) { return &folderReader{root}, nil }

func (f *folderReader) close() {}

// read appends the names in a folder to names, in no order.
func (f *folderReader) read(dir string, names []string) ([]string, error) {
	in, err := os.Open(filepath.Join(f.root, dir))
	if err != nil {
		return names, err
	}
	defer in.Close()
	more, err := in.Readdirnames(-1)
	return append(names, more...), err
}

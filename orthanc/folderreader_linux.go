package orthanc

import (
	"errors"
	"io/fs"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// folderReader reads the names in the folders below a root, for one goroutine. It does so by system calls alone: an os.File costs as much
// again as these, and there are 65,536 folders to a storage area.
type folderReader struct {
	root string
	fd   int // of the root
	buf  []byte
}

// openFolderReader opens a root. The caller closes it.
func openFolderReader(root string) (*folderReader, error) {
	fd, err := openFolder(unix.AT_FDCWD, root)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: root, Err: err}
	}
	return &folderReader{root, fd, make([]byte, 32<<10)}, nil
}

func (f *folderReader) close() { _ = unix.Close(f.fd) } // it was only read

// read appends the names in a folder to names, in the order of the file system.
func (f *folderReader) read(dir string, names []string) ([]string, error) {
	fd, err := openFolder(f.fd, dir)
	if err == nil {
		names, err = f.readOpen(fd, names)
		_ = unix.Close(fd)
	}
	if err != nil {
		return names, &fs.PathError{Op: "read", Path: filepath.Join(f.root, dir), Err: err}
	}
	return names, nil
}

func (f *folderReader) readOpen(fd int, names []string) ([]string, error) {
	for {
		n, err := unix.ReadDirent(fd, f.buf)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || n == 0 {
			return names, err
		}
		_, _, names = unix.ParseDirent(f.buf[:n], -1, names)
	}
}

func openFolder(at int, path string) (int, error) {
	for {
		fd, err := unix.Openat(at, path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if !errors.Is(err, unix.EINTR) {
			return fd, err
		}
	}
}

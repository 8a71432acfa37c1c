package orthanc

import (
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// freeSpace returns the bytes that this user may still write below a folder that need not exist yet; -1 when not known.
func freeSpace(dir string) int64 {
	for {
		var s unix.Statfs_t
		err := unix.Statfs(dir, &s)
		if err == nil {
			return int64(s.Bavail) * s.Bsize
		}
		if err != unix.ENOENT || dir == filepath.Dir(dir) {
			return -1
		}
		dir = filepath.Dir(dir)
	}
}

// syncTree makes the file system that a folder lies on durable.
func syncTree(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.Syncfs(int(f.Fd()))
}

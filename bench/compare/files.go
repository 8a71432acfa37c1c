package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"time"
)

// A foundFile is a regular file below a folder.
type foundFile struct {
	path string // relative to the folder
	info fs.FileInfo
}

var errStop = errors.New("stop")

// filesBelow lists the regular files below a folder.
func filesBelow(dir string) iter.Seq2[foundFile, error] {
	return func(yield func(foundFile, error) bool) {
		err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
			if err != nil || !e.Type().IsRegular() {
				return err
			}
			info, err := e.Info()
			if err != nil {
				return err
			}
			rel, err := filepath.Rel(dir, path)
			if err == nil && !yield(foundFile{rel, info}, nil) {
				err = errStop
			}
			return err
		})
		if err != nil && err != errStop {
			yield(foundFile{}, err)
		}
	}
}

// A stamp tells whether a file was written since.
type stamp struct {
	size     int64
	modified time.Time
}

// contentsOf returns the files of a repository and their bytes in all.
func contentsOf(dir string) (files map[string]stamp, bytes int64, err error) {
	files = map[string]stamp{}
	for f, err := range filesBelow(dir) {
		if err != nil {
			return nil, 0, err
		}
		files[f.path] = stamp{f.info.Size(), f.info.ModTime()}
		bytes += f.info.Size()
	}
	return files, bytes, nil
}

// written counts the files of now that before has not, or not so.
func written(before, now map[string]stamp) (n int) {
	for path, s := range now {
		if before[path] != s {
			n++
		}
	}
	return n
}

// compareFolders returns nil when the restored folders together hold what the storage area holds, byte by byte and nothing else.
func compareFolders(storage string, restored []string) error {
	missing := 0
	for f, err := range filesBelow(storage) {
		if err != nil {
			return err
		}
		missing++
		same, err := restoredIn(restored, f.path, filepath.Join(storage, f.path))
		if err != nil {
			return err
		}
		if !same {
			return fmt.Errorf("%s was restored with other bytes", f.path)
		}
	}
	for _, dir := range restored {
		for _, err := range filesBelow(dir) {
			if err != nil {
				return err
			}
			missing--
		}
	}
	if missing != 0 {
		return fmt.Errorf("%d files more were restored than the storage area has", -missing)
	}
	return nil
}

// restoredIn compares a file with that of the first of the folders which has it.
func restoredIn(folders []string, rel, original string) (same bool, err error) {
	for _, dir := range folders {
		if same, err = sameContent(original, filepath.Join(dir, rel)); !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	return same, err
}

// sameContent compares two files. Of a SQLite database the fields of its header do not count that say who wrote it last: orthokeep
// turns the write-ahead log of its copy of the index off (offsets 18 and 19), which is a write (24 to 27, and 92 to 99).
func sameContent(a, b string) (bool, error) {
	fa, err := os.Open(a)
	if err != nil {
		return false, err
	}
	defer fa.Close()
	fb, err := os.Open(b)
	if err != nil {
		return false, err
	}
	defer fb.Close()
	x, y := make([]byte, 256<<10), make([]byte, 256<<10)
	for first := true; ; first = false {
		n, errA := io.ReadFull(fa, x)
		m, errB := io.ReadFull(fb, y)
		if first && bytes.HasPrefix(x, []byte("SQLite format 3\x00")) {
			for _, at := range [][2]int{{18, 20}, {24, 28}, {92, 100}} {
				copy(y[at[0]:at[1]], x[at[0]:at[1]])
			}
		}
		if !bytes.Equal(x[:n], y[:m]) {
			return false, nil
		}
		if errA == io.EOF || errA == io.ErrUnexpectedEOF {
			return errA == errB, nil
		}
		if err := errors.Join(errA, errB); err != nil {
			return false, err
		}
	}
}

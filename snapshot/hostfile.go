package snapshot

import (
	"io"
	"io/fs"
)

// A hostFile is an open file of this host that is no part of a repository: the log of provisional entries, the copy of an index. An *os.File is
// one.
type hostFile interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Name() string
	Stat() (fs.FileInfo, error)
	Sync() error
	Truncate(size int64) error
}

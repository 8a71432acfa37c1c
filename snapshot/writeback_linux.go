package snapshot

import (
	"os"

	"golang.org/x/sys/unix"
)

// startWriteback has the system write a file to disk from now on, so that the disk works while the next files are decoded and there is
// little left to wait for when all of them are made durable. It promises nothing, hence no error.
func startWriteback(f *os.File) {
	_ = unix.SyncFileRange(int(f.Fd()), 0, 0, unix.SYNC_FILE_RANGE_WRITE)
}

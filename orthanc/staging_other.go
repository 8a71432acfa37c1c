//go:build !unix

package orthanc

import "os"

// sameDevice is not known here: staging lies in the cache.
func sameDevice(_, _ string) bool { return false }

// fileOwner is not known here.
func fileOwner(os.FileInfo) (uid, gid int) { return -1, -1 }

// fileNumber is not known here.
func fileNumber(os.FileInfo) uint64 { return 0 }

//go:build !linux

package orthanc

import (
	"errors"
	"os"
	"time"
)

// changeTime is not looked at here: without localFileSystem no pre-copy counts.
func changeTime(os.FileInfo) time.Time { return time.Time{} }

// localFileSystem is not known here.
func localFileSystem(string) bool { return false }

func cloneFile(_, _ string) error { return errors.ErrUnsupported }

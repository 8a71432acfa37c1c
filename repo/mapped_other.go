//go:build !unix || solaris || illumos || aix

package repo

import (
	"errors"
	"os"
)

func mapFile(*os.File, int64) ([]byte, error) { return nil, errors.ErrUnsupported }
func unmapFile([]byte)                        {}

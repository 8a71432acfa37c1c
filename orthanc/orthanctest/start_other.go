//go:build !linux

package orthanctest

import (
	"os"
	"syscall"
)

func attributes() *syscall.SysProcAttr { return nil }

func wake(*os.Process) {}

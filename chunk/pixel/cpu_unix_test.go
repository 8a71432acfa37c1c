//go:build unix

package pixel_test

import (
	"syscall"
	"time"
)

// cpuTime is the CPU time, user and system, that this process has taken.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

//go:build unix

package cpu

import (
	"os"
	"syscall"
	"time"
)

// Used is the time, user and system, that this process has taken so far with all its threads.
func Used() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// MemoryOf is the most that a process that has ended, or one of those that it waited for, had in memory, in bytes.
func MemoryOf(s *os.ProcessState) int64 {
	if u, ok := s.SysUsage().(*syscall.Rusage); ok {
		return int64(u.Maxrss) << 10 // kilobytes on Linux
	}
	return 0
}

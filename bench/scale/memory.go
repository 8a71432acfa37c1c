//go:build unix

package main

import (
	"bytes"
	"fmt"
	"os"
)

// peakMemory is the most that this process has had in memory, in bytes; 0 where the system does not tell. It is not taken from
// getrusage, which counts what the parent had when it forked.
func peakMemory() int64 {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	var kilobytes int64
	if _, rest, ok := bytes.Cut(text, []byte("VmHWM:")); ok {
		_, _ = fmt.Sscan(string(rest), &kilobytes) // stays 0
	}
	return kilobytes << 10
}

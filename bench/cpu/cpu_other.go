//go:build !unix

package cpu

import (
	"os"
	"time"
)

var started = time.Now()

// Used is the time since the start: this system does not tell time of the processor in the same way.
func Used() time.Duration { return time.Since(started) }

// MemoryOf is not known here.
func MemoryOf(*os.ProcessState) int64 { return 0 }

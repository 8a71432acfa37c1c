//go:build !unix

package pixel_test

import "time"

// cpuTime is not known here: the benchmarks leave the figure out.
func cpuTime() time.Duration { return 0 }

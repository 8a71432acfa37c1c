// Package cpu tells the benchmarks what they and their processes took: time of the processor, which on a shared machine says more than the clock,
// and memory.
package cpu

import "time"

// Of runs f and returns the time, user and system, of all threads of this process that it took.
func Of(f func() error) (time.Duration, error) {
	before := Used()
	err := f()
	return Used() - before, err
}

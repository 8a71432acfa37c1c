package main

import (
	"context"
	"os"
	"runtime/debug"
)

// garbage is the share of memory, in percent of what is in use, that may be garbage. Most of what is in use are buffers of packs, which
// are kept: with the usual 100 a backup held seventy megabytes more, and was no faster.
const garbage = 50

func main() {
	if code, ok := windowHelper(os.Args[1:]); ok {
		os.Exit(code)
	}
	debug.SetGCPercent(garbage)
	os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

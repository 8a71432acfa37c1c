package main

import (
	"errors"
	"os"
	"path/filepath"
	"runtime/pprof"
)

// profiled runs a step and writes where its CPU went to STEP.pprof in a folder, over what an earlier one left there; without a folder
// it just runs.
func profiled(folder, step string, run func() error) (err error) {
	if folder == "" {
		return run()
	}
	out, err := os.Create(filepath.Join(folder, step+".pprof"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	if err := pprof.StartCPUProfile(out); err != nil {
		return err
	}
	defer pprof.StopCPUProfile()
	return run()
}

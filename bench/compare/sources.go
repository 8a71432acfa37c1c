package main

import (
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"

	"github.com/orthokeep/orthokeep/chunk/dicomtest"
)

// A source is the DICOM files of two days: the second one brings 3 % more.
type source struct {
	name          string
	first, second iter.Seq2[[]byte, error]
}

const (
	newShare     = 0.03  // of instances or studies that the second day brings
	deletedShare = 0.002 // of the instances that the second day deletes
	copiedShare  = 0.05  // of the instances that the third day copies
)

// shareOf is a share of n, and one at least.
func shareOf(n int, share float64) int { return max(1, int(share*float64(n)+0.5)) }

// generated makes studies from seeds until there are so many megabytes: two thirds CT, a quarter MR, and some of what else a
// department has.
func generated(megabytes int) source {
	mix := []dicomtest.Config{
		{Kind: dicomtest.CT, Instances: 24}, {Kind: dicomtest.MR, Instances: 24}, {Kind: dicomtest.CTSharp, Instances: 24},
		{Kind: dicomtest.CT, Instances: 24}, {Kind: dicomtest.SR}, {Kind: dicomtest.CTSharp, Instances: 24}, {Kind: dicomtest.US},
		{Kind: dicomtest.MR, Instances: 24}, {Kind: dicomtest.CT, Instances: 24}, {Kind: dicomtest.CR}, {Kind: dicomtest.CTSharp, Instances: 24},
		{Kind: dicomtest.CT, Instances: 24}, {Kind: dicomtest.MultiCT}, {Kind: dicomtest.JPEG2000, Instances: 6},
	}
	const mixMegabytes = 140 // of all of these
	n := max(2, megabytes*len(mix)/mixMegabytes)
	second := shareOf(n, newShare)
	return source{"generated studies", allOf(studies(mix, 1, n-second)), allOf(studies(mix, uint64(n), second))}
}

// studies are n studies in turn out of a mix, with seeds from one on.
func studies(mix []dicomtest.Config, seed uint64, n int) []dicomtest.Config {
	all := make([]dicomtest.Config, n)
	for i := range all {
		all[i] = mix[i%len(mix)]
		all[i].Seed = seed + uint64(i)
	}
	return all
}

func allOf(studies []dicomtest.Config) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for _, c := range studies {
			for i := range dicomtest.Study(c) {
				if !yield(i.Data, nil) {
					return
				}
			}
		}
	}
}

// folderSource is the DICOM files in a folder and below, as they are; the last 3 % come on the second day.
func folderSource(dir string) (source, error) {
	var paths []string
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		is, err := isDICOM(path)
		if is {
			paths = append(paths, path)
		}
		return err
	})
	if err != nil {
		return source{}, err
	}
	if len(paths) < 2 {
		return source{}, fmt.Errorf("%s: %d DICOM files", dir, len(paths))
	}
	at := len(paths) - shareOf(len(paths), newShare)
	return source{filepath.Base(filepath.Clean(dir)), contents(paths[:at]), contents(paths[at:])}, nil
}

// isDICOM says whether a file has the prefix of PS3.10.
func isDICOM(path string) (bool, error) {
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	var b [132]byte
	n, err := f.ReadAt(b[:], 0)
	if n < len(b) { // shorter, or unreadable
		if errors.As(err, new(*fs.PathError)) {
			return false, err
		}
		return false, nil
	}
	return string(b[128:]) == "DICM", nil
}

func contents(paths []string) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for _, path := range paths {
			data, err := os.ReadFile(path)
			if !yield(data, err) || err != nil {
				return
			}
		}
	}
}

// Coverage says which error branches of packages their tests went through, and names each one that they did not:
//
//	go test -coverprofile=cover.out -coverpkg=./repo,./snapshot ./repo/... ./snapshot
//	go run ./bench/coverage -profile cover.out [-least 90] ./repo ./snapshot
//
// An error branch is the body of an if, else, case or select clause that is entered because of an error (its condition compares
// an error, or asks errors.Is, errors.As or errors.AsType), or that returns one made there: by errors.New, fmt.Errorf, a function
// of the package that does nothing else, a composite literal, or a variable of a package such as ErrNotFound. It counts as
// covered when its first statement was run. Bodies that only panic are left out, and counted apart: they say that something
// cannot happen. Without build tags or other operating systems: what is measured is what is compiled here.
//
// With -least it exits with 1 when less than so many per cent of a package's branches are covered.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
)

func main() {
	profile := flag.String("profile", "", "file that go test -coverprofile wrote")
	least := flag.Float64("least", 0, "per cent of each package's branches that must be covered")
	flag.Parse()
	enough, err := report(os.Stdout, *profile, *least, flag.Args())
	if err != nil {
		fmt.Fprintln(os.Stderr, "coverage:", err)
		os.Exit(2)
	}
	if !enough {
		os.Exit(1)
	}
}

// report prints a line for each package and each branch that is not covered, and says whether every package has enough.
func report(w io.Writer, profile string, least float64, patterns []string) (enough bool, err error) {
	covered, err := readProfile(profile)
	if err != nil {
		return false, err
	}
	packages, err := load(patterns)
	if err != nil {
		return false, err
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "package\terror branches\tcovered\tper cent\tthat panic, left out\t")
	enough = true
	var missed []string
	for _, p := range packages {
		found, panics := p.branches()
		all, run := 0, 0
		for _, b := range found {
			ran, known := covered.ran(b)
			if !known {
				return false, fmt.Errorf("%s: %s is not in the profile: other sources, or another package", profile, b)
			}
			all++
			if ran {
				run++
			} else {
				missed = append(missed, b.String())
			}
		}
		share := 100.0
		if all > 0 {
			share = 100 * float64(run) / float64(all)
		}
		enough = enough && share >= least
		fmt.Fprintf(table, "%s\t%d\t%d\t%.1f\t%d\t\n", p.name, all, run, share, panics)
	}
	if err := table.Flush(); err != nil {
		return false, err
	}
	for _, m := range missed {
		fmt.Fprintln(w, "not covered:", m)
	}
	return enough, nil
}

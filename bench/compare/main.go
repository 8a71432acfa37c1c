// Compare runs the same nights with orthokeep and with every other tool that is installed, in turn, on one corpus, and prints one
// table of what each of them took.
//
//	go run ./bench/compare [-corpus FOLDER | -megabytes N] [-rounds N] [-tools REGEXP] [-orthokeep PROGRAM] [-dir FOLDER]
//
// A real Orthanc on loopback makes the corpus: its storage area and index, what is sent and deleted, and the copies that are
// anonymised and modified, all by its own interface. Then it is stopped. The nights are an initial backup; one with nothing new; one
// after 3 % more instances and 0.2 % fewer; one after copies of 5 % of the instances with new headers. Everything is then
// restored and compared byte by byte, all data is checked, and all snapshots but the last one are given up.
//
// Rounds go through all tools, A B C A B C; figures are medians of the rounds. Each tool has a new repository and an empty cache in
// each round, encryption on, and the passphrase in its environment or a file. CPU seconds are user and system time of the processes
// of a command, memory is the most that one of them had. Files are those written to the repository, new or anew.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"syscall"
	"time"
)

type options struct {
	corpus     string // a folder of DICOM files; empty: generated
	megabytes  int    // of the generated corpus
	rounds     int
	pause      time.Duration
	cold, full bool
	tools      *regexp.Regexp
	orthokeep  string
	dir        string
	corpusOnly bool
}

func main() {
	var o options
	tools := flag.String("tools", ".", "only the tools whose names match this `regexp`")
	flag.StringVar(&o.corpus, "corpus", "", "`folder` with DICOM files to be used as they are (default: generated studies)")
	flag.IntVar(&o.megabytes, "megabytes", 1000, "size of the generated corpus")
	flag.IntVar(&o.rounds, "rounds", 3, "how often each tool goes through all nights")
	flag.DurationVar(&o.pause, "pause", 65*time.Second, "time between the rounds, after what they leave was removed")
	flag.StringVar(&o.orthokeep, "orthokeep", "./orthokeep", "the `program` to compare with the others")
	flag.StringVar(&o.dir, "dir", "", "`folder` for corpus and repositories, kept at the end (default: a temporary one)")
	flag.BoolVar(&o.cold, "cold", false, "have the system forget all files before each command, which root may do")
	flag.BoolVar(&o.full, "full", false, "fill the memory that is free with a file before each round, which takes as much space on disk")
	flag.BoolVar(&o.corpusOnly, "corpus-only", false, "make the corpus in -dir and stop; another run with the same -dir takes it as it is")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	if o.tools, err = regexp.Compile(*tools); err == nil {
		err = run(ctx, o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) (err error) {
	if o.dir == "" {
		if o.dir, err = os.MkdirTemp("", "orthokeep-compare-"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(o.dir)) }()
	}
	if o.dir, err = filepath.Abs(o.dir); err != nil {
		return err
	}
	if o.corpusOnly {
		return makeCorpus(ctx, o)
	}
	c, err := openCorpus(o.dir)
	if errors.Is(err, os.ErrNotExist) {
		// In a process of its own: the memory of this one would count as that of the tools that it starts.
		if err := makeElsewhere(ctx, o); err != nil {
			return fmt.Errorf("make the corpus: %w", err)
		}
		c, err = openCorpus(o.dir)
	}
	if err != nil {
		return err
	}
	all, err := findTools(ctx, o)
	if err != nil {
		return err
	}
	for _, t := range all {
		t.cold = o.cold
	}
	if err := measureAll(ctx, c, all, o); err != nil {
		return err
	}
	return printTable(os.Stdout, c, all, o.rounds)
}

// makeElsewhere lets another process of this program make the corpus.
func makeElsewhere(ctx context.Context, o options) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, self, "-corpus-only", "-dir", o.dir, "-corpus", o.corpus, "-megabytes", fmt.Sprint(o.megabytes))
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	return cmd.Run()
}

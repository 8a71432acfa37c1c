// Command demo shows orthokeep's main job end to end, against a real Orthanc on loopback, in a temporary folder: two
// backups with changes in between, a restore, a second Orthanc on what was restored, and a comparison of every instance.
// It touches no other Orthanc and ends with exit code 0 only if everything is equal.
//
//	make demo
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

// limit bounds the whole demonstration; it takes some twenty seconds on two cores.
const limit = 3 * time.Minute

func main() {
	program := flag.String("orthokeep", "./orthokeep", "the `program` to show")
	keep := flag.Bool("keep", false, "do not remove the folder at the end")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if err := run(ctx, *program, *keep); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		stop()
		cancel()
		os.Exit(1)
	}
}

func run(ctx context.Context, program string, keep bool) (err error) {
	program, err = filepath.Abs(program)
	if err != nil {
		return err
	}
	if _, err := os.Stat(program); err != nil {
		return fmt.Errorf("%w: make demo builds it", err)
	}
	dir, err := os.MkdirTemp("", "orthokeep-demo-")
	if err != nil {
		return err
	}
	d := &demo{dir: dir, shell: shell{program: program, dir: dir}}
	began := time.Now()
	err = errors.Join(d.show(ctx), d.stop())
	if keep {
		d.say("The folder %s is kept.", dir)
	} else {
		err = errors.Join(err, os.RemoveAll(dir))
	}
	if err == nil {
		d.say("All is equal. It took %.0f s.", time.Since(began).Seconds())
	}
	return err
}

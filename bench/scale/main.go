// Scale shows what a night costs as an archive grows: a real Orthanc's index, grown by statements equal to Orthanc's own, and one
// tiny file for each attachment.
//
//	go run ./bench/scale [-attachments 10000,100000,1000000] [-nights 10] [-peers restic,borg,kopia [-spare-index]] [-dir FOLDER [-keep]]
//	go run ./bench/scale -step backup|check|read|prune -dir FOLDER/1000000 [-profile FOLDER]
//
// For each size it makes the archive, takes a first backup, one with nothing new, and one after a day that adds 1 % of the
// instances and deletes 0.2 %; then it reads one attachment back. Every backup is a process of its own, so that its
// memory is its own too. Seconds are of CPU, user and system, of all threads. At last it takes more snapshots, and prunes half of them.
// With -keep the archive stays, and a step can be taken again by itself.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

func main() {
	sizes := flag.String("attachments", "10000,100000,1000000", "sizes of the archive, `comma-separated`")
	dir := flag.String("dir", "", "`folder` for the archives, removed at the end (default: a temporary one)")
	keep := flag.Bool("keep", false, "leave the archives where they are")
	nights := flag.Int("nights", 10, "snapshots to be taken before half of them are pruned; with -step prune, those to be kept")
	names := flag.String("peers", "", "`tools`, comma-separated, to run on the same archive where they are installed: restic, borg, kopia")
	spared := flag.Bool("spare-index", false, "the peers leave out the index")
	step := flag.String("step", "", "for the program itself: one step, in a process of its own")
	profile := flag.String("profile", "", "with -step: `folder` for a profile of its CPU")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var err error
	if *step != "" {
		err = profiled(*profile, *step, func() error { return runStep(ctx, *step, *dir, *nights) })
	} else {
		err = run(ctx, *sizes, *dir, *nights, *names, *spared, *keep)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "scale:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, sizes, dir string, nights int, names string, spared, keep bool) error {
	peers, err := choosePeers(names, spared)
	if err != nil {
		return err
	}
	if dir == "" {
		if dir, err = os.MkdirTemp("", "orthokeep-scale-"); err != nil {
			return err
		}
	}
	var all []*results
	for word := range strings.SplitSeq(sizes, ",") {
		n, err := strconv.Atoi(word)
		if err != nil || n < instancesPerStudy {
			return fmt.Errorf("-attachments %s: numbers from %d on are wanted", word, instancesPerStudy)
		}
		folder := filepath.Join(dir, word)
		r, err := measure(ctx, folder, n, nights, peers)
		if !keep {
			err = errors.Join(err, os.RemoveAll(folder))
		}
		if err != nil {
			return fmt.Errorf("%d attachments: %w", n, err)
		}
		all = append(all, r)
	}
	printAll(os.Stdout, all)
	return nil
}

// results are the figures of one archive.
type results struct {
	attachments int
	first       stepResult // the first backup
	nothing     stepResult // with nothing new
	changed     stepResult // after a day's changes
	day         day
	check       time.Duration // CPU of SQLite's quick_check of the index alone
	one         oneResult     // one attachment read back
	nights      int           // snapshots before the prune
	pruned      pruneResults
	before      int64 // bytes of the repository, before the prunes
	after       int64
	peers       []peerResult
}

// measure makes an archive of n attachments in dir and takes its backups.
func measure(ctx context.Context, dir string, n, nights int, peers []peer) (r *results, err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	a, err := newArchive(ctx, dir)
	if err != nil {
		return nil, fmt.Errorf("make the archive: %w", err)
	}
	fmt.Fprintf(os.Stderr, "%d attachments: making the archive\n", n)
	if err := a.grow(ctx, n); err != nil {
		return nil, fmt.Errorf("make the archive: %w", err)
	}
	r = &results{attachments: n, nights: nights}
	if r.peers, err = runPeers(ctx, peers, dir, a.storage()); err != nil {
		return nil, err
	}
	if err := child(ctx, "init", dir, 0, nil); err != nil {
		return nil, err
	}
	for _, backup := range []*stepResult{&r.first, &r.nothing} {
		if err := child(ctx, "backup", dir, 0, backup); err != nil {
			return nil, err
		}
	}
	if err := child(ctx, "check", dir, 0, &r.check); err != nil {
		return nil, err
	}
	if r.day, err = a.passDay(ctx, n/100, n/500); err != nil {
		return nil, fmt.Errorf("a day's changes: %w", err)
	}
	if err := child(ctx, "backup", dir, 0, &r.changed); err != nil {
		return nil, err
	}
	if err := child(ctx, "read", dir, 0, &r.one); err != nil {
		return nil, err
	}
	return r, r.pruneHalf(ctx, a)
}

// pruneHalf lets more nights pass, and then prunes half of the snapshots: once to mark, once to delete, and once with nothing to do.
func (r *results) pruneHalf(ctx context.Context, a *archive) (err error) {
	if err := r.peersNight(ctx, a.dir, a.storage()); err != nil { // the day that orthokeep has seen already
		return err
	}
	for range r.nights - 3 {
		if _, err := a.change(ctx, r.attachments/1000, r.attachments/1000); err != nil {
			return fmt.Errorf("a day's changes: %w", err)
		}
		if err := r.night(ctx, a.dir, a.storage()); err != nil {
			return err
		}
	}
	repository := filepath.Join(a.dir, "repository")
	if r.before, err = folderSize(repository); err != nil {
		return err
	}
	for _, into := range []*pruneResult{&r.pruned.mark, &r.pruned.delete, &r.pruned.nothing} {
		if err := child(ctx, "prune", a.dir, r.nights/2, into); err != nil {
			return err
		}
	}
	if r.after, err = folderSize(repository); err != nil {
		return err
	}
	return r.prunePeers(ctx, a.dir, a.storage(), r.nights/2)
}

// night takes one more backup with every tool, all at once: nobody takes the time of these.
func (r *results) night(ctx context.Context, dir, data string) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return child(ctx, "backup", dir, 0, nil) })
	g.Go(func() error { return r.peersNight(ctx, dir, data) })
	return g.Wait()
}

// child runs one step in a process of its own and reads what it found.
func child(ctx context.Context, step, dir string, keep int, into any) error {
	fmt.Fprintf(os.Stderr, "%s: %s\n", filepath.Base(dir), step)
	out, err := output(ctx, os.Args[0], "-step", step, "-dir", dir, "-nights", strconv.Itoa(keep))
	if err != nil || into == nil {
		return err
	}
	return json.Unmarshal(out, into)
}

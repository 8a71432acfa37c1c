package main

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/orthokeep/orthokeep/orthanc"
	"github.com/orthokeep/orthokeep/repo"
	"github.com/orthokeep/orthokeep/snapshot"
)

func (p *program) checkCommand() *cobra.Command {
	var packs, data string
	c := p.command(&cobra.Command{
		Use:   "check",
		Short: "Look for damage",
		Long: "check compares what the repository says it holds with what is there: every object with its checksum, every reference of\n" +
			"every snapshot. --read-packs also reads packs and compares them with their names; it needs no recovery key and fits\n" +
			"every night. --read-data also decrypts: it compares every blob with its identity and every attachment with its MD5, puts the\n" +
			"index of every snapshot together, lets SQLite check it, and compares it with the list of attachments.\n" +
			"With a share, each check goes on where the last one on this host that found no damage ended: so 20 of 5% read all.",
		Args: noArgs,
	}, func(ctx context.Context, _ []string) error { return p.check(ctx, packs, data) })
	c.Flags().StringVar(&packs, "read-packs", "", "read packs: all, or a `share` such as 5%")
	c.Flags().StringVar(&data, "read-data", "", "read and decrypt packs, attachments and indexes: all, or a `share` such as 5%")
	c.Flags().Lookup("read-packs").NoOptDefVal = "100%"
	c.Flags().Lookup("read-data").NoOptDefVal = "100%"
	return c
}

// parseShare reads "5%"; nothing is 0.
func parseShare(flag, s string) (float64, error) {
	if s == "" {
		return 0, nil
	}
	number, ok := strings.CutSuffix(s, "%")
	n, err := strconv.ParseFloat(number, 64)
	if !ok || err != nil || !(n > 0 && n <= 100) {
		return 0, usageError("--%s=%s: a share over 0%% and up to 100%% is wanted", flag, s)
	}
	return n / 100, nil
}

func (p *program) check(ctx context.Context, packs, data string) error {
	readPacks, err := parseShare("read-packs", packs)
	if err != nil {
		return err
	}
	readData, err := parseShare("read-data", data)
	if err != nil {
		return err
	}
	began := time.Now()
	r, err := p.openBy(ctx, readData > 0, repo.Unlock)
	if err != nil {
		return err
	}
	end, err := p.announce(ctx, r.Repository, repo.RunInfo{Kind: "check"}) // imports the segments
	if err != nil {
		return err
	}
	defer end()
	round := readCheckRound(r.cache, began)
	c := &check{program: p, r: r, options: repo.CheckOptions{ReadPacks: repo.NewArc(round.Packs, readPacks), ReadData: repo.NewArc(round.Data, readData)}}
	c.keep(round)
	if err := c.look(ctx); err != nil {
		return err
	}
	p.progress.Done()
	sum := c.summary(time.Since(began))
	if err := p.printCheck(sum); err != nil {
		return err
	}
	if sum.Damaged {
		return errors.Join(foundError(sum), c.unreadable)
	}
	c.keep(round.after(c.options))
	return nil
}

// A check is what check has found so far.
type check struct {
	*program
	r          *opened
	options    repo.CheckOptions
	report     *repo.CheckReport
	snapshots  int
	unreadable error // snapshots, or the segments without which they cannot be resolved
	data       snapshot.DataRead
	indexes    int
	problems   []snapshot.Problem
}

// keep keeps where the next check begins, if this one reads something. Before it looks that is where it begins itself: by the clock that would be
// elsewhere, and what ends it or is found would not be met again.
func (c *check) keep(next checkRound) {
	if c.options.ReadPacks.Empty() && c.options.ReadData.Empty() {
		return
	}
	if err := next.keep(c.r.cache); err != nil {
		c.warn("where the next check goes on is not kept: %v", err)
	}
}

// look looks at objects, at snapshots, at their data, and then at packs, for what of these no snapshot has led to.
func (c *check) look(ctx context.Context) error {
	c.progress.Phase("look at objects", "", 0, 0)
	checking, err := c.r.BeginCheck(ctx)
	if err != nil {
		return err
	}
	c.report = checking.Report()
	if !c.options.ReadData.Empty() {
		checking.Remember()
	}
	if err := c.lookAtSnapshots(ctx); err != nil {
		return err
	}
	packs, bytes := checking.ToRead(c.options)
	c.progress.Phase("read packs", "packs", packs, bytes)
	return checking.ReadPacks(ctx, c.options, &c.progress)
}

func (c *check) lookAtSnapshots(ctx context.Context) error {
	c.progress.Phase("resolve snapshots", "", 0, 0)
	roots, bad := snapshot.Roots(ctx, c.r.Repository)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	c.snapshots, c.unreadable = len(roots), bad
	var err error
	if c.problems, err = snapshot.Check(ctx, c.r.Repository, roots); errors.Is(err, repo.ErrCorrupt) {
		c.unreadable = errors.Join(bad, err) // of the segments: what is wrong with them was found, and packs can be read all the same
		return nil
	} else if err != nil || c.options.ReadData.Empty() {
		return err
	}
	data, problems, err := snapshot.CheckData(ctx, c.r.Repository, roots, c.options.ReadData, &c.progress)
	if err != nil {
		return err
	}
	c.data = data
	c.add(problems)
	c.indexes, problems, err = orthanc.CheckIndexes(ctx, c.r.Repository, roots, c.options.ReadData, c.r.cache, &c.progress)
	c.add(problems)
	return err
}

// add leaves out what is known.
func (c *check) add(problems []snapshot.Problem) {
	for _, problem := range problems {
		if !slices.Contains(c.problems, problem) {
			c.problems = append(c.problems, problem)
		}
	}
}

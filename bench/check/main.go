// Check shows what it costs to read a whole repository, beside a restore of the same: packs alone, data with each blob decoded once, and
// data with the blobs of packs decoded once more; and a share of 5 % of each.
//
//	go run ./bench/check [-images N] [-small N] [-runs N]
//
// The corpora are N CT images of 512 x 512 and N files of 4 KB, which are all header, from a seed. Figures are medians of seconds of CPU.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/orthokeep/orthokeep/bench/cpu"
	"github.com/orthokeep/orthokeep/repo"
	"github.com/orthokeep/orthokeep/repo/storage"
	"github.com/orthokeep/orthokeep/snapshot"
)

func main() {
	images := flag.Int("images", 600, "`number` of CT images")
	small := flag.Int("small", 50_000, "`number` of small files")
	runs := flag.Int("runs", 3, "`times` that each is measured")
	flag.Parse()
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, "corpus\tattachments MB\tpacks MB\twhat\tCPU s\twall s\tattachment MB/CPU s")
	err := errors.Join(
		measure(out, "ct", ctImages(*images), *runs),
		measure(out, "small", smallFiles(*small), *runs),
		out.Flush())
	if err != nil {
		fmt.Fprintln(os.Stderr, "check:", err)
		os.Exit(1)
	}
}

func mb(n int64) float64 { return float64(n) / 1e6 }

// measure stores a corpus in a new repository and reads it in every way.
func measure(out *tabwriter.Writer, name string, c *corpus, runs int) error {
	tmp, err := os.MkdirTemp("", "orthokeep-check-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	b := &bench{ctx: context.Background(), dir: tmp}
	if err := b.store(c); err != nil {
		return err
	}
	stats, err := b.r.Stats(b.ctx)
	if err != nil {
		return err
	}
	for _, way := range []struct {
		name string
		run  func() error
	}{
		{"restore", b.restore},
		{"packs", func() error { return b.check(repo.CheckOptions{ReadPacks: repo.All()}, false) }},
		{"data, decoded once", func() error { return b.check(repo.CheckOptions{ReadData: repo.All()}, true) }},
		{"data, decoded twice", func() error { return b.check(repo.CheckOptions{ReadData: repo.All()}, false) }},
		{"5 % of packs", func() error { return b.check(repo.CheckOptions{ReadPacks: b.next()}, false) }},
		{"5 % of data", func() error { return b.check(repo.CheckOptions{ReadData: b.next()}, true) }},
	} {
		var used, wall []time.Duration
		for range runs {
			began := time.Now()
			took, err := cpu.Of(way.run)
			if err != nil {
				return fmt.Errorf("%s: %w", way.name, err)
			}
			used, wall = append(used, took), append(wall, time.Since(began))
		}
		slices.Sort(used)
		slices.Sort(wall)
		took := used[len(used)/2].Seconds()
		fmt.Fprintf(out, "%s\t%.1f\t%.1f\t%s\t%.2f\t%.2f\t%.0f\n", name, mb(c.bytes), mb(stats.PackBytes), way.name, took, wall[len(wall)/2].Seconds(), mb(c.bytes)/took)
	}
	return nil
}

// bench is a repository with one snapshot.
type bench struct {
	ctx  context.Context
	dir  string
	r    *repo.Repository
	root *snapshot.Root
	at   uint64 // where the next share begins
}

func (b *bench) next() repo.Arc {
	arc := repo.NewArc(b.at, 0.05)
	b.at = arc.End()
	return arc
}

func (b *bench) store(c *corpus) error {
	st, err := storage.Create(filepath.Join(b.dir, "repo"))
	if err != nil {
		return err
	}
	keys, err := repo.NewKeys()
	if err != nil {
		return err
	}
	if err := repo.Init(b.ctx, st, keys, repo.InitOptions{Created: time.Now()}); err != nil {
		return err
	}
	if b.r, err = repo.Open(b.ctx, st, repo.Credentials(keys), ""); err != nil {
		return err
	}
	b.root, err = c.backup(b.ctx, b.r, filepath.Join(b.dir, "journal"))
	return err
}

func (b *bench) restore() error {
	target, err := os.MkdirTemp(b.dir, "restored-")
	if err != nil {
		return err
	}
	_, err = snapshot.RestoreAttachments(b.ctx, b.r, b.root, snapshot.Destination{Dir: target, Place: snapshot.UUID.String, Mode: 0o600}, snapshot.NoProgress{})
	return errors.Join(err, os.RemoveAll(target))
}

// check is what the command does, without the index.
func (b *bench) check(o repo.CheckOptions, once bool) error {
	checking, err := b.r.BeginCheck(b.ctx)
	if err != nil {
		return err
	}
	if once {
		checking.Remember()
	}
	roots := []*snapshot.Root{b.root}
	problems, err := snapshot.Check(b.ctx, b.r, roots)
	if err == nil && !o.ReadData.Empty() {
		var more []snapshot.Problem
		_, more, err = snapshot.CheckData(b.ctx, b.r, roots, o.ReadData, snapshot.NoProgress{})
		problems = append(problems, more...)
	}
	if err == nil {
		err = checking.ReadPacks(b.ctx, o, snapshot.NoProgress{})
	}
	if err == nil && (len(problems) > 0 || checking.Report().Damaged()) {
		err = fmt.Errorf("damage was found: %v %v", problems, checking.Report().Findings)
	}
	return err
}

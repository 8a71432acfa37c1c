// Catalogue measures what a catalogue of many blobs costs: a repository is made that has segments and no packs behind them, and opened.
//
//	go run ./bench/catalogue -blobs 10000000
//
// CPU is user and system time of the whole process, garbage collection and the reading and opening of the segments included.
package main

import (
	"context"
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
)

const (
	perNight = 10_000
	nights   = 100
	lookups  = 1_000_000
	pageSize = 2048 // of entries, repo/FORMAT.md section 14
)

func main() {
	blobs := flag.Int("blobs", 1_000_000, "blobs in the repository before the first night")
	dir := flag.String("dir", "", "folder for the repository and the catalogue, up to 220 bytes for each blob; empty: a temporary one")
	flag.Parse()
	if err := run(*blobs, *dir); err != nil {
		fmt.Fprintln(os.Stderr, "catalogue:", err)
		os.Exit(1)
	}
}

func run(blobs int, dir string) error {
	tmp, err := os.MkdirTemp(dir, "orthokeep-catalogue-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	b := &bench{ctx: context.Background(), cache: filepath.Join(tmp, "cache")}
	if err := b.init(filepath.Join(tmp, "repo")); err != nil {
		return err
	}
	if err := b.fill(blobs); err != nil {
		return err
	}
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	b.say = func(what, format string, args ...any) {
		fmt.Fprintf(out, "%s\t"+format+"\n", append([]any{what}, args...)...)
	}
	b.say("blobs", "%d in %d segments", b.segments.blobs, b.segments.count)
	for _, phase := range []func() error{b.rebuild, b.open, b.insert, b.lookup, b.open} {
		if err := phase(); err != nil {
			return err
		}
	}
	return out.Flush()
}

// bench is a repository under measurement.
type bench struct {
	ctx      context.Context
	cache    string
	st       storage.Storage
	keys     repo.Keys
	segments *writer
	say      func(what, format string, args ...any)
}

func (b *bench) init(dir string) (err error) {
	if b.st, err = storage.Create(dir); err != nil {
		return err
	}
	if b.keys, err = repo.NewKeys(); err != nil {
		return err
	}
	return repo.Init(b.ctx, b.st, b.keys, repo.InitOptions{Created: time.Now()})
}

func (b *bench) repository() (*repo.Repository, error) {
	return repo.Open(b.ctx, b.st, repo.Credentials{Writer: b.keys.Writer}, b.cache)
}

// fill writes segments of some hundred packs, as the checkpoints of a first backup do.
func (b *bench) fill(blobs int) error {
	r, err := b.repository()
	if err != nil {
		return err
	}
	defer r.Close()
	b.segments = &writer{st: b.st}
	for b.segments.blobs < blobs {
		if err := b.segments.add(b.ctx, r, min(50_000, blobs-b.segments.blobs)); err != nil {
			return err
		}
	}
	return nil
}

// rebuild opens the repository without a catalogue.
func (b *bench) rebuild() error {
	if err := os.RemoveAll(b.cache); err != nil {
		return err
	}
	resetPeak()
	began := time.Now()
	used, err := cpu.Of(func() error {
		r, err := b.repository()
		if err == nil {
			r.Close()
		}
		return err
	})
	if err != nil {
		return err
	}
	b.say("rebuild from segments", "%.1f s, %.2f µs CPU a blob, peak RSS %s", time.Since(began).Seconds(), micros(used, b.segments.blobs), peak())
	return nil
}

// open opens it with the catalogue.
func (b *bench) open() error {
	var times []time.Duration
	for range 7 {
		began := time.Now()
		r, err := b.repository()
		if err != nil {
			return err
		}
		times = append(times, time.Since(began))
		r.Close()
	}
	slices.Sort(times)
	size, files, err := folderSize(b.cache)
	if err != nil {
		return err
	}
	b.say("open", "%.1f ms", float64(times[len(times)/2].Microseconds())/1000)
	b.say("on disk", "%.1f bytes a blob, %d files", float64(size)/float64(b.segments.blobs), files)
	return nil
}

// insert is some nights, each of which finds one new segment. What a run takes that finds nothing is measured apart, and what it takes
// to read a segment and to open it.
func (b *bench) insert() error {
	r, err := b.repository()
	if err != nil {
		return err
	}
	defer r.Close()
	resetPeak()
	var all, idle, reading, worst time.Duration
	for range nights {
		if err := b.segments.add(b.ctx, r, perNight); err != nil {
			return err
		}
		night, err := cpu.Of(func() error { return b.night(r) })
		if err != nil {
			return err
		}
		nothing, err := cpu.Of(func() error { return b.night(r) })
		if err != nil {
			return err
		}
		read, err := cpu.Of(func() error {
			_, err := r.GetObject(b.ctx, repo.KindSegment, b.segments.name())
			return err
		})
		if err != nil {
			return err
		}
		all, idle, reading, worst = all+night, idle+nothing, reading+read, max(worst, night)
	}
	b.say(fmt.Sprintf("a run that finds nothing, %d times", nights), "%.1f ms CPU", idle.Seconds()*1000/nights)
	b.say(fmt.Sprintf("a run that finds %d blobs, %d times", perNight, nights), "%.1f ms CPU, %.0f in the worst night; peak RSS %s", all.Seconds()*1000/nights, worst.Seconds()*1000, peak())
	b.say("insert: the difference, without reading the segment", "%.2f µs CPU a blob", micros(all-idle-reading, nights*perNight))
	return nil
}

// night is a run that stores nothing of its own.
func (b *bench) night(r *repo.Repository) error {
	u, err := r.Begin(b.ctx, repo.RunInfo{Kind: "backup", Started: time.Now()})
	if err != nil {
		return err
	}
	return u.End(b.ctx, repo.Nothing, time.Now())
}

// lookup asks for blobs that are not there, and for some that are.
func (b *bench) lookup() error {
	r, err := b.repository()
	if err != nil {
		return err
	}
	defer r.Close()
	u, err := r.Begin(b.ctx, repo.RunInfo{Kind: "backup", Started: time.Now()})
	if err != nil {
		return err
	}
	resetPeak()
	for _, l := range []struct {
		what string
		want bool
		id   func(i int) repo.ID
	}{
		{"miss, the first million", false, func(i int) repo.ID { return blobID(-1 - i) }},
		{"miss, the second", false, func(i int) repo.ID { return blobID(-1 - lookups - i) }},
		{"hit, the first million", true, func(i int) repo.ID { return blobID(scatter(i, b.segments.blobs)) }},
		{"hit, the second", true, func(i int) repo.ID { return blobID(scatter(lookups+i, b.segments.blobs)) }},
	} {
		used, err := cpu.Of(func() error {
			for i := range lookups {
				if u.Has(l.id(i)) != l.want {
					return fmt.Errorf("%s: the answer for blob %d is wrong", l.what, i)
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		b.say(l.what, "%.2f µs CPU", micros(used, lookups))
	}
	b.say("lookups", "peak RSS %s", peak())
	return b.readFloor()
}

// readFloor measures what one read of the largest volume takes, which is what a hit cannot do without.
func (b *bench) readFloor() error {
	entries, err := os.ReadDir(b.cache)
	if err != nil {
		return err
	}
	var path string
	var size int64
	for _, e := range entries {
		if info, err := e.Info(); err == nil && info.Size() > size {
			path, size = filepath.Join(b.cache, e.Name()), info.Size()
		}
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	page := make([]byte, pageSize)
	used, err := cpu.Of(func() error {
		for i := range lookups {
			if _, err := f.ReadAt(page, int64(scatter(i, int(size/pageSize)))*pageSize); err != nil {
				return err
			}
		}
		return nil
	})
	b.say("one pread of 2 KiB", "%.2f µs CPU", micros(used, lookups))
	return err
}

func micros(d time.Duration, n int) float64 { return float64(d.Nanoseconds()) / 1000 / float64(n) }

func folderSize(dir string) (size int64, files int, err error) {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			return 0, 0, err
		}
		size, files = size+info.Size(), files+1
	}
	return size, files, err
}

// Profile takes a first backup of a corpus, restores it and checks all of its data, in this one process, and writes a profile of each
// for go tool pprof. It prints what each took.
//
//	go run ./bench/compare -corpus-only -megabytes 1000 -dir CORPUS
//	go run ./bench/profile [-compression balanced] [-out FOLDER] CORPUS/orthanc/orthanc.json
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/pprof"
	"time"

	"github.com/orthokeep/orthokeep/bench/cpu"
	"github.com/orthokeep/orthokeep/orthanc"
	"github.com/orthokeep/orthokeep/repo"
	"github.com/orthokeep/orthokeep/repo/storage"
	"github.com/orthokeep/orthokeep/snapshot"
)

func main() {
	compression := flag.String("compression", string(repo.Balanced), "fast, balanced or small")
	out := flag.String("out", ".", "`folder` for the profiles: backup.prof, restore.prof, check.prof")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err := errors.New("name the configuration of the Orthanc to back up; it must not run")
	if flag.NArg() == 1 {
		err = run(ctx, flag.Arg(0), repo.Compression(*compression), *out)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "profile:", err)
		stop()
		os.Exit(1)
	}
}

// A subject is what is profiled: a repository of its own, and the backup in it.
type subject struct {
	dir    string // temporary
	config string
	keys   repo.Keys
	r      *repo.Repository
	root   *snapshot.Root
}

func run(ctx context.Context, config string, c repo.Compression, out string) (err error) {
	s := &subject{config: config}
	if s.dir, err = os.MkdirTemp("", "orthokeep-profile-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(s.dir)) }()
	st, err := storage.Create(filepath.Join(s.dir, "repository"))
	if err != nil {
		return err
	}
	if s.keys, err = repo.NewKeys(); err != nil {
		return err
	}
	if err := repo.Init(ctx, st, s.keys, repo.InitOptions{Compression: c, Created: time.Now()}); err != nil {
		return err
	}
	if s.r, err = repo.Open(ctx, st, repo.Credentials(s.keys), filepath.Join(s.dir, "cache")); err != nil {
		return err
	}
	for _, stage := range []struct {
		name string
		do   func(context.Context) error
	}{{"backup", s.backup}, {"restore", s.restore}, {"check", s.check}} {
		if err := profile(filepath.Join(out, stage.name+".prof"), stage.name, func() error { return stage.do(ctx) }); err != nil {
			return fmt.Errorf("%s: %w", stage.name, err)
		}
	}
	return nil
}

// profile writes a profile of what do does.
func profile(path, name string, do func() error) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return errors.Join(err, f.Close())
	}
	began := time.Now()
	used, err := cpu.Of(do)
	wall := time.Since(began)
	pprof.StopCPUProfile()
	fmt.Printf("%s: wall %.2f s, CPU %.2f s: %s\n", name, wall.Seconds(), used.Seconds(), path)
	return errors.Join(err, f.Close())
}

func (s *subject) backup(ctx context.Context) error {
	site, err := orthanc.Survey(orthanc.SiteOptions{Configuration: s.config, Window: orthanc.ModeNone, StateDir: filepath.Join(s.dir, "state")})
	if err != nil {
		return err
	}
	done, err := orthanc.Backup(ctx, site, s.r, orthanc.BackupOptions{Server: "profile", Host: "bench", CacheDir: filepath.Join(s.dir, "cache"),
		Bound: orthanc.DefaultBound, Clock: time.Now}, orthanc.NoProgress{})
	if err != nil {
		return err
	}
	s.root = done.Root
	fmt.Printf("%.1f MB of attachments, %.1f MB added\n", float64(s.root.Counts.Bytes)/1e6, float64(s.root.Added.Bytes)/1e6)
	return nil
}

func (s *subject) restore(ctx context.Context) error {
	_, err := orthanc.Restore(ctx, s.r, s.root, orthanc.RestoreOptions{Target: filepath.Join(s.dir, "restored")}, orthanc.NoProgress{})
	return err
}

func (s *subject) check(ctx context.Context) error {
	report, err := s.r.Check(ctx, repo.CheckOptions{ReadData: repo.All()}, quiet{})
	if err == nil && len(report.Findings) > 0 {
		err = fmt.Errorf("%d findings", len(report.Findings))
	}
	return err
}

type quiet struct{}

// Add implements repo.CheckProgress.
func (quiet) Add(_, _ int64) {}

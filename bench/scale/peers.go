package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/orthokeep/orthokeep/bench/cpu"
)

// A peer is another tool, by its commands; REPO and DATA stand for the folders.
type peer struct {
	name        string
	init        [][]string // one after the other
	backup      []string
	spared      []string   // words of backup that leave the index out
	prune       [][]string // one after the other; HALF stands for a number of snapshots
	environment []string
}

// peers compress and encrypt, each by its default, but for kopia, which has to be told to compress.
var peers = []peer{
	{"restic", [][]string{{"restic", "-r", "REPO", "init"}}, []string{"restic", "-r", "REPO", "backup", "DATA"},
		[]string{"--exclude", "DATA/index"}, [][]string{{"restic", "-r", "REPO", "forget", "--keep-last", "HALF", "--prune"}}, []string{"RESTIC_PASSWORD=x"}},
	{"borg", [][]string{{"borg", "init", "-e", "repokey", "REPO"}}, []string{"borg", "create", "REPO::{now:%H%M%S%f}", "DATA"},
		[]string{"--exclude", "DATA/index"}, [][]string{{"borg", "prune", "--keep-last", "HALF", "REPO"}, {"borg", "compact", "REPO"}},
		[]string{"BORG_PASSPHRASE=x", "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK=yes"}},
	{"kopia", [][]string{
		{"kopia", "repository", "create", "filesystem", "--path", "REPO"},
		{"kopia", "policy", "set", "--global", "--compression=zstd-fastest", "--keep-latest=1000"},
	}, []string{"kopia", "snapshot", "create", "DATA"}, nil,
		[][]string{
			{"kopia", "policy", "set", "--global", "--keep-latest=HALF", "--keep-hourly=0", "--keep-daily=0", "--keep-weekly=0", "--keep-monthly=0", "--keep-annual=0"},
			{"kopia", "snapshot", "expire", "--all", "--delete"},
			{"kopia", "maintenance", "run", "--full", "--safety=none"},
		}, []string{"KOPIA_PASSWORD=x", "KOPIA_CHECK_FOR_UPDATES=false"}},
}

// choosePeers returns those of these names, comma-separated. Spared ones leave out Orthanc's index, of which they would store most again each night.
func choosePeers(names string, spared bool) (chosen []peer, err error) {
	for name := range strings.SplitSeq(names, ",") {
		if name == "" {
			continue
		}
		i := slices.IndexFunc(peers, func(p peer) bool { return p.name == name })
		if i < 0 {
			return nil, fmt.Errorf("-peers %s: not known here", name)
		}
		p := peers[i]
		if spared && p.spared == nil {
			return nil, fmt.Errorf("-spare-index: not known how to do that with %s", name)
		}
		if spared {
			p.backup = slices.Concat(p.backup, p.spared)
		}
		chosen = append(chosen, p)
	}
	return chosen, nil
}

// peerResult is what a peer took for a first backup, for one of an unchanged folder, and for giving up half of its snapshots; missing when it
// is not installed.
type peerResult struct {
	peer
	missing               bool
	first, nothing, prune processTimes
	before, after         int64 // bytes of the repository, before and after the prune
}

type processTimes struct {
	cpu, clock time.Duration
	memory     int64 // bytes, the most of a process
}

func runPeers(ctx context.Context, chosen []peer, dir, data string) (all []peerResult, err error) {
	for _, p := range chosen {
		r := peerResult{peer: p}
		if _, err := exec.LookPath(p.name); err != nil {
			r.missing = true
			all = append(all, r)
			continue
		}
		home := filepath.Join(dir, p.name)
		if err := os.MkdirAll(home, 0o700); err != nil {
			return nil, err
		}
		for _, words := range p.init {
			if _, err := p.run(ctx, words, home, data); err != nil {
				return nil, err
			}
		}
		for _, t := range []*processTimes{&r.first, &r.nothing} {
			if *t, err = p.run(ctx, p.backup, home, data); err != nil {
				return nil, err
			}
		}
		all = append(all, r)
	}
	return all, nil
}

// peersNight lets every peer that is installed take one more backup, all at once.
func (r *results) peersNight(ctx context.Context, dir, data string) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, p := range r.peers {
		if p.missing {
			continue
		}
		g.Go(func() error {
			_, err := p.run(ctx, p.backup, filepath.Join(dir, p.name), data)
			return err
		})
	}
	return g.Wait()
}

// prunePeers lets every peer that is installed give up all but so many snapshots.
func (r *results) prunePeers(ctx context.Context, dir, data string, keep int) error {
	for i := range r.peers {
		if p := &r.peers[i]; !p.missing {
			if err := p.pruneTo(ctx, filepath.Join(dir, p.name), data, keep); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *peerResult) pruneTo(ctx context.Context, home, data string, keep int) (err error) {
	if p.before, err = folderSize(filepath.Join(home, "repository")); err != nil {
		return err
	}
	for _, words := range p.peer.prune {
		var told []string
		for _, word := range words {
			told = append(told, strings.ReplaceAll(word, "HALF", strconv.Itoa(keep)))
		}
		t, err := p.run(ctx, told, home, data)
		if err != nil {
			return err
		}
		p.prune = processTimes{p.prune.cpu + t.cpu, p.prune.clock + t.clock, max(p.prune.memory, t.memory)}
	}
	p.after, err = folderSize(filepath.Join(home, "repository"))
	return err
}

// folderSize returns the bytes of all files of a folder.
func folderSize(dir string) (size int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			size += info.Size()
		}
		return err
	})
	return size, err
}

// run runs one of the peer's commands with its cache and settings in home.
func (p peer) run(ctx context.Context, words []string, home, data string) (processTimes, error) {
	var args []string
	for _, word := range words[1:] {
		word = string(bytes.ReplaceAll([]byte(word), []byte("REPO"), []byte(filepath.Join(home, "repository"))))
		args = append(args, string(bytes.ReplaceAll([]byte(word), []byte("DATA"), []byte(data))))
	}
	cmd := exec.CommandContext(ctx, words[0], args...)
	cmd.Env = append(append(os.Environ(), "HOME="+home, "XDG_CACHE_HOME="+filepath.Join(home, "cache")), p.environment...)
	var said bytes.Buffer
	cmd.Stderr = &said
	began := time.Now()
	if err := cmd.Run(); err != nil {
		return processTimes{}, fmt.Errorf("%s: %w: %s", p.name, err, said.String())
	}
	return processTimes{cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), time.Since(began), cpu.MemoryOf(cmd.ProcessState)}, nil
}

func printPeers(w io.Writer, all []*results) {
	if len(all[0].peers) == 0 {
		return
	}
	table(w, "attachments | tool | first, CPU s | wall s | nothing new, CPU s | wall s | prune of half, CPU s | wall s | memory MB | repository MB before | after", func(row func(...any)) {
		for _, r := range all {
			row(r.attachments, "orthokeep", seconds(r.first.cpu()), seconds(r.first.clock()), seconds(r.nothing.cpu()), seconds(r.nothing.clock()),
				seconds(r.pruned.cpu()), seconds(r.pruned.wall()), mb(r.pruned.memory()), mb(r.before), mb(r.after))
			for _, p := range r.peers {
				if p.missing {
					row(r.attachments, p.name, "not installed", "", "", "", "", "", "")
					continue
				}
				row(r.attachments, p.name, seconds(p.first.cpu), seconds(p.first.clock), seconds(p.nothing.cpu), seconds(p.nothing.clock),
					seconds(p.prune.cpu), seconds(p.prune.clock), mb(p.prune.memory), mb(p.before), mb(p.after))
			}
		}
	})
}

// output runs a command and returns what it prints; its errors are this program's.
func output(ctx context.Context, name string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if errors.As(err, new(*exec.ExitError)) {
		err = fmt.Errorf("%v: %w", args, err)
	}
	return out, err
}

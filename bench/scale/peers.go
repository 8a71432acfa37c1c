package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/orthokeep/orthokeep/bench/cpu"
)

// A peer is another tool, by its commands; REPO and DATA stand for the folders.
type peer struct {
	name         string
	init, backup []string
	prune        [][]string // one after the other; HALF stands for a number of snapshots
	environment  []string
}

// peers compress and encrypt, each by its default.
var peers = []peer{
	{"restic", []string{"restic", "-r", "REPO", "init"}, []string{"restic", "-r", "REPO", "backup", "DATA"},
		[][]string{{"restic", "-r", "REPO", "forget", "--keep-last", "HALF", "--prune"}}, []string{"RESTIC_PASSWORD=x"}},
	{"borg", []string{"borg", "init", "-e", "repokey", "REPO"}, []string{"borg", "create", "REPO::{now:%H%M%S%f}", "DATA"},
		[][]string{{"borg", "prune", "--keep-last", "HALF", "REPO"}, {"borg", "compact", "REPO"}},
		[]string{"BORG_PASSPHRASE=x", "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK=yes"}},
	{"kopia", []string{"kopia", "repository", "create", "filesystem", "--path", "REPO"}, []string{"kopia", "snapshot", "create", "DATA"},
		[][]string{{"kopia", "maintenance", "run", "--full"}}, []string{"KOPIA_PASSWORD=x"}},
}

// peerResult is what a peer took for a first backup, for one of an unchanged folder, and for giving up half of its snapshots; missing when it
// is not installed.
type peerResult struct {
	name                  string
	missing               bool
	first, nothing, prune processTimes
}

type processTimes struct {
	cpu, clock time.Duration
	memory     int64 // bytes, the most of a process
}

func runPeers(ctx context.Context, dir, data string) (all []peerResult, err error) {
	for _, p := range peers {
		r := peerResult{name: p.name}
		if _, err := exec.LookPath(p.name); err != nil {
			r.missing = true
			all = append(all, r)
			continue
		}
		home := filepath.Join(dir, p.name)
		if err := os.MkdirAll(home, 0o700); err != nil {
			return nil, err
		}
		if _, err := p.run(ctx, p.init, home, data); err != nil {
			return nil, err
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

// night lets every peer that is installed take one more backup.
func (r *results) night(ctx context.Context, dir, data string) error {
	for i, p := range r.peers {
		if p.missing {
			continue
		}
		if _, err := peers[i].run(ctx, peers[i].backup, filepath.Join(dir, p.name), data); err != nil {
			return err
		}
	}
	return nil
}

// prunePeers lets every peer that is installed give up all but so many snapshots.
func (r *results) prunePeers(ctx context.Context, dir, data string, keep int) error {
	for i := range r.peers {
		p := &r.peers[i]
		if p.missing {
			continue
		}
		for _, words := range peers[i].prune {
			for k, word := range words {
				words[k] = strings.ReplaceAll(word, "HALF", strconv.Itoa(keep))
			}
			t, err := peers[i].run(ctx, words, filepath.Join(dir, p.name), data)
			if err != nil {
				return err
			}
			p.prune = processTimes{p.prune.cpu + t.cpu, p.prune.clock + t.clock, max(p.prune.memory, t.memory)}
		}
	}
	return nil
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
	table(w, "attachments | tool | first, CPU s | wall s | nothing new, CPU s | wall s | prune of half, CPU s | wall s | memory MB", func(row func(...any)) {
		for _, r := range all {
			row(r.attachments, "orthokeep", seconds(r.first.cpu()), seconds(r.first.clock()), seconds(r.nothing.cpu()), seconds(r.nothing.clock()),
				seconds(r.pruned.cpu()), seconds(r.pruned.wall()), mb(r.pruned.memory()))
			for _, p := range r.peers {
				if p.missing {
					row(r.attachments, p.name, "not installed", "", "", "", "", "", "")
					continue
				}
				row(r.attachments, p.name, seconds(p.first.cpu), seconds(p.first.clock), seconds(p.nothing.cpu), seconds(p.nothing.clock),
					seconds(p.prune.cpu), seconds(p.prune.clock), mb(p.prune.memory))
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

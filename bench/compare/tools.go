package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// A command is its words. REPO, HOME, DATA, CONFIG, TARGET and NIGHT stand for the repository, the folder of the tool's other files,
// the storage area, Orthanc's configuration, the folder to restore to, and the number of the night.
type command []string

func words(line string) command { return strings.Fields(line) }

// A tool is a program in one of its configurations.
type tool struct {
	name     string // program, then configuration
	program  string // looked for on PATH
	version  command
	setUp    []command
	backup   command
	restore  command
	restored []string // the folders in which the files of the storage area then lie
	check    command  // of all data
	prune    []command
	env      []string
	ours     bool
	plain    bool // it does not compress: no ratio is taken to it
	cold     bool // files are not in memory when a command begins

	missing bool
	says    string     // its version
	samples [][]sample // by step, then round
}

const passphrase = "correct horse battery staple"

// ours is orthokeep at one of its compressions.
func ours(program, compression string) tool {
	const common = " --quiet --repo REPO --cache-dir HOME/cache --writer-key HOME/writer.key --config HOME/none.toml"
	const secret = " --passphrase-file HOME/passphrase"
	run := func(line string) command { return append(command{program}, words(line+common)...) }
	return tool{
		name: "orthokeep " + compression, ours: true, program: program, version: command{program, "version"},
		setUp: []command{
			{"sh", "-c", "printf '%s\n' '" + passphrase + "' >HOME/passphrase; : >HOME/none.toml"},
			run("init --yes --compression " + compression + secret),
		},
		backup:   run("backup --orthanc CONFIG --window none --server compare"),
		restore:  run("restore latest --target TARGET/all" + secret),
		restored: []string{"TARGET/all/storage"},
		check:    run("check --read-data" + secret),
		prune:    []command{run("prune --keep-last 1"), run("prune --keep-last 1")},
	}
}

// restic keeps its compression in the environment.
func restic(compression string) tool {
	run := func(line string) command { return words("restic --quiet -r REPO " + line) }
	return tool{
		name: "restic " + compression, program: "restic", version: words("restic version"),
		setUp:    []command{run("init")},
		backup:   run("backup DATA"),
		restore:  run("restore latest --target TARGET"),
		restored: []string{"TARGETDATA"},
		check:    run("check --read-data"),
		prune:    []command{run("forget --keep-last 1 --prune")},
		env:      []string{"RESTIC_PASSWORD=" + passphrase, "RESTIC_CACHE_DIR=HOME/cache", "RESTIC_COMPRESSION=" + compression},
	}
}

func borg(compression string) tool {
	return tool{
		name: "borg " + compression, program: "borg", version: words("borg --version"),
		setUp:    []command{words("borg init -e repokey REPO")},
		backup:   words("borg create --compression " + compression + " REPO::night-NIGHT DATA"),
		restore:  words("env -C TARGET borg extract REPO::night-NIGHT"),
		restored: []string{"TARGETDATA"},
		check:    words("borg check --verify-data REPO"),
		prune:    []command{words("borg prune --keep-last 1 REPO"), words("borg compact REPO")},
		env:      []string{"BORG_PASSPHRASE=" + passphrase, "BORG_BASE_DIR=HOME"},
	}
}

func kopia(compression string) tool {
	run := func(line string) command { return words("kopia --log-level=error --no-progress " + line) }
	return tool{
		name: "kopia " + compression, plain: compression == "none", program: "kopia", version: words("kopia --version"),
		setUp: []command{
			run("repository create filesystem --path REPO"),
			run("policy set --global --compression=" + compression),
			run("policy set --global --keep-latest=1 --keep-hourly=0 --keep-daily=0 --keep-weekly=0 --keep-monthly=0 --keep-annual=0"),
		},
		backup:   run("snapshot create DATA"),
		restore:  run("snapshot restore DATA TARGET --snapshot-time=latest"),
		restored: []string{"TARGET"},
		check:    run("snapshot verify --verify-files-percent=100"),
		prune:    []command{run("snapshot expire --all --delete"), run("maintenance run --full --safety=none")},
		env: []string{"KOPIA_PASSWORD=" + passphrase, "KOPIA_CONFIG_PATH=HOME/kopia.config", "KOPIA_CACHE_DIRECTORY=HOME/cache",
			"KOPIA_LOG_DIR=HOME/log", "KOPIA_CHECK_FOR_UPDATES=false"},
	}
}

// findTools lists the tools, each by its default and by its fastest or smallest compression, and says which are missing.
func findTools(ctx context.Context, o options) ([]*tool, error) {
	program, err := filepath.Abs(o.orthokeep)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(program); err != nil {
		return nil, fmt.Errorf("%w: make compare builds it", err)
	}
	var all []*tool
	for _, t := range []tool{
		ours(program, "balanced"), ours(program, "fast"), ours(program, "small"),
		restic("auto"), restic("fastest"), restic("max"),
		borg("lz4"), borg("zstd,1"), borg("zstd,10"),
		kopia("none"), kopia("zstd-fastest"), kopia("zstd-best-compression"),
		{name: "rustic", program: "rustic"},
	} {
		if !o.tools.MatchString(t.name) {
			continue
		}
		if err := t.find(ctx); err != nil {
			return nil, err
		}
		all = append(all, &t)
	}
	return all, nil
}

// find asks a tool for its version, or notes that it cannot be had.
func (t *tool) find(ctx context.Context) error {
	_, err := exec.LookPath(t.program)
	if t.missing = errors.Is(err, exec.ErrNotFound); t.missing || t.version == nil {
		t.missing = true
		return nil
	}
	if err != nil {
		return err
	}
	out, err := exec.CommandContext(ctx, t.version[0], t.version[1:]...).Output()
	if err != nil {
		return fmt.Errorf("%v: %w", t.version, err)
	}
	line, _, _ := strings.Cut(string(out), "\n")
	if t.says = strings.TrimSpace(line); !strings.Contains(t.says, t.program) && !t.ours {
		t.says = t.program + " " + t.says
	}
	if t.name == "restic fastest" { // newer than the others
		help, err := exec.CommandContext(ctx, "restic", "help", "backup").CombinedOutput()
		t.missing = !strings.Contains(string(help), "fastest")
		return err
	}
	return nil
}

package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/orthokeep/orthokeep/orthanc/orthanctest"
)

// booted is a Debian 13 in a container, with systemd as process 1 and Orthanc as orthanc.service. It has no network but
// loopback.
type booted struct {
	t  *testing.T
	id string
}

// boot makes the image of all but /usr, which is mounted. systemd gets control groups of version 2 below those of the
// container, whatever the host has, and ends after ten minutes.
func boot(t *testing.T) *booted {
	t.Helper()
	orthanctest.NeedDocker(t)
	root := orthanctest.NeedDebian13(t)
	t.Setenv("CGO_ENABLED", "0")
	program := filepath.Dir(buildCommand(t))
	image := orthanctest.Image(t, "-C", root, "--exclude=./usr/*", "--exclude=./var/cache/*", "--exclude=./proc/*", "--exclude=./sys/*", "--exclude=./dev/*", ".")
	b := &booted{t, orthanctest.Container(t, "--network", "none", "--cap-add", "SYS_ADMIN", "--cap-add", "SYS_PTRACE",
		"--security-opt", "seccomp=unconfined", "--cgroupns=private", "--tmpfs", "/run", "--tmpfs", "/tmp", "--env", "container=docker",
		"-v", filepath.Join(root, "usr")+":/usr:ro", "-v", program+":/opt/orthokeep:ro", image, "/bin/sh", "-c",
		`umount -R /sys/fs/cgroup; mount -o remount,rw /sys; mount -t cgroup2 none /sys/fs/cgroup || exit
(sleep 600; kill -s 37 1) & exec /sbin/init`)}
	// What answers is asked without curl: a connection is what Orthanc accepts once it is ready.
	b.put("/root/answers", `#!/bin/bash
for ((i = 0; i < 2000; i++)); do (exec 3<>/dev/tcp/127.0.0.1/8042) 2>/dev/null && exit; sleep 0.01; done
systemctl status orthanc; exit 1`)
	for end := time.Now().Add(time.Minute); b.try("systemctl", "is-active", "orthanc.service") != nil; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("systemd does not come up: %s", orthanctest.Docker(t, "logs", "--tail", "20", b.id))
		}
	}
	b.run("/root/answers")
	b.put("/root/passphrase", goodPassphrase)
	b.orthokeep("init", "--passphrase-file", "/root/passphrase", "--recovery-key", "/root/recovery.key")
	return b
}

func (b *booted) command(args ...string) *exec.Cmd {
	return exec.Command("docker", append([]string{"exec", b.id}, args...)...)
}

func (b *booted) try(args ...string) error { return b.command(args...).Run() }

// run runs a command inside, which must succeed, and returns what it prints.
func (b *booted) run(args ...string) string {
	b.t.Helper()
	cmd := b.command(args...)
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		b.t.Fatalf("%q: %v\n%s%s", args, err, out, said.String())
	}
	return strings.TrimSpace(string(out))
}

func (b *booted) orthokeep(args ...string) string {
	b.t.Helper()
	return b.run(append([]string{"/opt/orthokeep/orthokeep", "--repo", "/srv/repo"}, args...)...)
}

func (b *booted) put(path, text string) {
	b.t.Helper()
	file := filepath.Join(b.t.TempDir(), "file")
	if err := os.WriteFile(file, []byte(text), 0o755); err != nil {
		b.t.Fatal(err)
	}
	orthanctest.Docker(b.t, "cp", file, b.id+":"+path)
}

// backup takes a snapshot, without warnings.
func (b *booted) backup(window string) (s summary) {
	b.t.Helper()
	lines := strings.Split(b.orthokeep("backup", "--json", "--orthanc", "/etc/orthanc", "--window", window), "\n")
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &s); err != nil {
		b.t.Fatal(err)
	}
	return s
}

// held runs a backup as nightly.service, which stops inside its window.
func (b *booted) held(window string) {
	b.t.Helper()
	b.run("/bin/sh", "-c", `rm -rf /root/hold; mkdir /root/hold
systemd-run --quiet --collect --unit=nightly --setenv=HOME=/root --setenv=ORTHOKEEP_TEST_HOLD=/root/hold --setenv=ORTHOKEEP_TEST_HOLD_AT=inside-window \
	/opt/orthokeep/orthokeep backup --repo /srv/repo --orthanc /etc/orthanc --window `+window+`
for i in $(seq 300); do test -e /root/hold/inside-window && exit; sleep 0.1; done; journalctl -u nightly; exit 1`)
}

// back waits until Orthanc answers again, and sees that it goes on answering.
func (b *booted) back(what string) {
	b.t.Helper()
	began := time.Now()
	b.run("/root/answers")
	took := time.Since(began)
	b.t.Logf("%s: Orthanc answers after %v", what, took.Round(time.Millisecond))
	if took > 5*time.Second {
		b.t.Errorf("%s: Orthanc answered after %v", what, took)
	}
	b.run("systemctl", "is-active", "orthanc.service")
	if units := b.run("/bin/sh", "-c", "sleep 0.5; systemctl list-units --no-legend 'orthokeep-guard-*' nightly.service"); units != "" {
		b.t.Errorf("%s: left are %s", what, units)
	}
}

// A real systemd: Orthanc is a unit, and runs again whatever is killed.
func TestSystemd(t *testing.T) {
	b := boot(t)
	t.Logf("%s, %s", b.run("/bin/sh", "-c", "systemctl --version | head -n 1"), b.run("/bin/sh", "-c", "Orthanc --version | head -n 1"))

	s := b.backup("freeze")
	t.Logf("%v", s)
	if s.Window.Mechanism != "ptrace" || s.Window.Seconds > 1 {
		t.Errorf("freeze: %v", s)
	}

	var own, windows []float64
	for range 3 {
		text := b.run("/bin/sh", "-c", "a=$(date +%s%N); systemctl stop orthanc && systemctl start orthanc && /root/answers; echo $((($(date +%s%N) - a) / 1000))")
		microseconds, err := strconv.ParseFloat(text, 64)
		if err != nil {
			t.Fatal(err)
		}
		own = append(own, microseconds/1e6)
		s := b.backup("stop")
		if s.Window.Mode != "stop" || s.Window.Mechanism != "systemd" {
			t.Errorf("stop: %v", s)
		}
		windows = append(windows, s.Window.Seconds)
	}
	slices.Sort(own)
	slices.Sort(windows)
	more := windows[1] - own[1]
	t.Logf("systemctl stop and start until it answers: %.3f s; windows: %.3f s; more, of the medians: %.3f s", own, windows, more)
	if more > 1 { // 0.3 s where nothing else runs
		t.Errorf("the window takes %.3f s more than systemctl stop and start", more)
	}

	const killGroup = "systemctl kill --signal=KILL nightly.service" // what it started is in its group, but for a guard
	b.held("freeze")
	b.run("/bin/sh", "-c", killGroup)
	b.back("freeze, orthokeep and helper killed")

	b.held("stop")
	if b.try("systemctl", "is-active", "orthanc.service") == nil {
		t.Error("Orthanc runs inside the window")
	}
	b.run("/bin/sh", "-c", killGroup)
	b.back("stop, orthokeep killed")

	b.held("stop")
	// Orthokeep is stopped first: it would undo the window when the guard dies.
	b.run("/bin/sh", "-c", `pid() { systemctl show --property=MainPID --value "$1"; }
n=$(pid nightly.service); g=$(pid "$(systemctl list-units --plain --no-legend 'orthokeep-guard-*.service' | cut -d ' ' -f 1)")
kill -STOP $n && kill -9 $n $g`)
	b.back("stop, orthokeep and guard killed")

	b.backup("auto")
	t.Log(b.orthokeep("check", "--read-packs"))
}

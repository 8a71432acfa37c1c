package orthanc

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"
)

// systemdRunning is there when systemd is the service manager (sd_booted(3)).
var systemdRunning = "/run/systemd/system"

// undoArgument is the argument of HelperCommand, before a runtime folder, with which systemd undoes what a guard left.
const undoArgument = "undo"

// helperStart is one way to start a helper.
type helperStart struct {
	cmd     *exec.Cmd
	service string // systemd unit that the helper is the main process of; empty: it is cmd's process
}

// kill ends the helper by SIGKILL.
func (h helperStart) kill() {
	_ = h.cmd.Process.Kill()
	if h.service != "" {
		_ = exec.Command("systemctl", "kill", "--kill-who=main", "--signal=KILL", h.service).Run()
	}
}

// guardStarts lists the ways to start a guard, the best first: where systemd runs, in a unit of its own, as which it
// outlives this program's.
func guardStarts(r helperRequest) []helperStart {
	plain := helperStart{cmd: helperCommand()}
	if _, err := os.Stat(systemdRunning); err != nil {
		return []helperStart{plain}
	}
	run, err := exec.LookPath("systemd-run")
	if err != nil {
		return []helperStart{plain}
	}
	var starts []helperStart
	if s, ok := serviceStart(run, r); ok {
		starts = append(starts, s)
	}
	if s, ok := scopeStart(run, r.Token); ok {
		starts = append(starts, s)
	}
	return append(starts, plain)
}

// serviceStart runs the helper as a service. When it is killed, systemd undoes the window, even if this program is dead
// too. Not for the operator's commands: they may want this program's environment, and a server that they leave behind
// would end with the service. And only where this program sees the same files as systemd.
func serviceStart(run string, r helperRequest) (helperStart, bool) {
	if os.Geteuid() != 0 || r.Mechanism == MechanismCommand {
		return helperStart{}, false
	}
	own, err := os.Readlink("/proc/self/ns/mnt")
	if its, err2 := os.Readlink("/proc/1/ns/mnt"); err != nil || err2 != nil || own != its {
		return helperStart{}, false
	}
	program, err := os.Executable()
	if err != nil || !plainPath(program) || !plainPath(r.StateDir) {
		return helperStart{}, false
	}
	if _, err := os.Stat(program); err != nil { // replaced since
		return helperStart{}, false
	}
	unit := "orthokeep-guard-" + r.Token + ".service"
	args := []string{"--quiet", "--collect", "--pipe", "--wait", "--service-type=exec", "--unit=" + unit,
		"--property=ExecStopPost=" + program + " " + HelperCommand + " " + undoArgument + " " + r.StateDir,
		"--property=TimeoutStopSec=infinity"} // what undoes has its own limits
	for _, name := range []string{"PATH", "HOME", "DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "CONTAINER_HOST"} {
		if value, ok := os.LookupEnv(name); ok {
			args = append(args, "--setenv="+name+"="+value)
		}
	}
	return helperStart{systemdRun(run, args), unit}, true
}

// plainPath says whether a path is absolute and means itself in a unit's command line.
func plainPath(path string) bool { return plainPathRunes.MatchString(path) }

var plainPathRunes = regexp.MustCompile(`^/[A-Za-z0-9/._+-]+$`)

// scopeStart runs the helper in a scope: it is this program's child, with its environment.
func scopeStart(run, token string) (helperStart, bool) {
	args := []string{"--scope", "--quiet", "--collect", "--unit=orthokeep-guard-" + token}
	if os.Geteuid() != 0 {
		if _, err := os.Stat(filepath.Join(os.Getenv("XDG_RUNTIME_DIR"), "systemd", "private")); err != nil {
			return helperStart{}, false
		}
		args = append(args, "--user")
	}
	return helperStart{cmd: systemdRun(run, args)}, true
}

// systemdRun runs this very program, even when its file has been replaced since.
func systemdRun(run string, args []string) *exec.Cmd {
	cmd := exec.Command(run, append(args, "--", fmt.Sprintf("/proc/%d/exe", os.Getpid()), HelperCommand)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return cmd
}

// undoAfterGuard is what systemd runs once a guard's service has ended. Mostly there is nothing to do.
func undoAfterGuard(stateDir string) int {
	said, err := Undo(stateDir)
	for _, line := range said {
		fmt.Fprintln(os.Stderr, "orthokeep: "+line) // to the journal
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "orthokeep: "+err.Error())
		return 1
	}
	return 0
}

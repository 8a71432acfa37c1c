package orthanc

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// HelperCommand is the hidden first argument with which this program is run as a window's helper: see HelperMain.
const HelperCommand = "window-helper"

// helperCommand is this program again. It gets a session of its own, so that a terminal's Ctrl-C does not reach it.
func helperCommand() *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", HelperCommand)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return cmd
}

// tracerCommand is for the helper that the kernel makes harmless when it dies: it is told of this thread's death too.
func tracerCommand() *exec.Cmd {
	cmd := helperCommand()
	cmd.SysProcAttr.Pdeathsig = ownerDied
	return cmd
}

// leaveCgroups moves this process to the root of every hierarchy in which it is in the same group as its owner, so that
// what ends the owner's group (a unit's time-out, an OOM kill) does not end the guard. It returns one warning when it
// is in the owner's group even so.
func leaveCgroups(owner int) []string {
	for _, g := range sharedGroups(owner) {
		kind, controller := "cgroup2", ""
		if g.hierarchy != "0" {
			kind, controller = "cgroup", g.controllers[0]
		}
		if mount, err := cgroupMount(kind, controller); err == nil {
			// Where this process is afterwards tells whether it worked.
			_ = os.WriteFile(filepath.Join(mount, "cgroup.procs"), fmt.Append(nil, os.Getpid()), 0)
		}
	}
	var shared []string
	for _, g := range sharedGroups(owner) {
		shared = append(shared, strings.Join(g.controllers, ",")+":"+g.path)
	}
	if len(shared) == 0 {
		return nil
	}
	return []string{"the guard could not leave orthokeep's cgroup (" + strings.Join(shared, " ") +
		"): what kills this cgroup as a whole leaves Orthanc standing until orthokeep runs again"}
}

type cgroupLine struct {
	hierarchy   string
	controllers []string
	path        string
}

// sharedGroups lists the groups other than the root that this process is in together with another.
func sharedGroups(other int) []cgroupLine {
	theirs, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", other))
	if err != nil {
		return nil // it has ended
	}
	ours, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil
	}
	in := map[string]bool{}
	for line := range strings.Lines(string(theirs)) {
		in[line] = true
	}
	var shared []cgroupLine
	for line := range strings.Lines(string(ours)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if in[line] && len(parts) == 3 && parts[2] != "/" {
			shared = append(shared, cgroupLine{parts[0], strings.Split(parts[1], ","), parts[2]})
		}
	}
	return shared
}

// unitOf names the systemd unit that a process belongs to; empty when there is none that can be stopped from here: where
// systemd does not run, or orthokeep is of that unit itself.
func unitOf(pid int) string {
	if _, err := os.Stat(systemdRunning); err != nil {
		return ""
	}
	if _, err := exec.LookPath("systemctl"); err != nil {
		return ""
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		return ""
	}
	own := ownCgroup()
	its, unit, _ := parseCgroup(string(text), own)
	if own == "" || own == its {
		return ""
	}
	return unit
}

// containerOf names the container that a process is in, unless this program is in it too.
func containerOf(pid int) (container, bool) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		return container{}, false
	}
	cgroup, _, id := parseCgroup(string(text), ownCgroup())
	if id == "" {
		return container{}, false
	}
	return containerAt(cgroup)
}

package orthanc

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// look finds the server in a container: its process, how its files are seen from here, and the file or folder that it was
// started with. The container has to run.
func (c container) look() (at sight, process *Process, configuration string, err error) {
	state, err := c.inspect()
	if err != nil {
		return sight{}, nil, "", err
	}
	pid, err := state.indexHolder()
	if err != nil {
		return sight{}, nil, "", fmt.Errorf("look into container %v: %w", c, err)
	}
	if process, err = describe(pid); err != nil {
		return sight{}, nil, "", fmt.Errorf("look into container %v: %w", c, err)
	}
	var mounts []mount
	for _, m := range state.Mounts {
		if (m.Type == "bind" || m.Type == "volume") && filepath.IsAbs(m.Source) && filepath.IsAbs(m.Destination) {
			mounts = append(mounts, mount{filepath.Clean(m.Destination), filepath.Clean(m.Source)})
		}
	}
	configuration, err = process.startedWith()
	return newSight(fmt.Sprintf("/proc/%d/root", pid), mounts), process, configuration, err
}

// indexHolder is the one process of a container that has a file named index open for writing.
func (s containerState) indexHolder() (int, error) {
	pids, err := processes()
	if err != nil {
		return 0, err
	}
	own, _ := os.Readlink("/proc/self/ns/pid")
	space, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", s.State.Pid))
	if err != nil {
		return 0, fmt.Errorf("%w: run as root: %w", ErrProcessHidden, err)
	}
	var found []int
	for _, pid := range pids {
		if there, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", pid)); err != nil || there != space {
			continue
		}
		if space == own { // the container has none of its own
			if text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid)); err != nil || !bytes.Contains(text, []byte(s.ID)) {
				continue
			}
		}
		switch writes, err := writesIndex(pid); {
		case errors.Is(err, fs.ErrPermission):
			return 0, fmt.Errorf("%w: process %d: run as root", ErrProcessHidden, pid)
		case writes:
			found = append(found, pid)
		}
	}
	switch len(found) {
	case 0:
		return 0, fmt.Errorf("%w: none of its processes has a file named index open: is Orthanc in it, with an SQLite index?", ErrNoProcess)
	case 1:
		return found[0], nil
	}
	return 0, fmt.Errorf("%w: processes %v", ErrManyProcesses, found)
}

// writesIndex says whether a process has a file named index open for writing.
func writesIndex(pid int) (bool, error) {
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return false, err
	}
	for _, e := range entries {
		if target, err := os.Readlink(filepath.Join(dir, e.Name())); err == nil && filepath.Base(target) == "index" && writable(pid, e.Name()) {
			return true, nil
		}
	}
	return false, nil
}

// startedWith returns the file or folder that an Orthanc was started with, as it knows it.
func (p *Process) startedWith() (string, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.PID))
	if err != nil {
		return "", err
	}
	args := strings.Split(strings.TrimSuffix(string(text), "\x00"), "\x00")
	program := max(0, slices.IndexFunc(args, func(a string) bool { return filepath.Base(a) == "Orthanc" })) // behind a loader
	for _, a := range args[program+1:] {
		if strings.HasPrefix(a, "-") || a == "" {
			continue
		}
		if !filepath.IsAbs(a) {
			a = filepath.Join(p.Dir, a)
		}
		return filepath.Clean(a), nil
	}
	return "", fmt.Errorf("%w: process %d was started without a file or folder", ErrConfiguration, p.PID)
}

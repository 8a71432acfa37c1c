package orthanc

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// FindProcess finds the process that holds an index file open for writing, by device and inode, in a container too. This
// process itself does not count. The errors: ErrNoProcess when nothing holds it; ErrProcessHidden when nothing was
// found, but not every process could be looked into; ErrManyProcesses when there are several.
func FindProcess(index string) (*Process, error) {
	name, err := lastName(index)
	if err != nil {
		return nil, fmt.Errorf("find process: %w", err)
	}
	var file unix.Stat_t
	if err := unix.Stat(index, &file); err != nil {
		return nil, fmt.Errorf("find process: stat %s: %w", index, err)
	}
	pids, err := processes()
	if err != nil {
		return nil, fmt.Errorf("find process: %w", err)
	}
	var writers, readers []int
	hidden := 0
	for _, pid := range pids {
		writes, reads, err := holds(pid, name, &file)
		switch {
		case writes:
			writers = append(writers, pid)
		case reads:
			readers = append(readers, pid)
		case errors.Is(err, fs.ErrPermission):
			hidden++
		}
	}
	switch {
	case len(writers) > 1:
		return nil, fmt.Errorf("%w: %s: processes %v: stop all but Orthanc", ErrManyProcesses, index, writers)
	case len(writers) == 0 && hidden > 0:
		return nil, fmt.Errorf("%w: %s: %d processes of other users: run as root, or as the user that runs Orthanc", ErrProcessHidden, index, hidden)
	case len(writers) == 0:
		return nil, fmt.Errorf("%w: %s: start Orthanc, or use --window none while it is down", ErrNoProcess, index)
	}
	p, err := describe(writers[0])
	if err != nil {
		return nil, fmt.Errorf("find process: %w", err)
	}
	p.Readers = readers
	return p, nil
}

// lastName is the name under which a file was opened. Links to folders before it do not change it, and may lead where only the
// kernel follows, as /proc/PID/root does.
func lastName(path string) (string, error) {
	info, err := os.Lstat(path)
	if err == nil && info.Mode()&fs.ModeSymlink != 0 {
		path, err = filepath.EvalSymlinks(path)
	}
	return filepath.Base(path), err
}

// processes lists the numbers of all processes but this one.
func processes() ([]int, error) {
	f, err := os.Open("/proc")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil && pid != os.Getpid() {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	return pids, nil
}

// holds says whether a process has a file open. Only descriptors whose name, in the process's own view, is that of the
// file are looked at: asking for others can hang, on a dead network file system.
func holds(pid int, name string, file *unix.Stat_t) (writes, reads bool, err error) {
	path := fmt.Sprintf("/proc/%d/fd", pid)
	dir, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return false, false, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	f := os.NewFile(uintptr(dir), path)
	defer f.Close()
	fds, err := f.Readdirnames(-1)
	if err != nil {
		return false, false, err
	}
	var target [unix.PathMax]byte
	for _, fd := range fds {
		n, err := unix.Readlinkat(dir, fd, target[:])
		if err != nil || filepath.Base(string(target[:n])) != name {
			continue
		}
		var open unix.Stat_t
		if unix.Fstatat(dir, fd, &open, 0) != nil || open.Dev != file.Dev || open.Ino != file.Ino {
			continue
		}
		if writable(pid, fd) {
			return true, false, nil
		}
		reads = true
	}
	return false, reads, nil
}

// writable says whether a descriptor is open for writing; yes when it cannot be known.
func writable(pid int, fd string) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/fdinfo/%s", pid, fd))
	if err != nil {
		return true
	}
	for line := range bytes.Lines(text) {
		value, ok := bytes.CutPrefix(line, []byte("flags:"))
		if !ok {
			continue
		}
		flags, err := strconv.ParseUint(string(bytes.TrimSpace(value)), 8, 64)
		return err != nil || flags&unix.O_ACCMODE != unix.O_RDONLY
	}
	return true
}

// describe reads what can be known of a process. Only its number and start must be.
func describe(pid int) (*Process, error) {
	target, err := NewTarget(pid)
	if err != nil {
		return nil, err
	}
	p := &Process{Target: target}
	proc := fmt.Sprintf("/proc/%d/", pid)
	if exe, err := os.Readlink(proc + "exe"); err == nil {
		p.Name = strings.TrimSuffix(filepath.Base(exe), " (deleted)")
	} else if comm, err := os.ReadFile(proc + "comm"); err == nil {
		p.Name = strings.TrimSuffix(string(comm), "\n")
	}
	var info unix.Stat_t
	if err := unix.Stat(proc, &info); err != nil {
		return nil, fmt.Errorf("process %d: %w", pid, err)
	}
	p.UID = int(info.Uid)
	if dir, err := os.Readlink(proc + "cwd"); err == nil {
		p.Dir = dir
	}
	if text, err := os.ReadFile(proc + "cgroup"); err == nil {
		p.Cgroup, p.Unit, p.Container = parseCgroup(string(text), ownCgroup())
	}
	if now, err := NewTarget(pid); err != nil || now != target {
		return nil, fmt.Errorf("process %d: %w", pid, ErrProcessGone)
	}
	return p, nil
}

// ownCgroup is the path of this process's own group.
func ownCgroup() string {
	text, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return ""
	}
	path, _, _ := parseCgroup(string(text), "")
	return path
}

// Environment returns a look-up in the environment that the process was started with, for ReadConfiguration: in a
// container or a unit it is not that of this process.
func (p *Process) Environment() (func(string) (string, bool), error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", p.PID))
	if err != nil {
		return nil, err
	}
	values := map[string]string{}
	for entry := range strings.SplitSeq(string(text), "\x00") {
		if name, value, ok := strings.Cut(entry, "="); ok {
			values[name] = value
		}
	}
	return func(name string) (string, bool) {
		value, ok := values[name]
		return value, ok
	}, nil
}

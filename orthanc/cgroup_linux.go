package orthanc

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// freezer freezes a process by its control group, when that holds nothing but the process and its children.
type freezer struct {
	target  Target
	pidfd   int
	group   freezerGroup
	written bool
	before  map[int]uint64
}

// freezerGroup is a control group that can be frozen.
type freezerGroup struct {
	Mechanism string `json:"mechanism"` // MechanismCgroupV1 or V2
	Dir       string `json:"dir"`
}

func newFreezer(mechanism string, target Target) (*freezer, error) {
	pidfd, err := target.open()
	if err != nil {
		return nil, err
	}
	group, err := freezerOf(mechanism, target)
	if err != nil {
		unix.Close(pidfd)
		return nil, err
	}
	return &freezer{target: target, pidfd: pidfd, group: group}, nil
}

// probeFreezer says without freezing anything whether the process's cgroup may be frozen.
func probeFreezer(mechanism string, target Target) error {
	_, err := freezerOf(mechanism, target)
	return err
}

// freezerOf finds the control group to freeze, and refuses one that holds anything else, is frozen, or cannot be written.
func freezerOf(mechanism string, target Target) (freezerGroup, error) {
	refused := func(format string, args ...any) (freezerGroup, error) {
		return freezerGroup{}, &RefusedError{mechanism, fmt.Sprintf(format, args...)}
	}
	kind, controller := "cgroup2", ""
	if mechanism == MechanismCgroupV1 {
		kind, controller = "cgroup", "freezer"
	}
	path, err := cgroupPath(fmt.Sprintf("/proc/%d/cgroup", target.PID), controller)
	if err != nil {
		return refused("no such hierarchy: %v", err)
	}
	mount, err := cgroupMount(kind, controller)
	if err != nil {
		return refused("%v", err)
	}
	if path == "/" || strings.HasPrefix(path, "/..") {
		return refused("the process is in the root group or outside of this container")
	}
	g := freezerGroup{mechanism, filepath.Join(mount, path)}
	f, err := os.OpenFile(g.file(), os.O_WRONLY, 0)
	if err != nil {
		return refused("%v", err)
	}
	f.Close()
	if pid, err := g.stranger(target.PID); err != nil || pid != 0 {
		if err != nil {
			return refused("%v", err)
		}
		return refused("process %d is in the same group", pid)
	}
	if state, err := g.state(); err != nil || state != thawed {
		return refused("the group is frozen already, or cannot be read (%v)", err)
	}
	return g, nil
}

// file is the one that is written to.
func (g freezerGroup) file() string {
	if g.Mechanism == MechanismCgroupV1 {
		return filepath.Join(g.Dir, "freezer.state")
	}
	return filepath.Join(g.Dir, "cgroup.freeze")
}

const (
	thawed = iota
	freezing
	frozen
)

// frozenStates are those of a thread in a frozen group: v2 S, v1 D, and stopped before. One that runs is R.
const frozenStates = "SDTt"

func (g freezerGroup) state() (int, error) {
	if g.Mechanism == MechanismCgroupV1 {
		text, err := os.ReadFile(g.file())
		switch strings.TrimSpace(string(text)) {
		case "THAWED":
			return thawed, err
		case "FROZEN":
			return frozen, err
		}
		return freezing, err
	}
	asked, err := os.ReadFile(g.file())
	if err != nil {
		return freezing, err
	}
	events, err := os.ReadFile(filepath.Join(g.Dir, "cgroup.events"))
	is := strings.Contains("\n"+string(events), "\nfrozen 1")
	switch wanted := strings.TrimSpace(string(asked)) == "1"; {
	case wanted && is:
		return frozen, err
	case !wanted && !is:
		return thawed, err
	}
	return freezing, err
}

func (g freezerGroup) set(freeze bool) error {
	text := map[bool]string{true: "1", false: "0"}[freeze]
	if g.Mechanism == MechanismCgroupV1 {
		text = map[bool]string{true: "FROZEN", false: "THAWED"}[freeze]
	}
	return os.WriteFile(g.file(), []byte(text), 0)
}

// stranger returns a process of the group, or of one below it, that is neither the target nor descends from it. This
// process is always a stranger.
func (g freezerGroup) stranger(target int) (int, error) {
	found := 0
	err := filepath.WalkDir(g.Dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Name() != "cgroup.procs" {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(text)) {
			pid, err := strconv.Atoi(strings.TrimSpace(line))
			if err != nil {
				return err
			}
			if pid == 0 {
				return errors.New("the group holds a process that cannot be seen from here")
			}
			if pid == os.Getpid() || pid == os.Getppid() || !descends(pid, target) {
				found = pid
				return fs.SkipAll
			}
		}
		return nil
	})
	return found, err
}

// descends says whether a process is the ancestor itself or one of its children, at any depth. One that has ended counts.
func descends(pid, ancestor int) bool {
	for pid > 1 && pid != ancestor {
		stat, err := readStat(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			return true
		}
		pid = stat.parent
	}
	return pid == ancestor
}

// hold implements mechanism.
func (f *freezer) hold(deadline time.Time) error {
	f.written = true
	for {
		// A v1 group can stay FREEZING until it is told again.
		if err := f.group.set(true); err != nil {
			return &RefusedError{f.group.Mechanism, err.Error()}
		}
		for range 20 {
			if state, err := f.group.state(); err == nil && state == frozen {
				var err error
				f.before, err = settle(f.target.PID, f.pidfd, frozenStates, deadline)
				return err
			}
			pause()
		}
		if ended(f.pidfd) {
			return fmt.Errorf("process %d: %w", f.target.PID, ErrProcessGone)
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s is not frozen: %w", f.group.Dir, ErrWindowTooLong)
		}
	}
}

// died implements mechanism. (A process in a frozen v1 group does not die before it is thawed.)
func (f *freezer) died() bool { return ended(f.pidfd) }

// verify implements mechanism.
func (f *freezer) verify() error {
	if state, err := f.group.state(); err != nil || state != frozen {
		if ended(f.pidfd) {
			return fmt.Errorf("process %d: %w", f.target.PID, ErrProcessGone)
		}
		return fmt.Errorf("someone else has thawed %s (%v): %w", f.group.Dir, err, ErrWindowBroken)
	}
	return compareSwitches(f.target.PID, f.pidfd, f.before, frozenStates)
}

// resume implements mechanism. A group that has gone held nothing any more.
func (f *freezer) resume() error {
	if !f.written {
		return nil
	}
	f.written = false
	return f.group.thaw()
}

func (g freezerGroup) thaw() error {
	if err := g.set(false); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("thaw %s: %w", g.Dir, err)
	}
	return nil
}

// cgroupPath reads the path of a process's group: of the v1 hierarchy with the controller, or of v2 for "".
func cgroupPath(file, controller string) (string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(text)) {
		parts := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(parts) != 3 {
			continue
		}
		for c := range strings.SplitSeq(parts[1], ",") {
			if c == controller && (controller != "" || parts[0] == "0") {
				return parts[2], nil
			}
		}
	}
	return "", fmt.Errorf("%s names no %q group", file, controller)
}

// cgroupMount finds where a hierarchy is mounted whole.
func cgroupMount(kind, controller string) (string, error) {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(text)) {
		left, right, ok := strings.Cut(line, " - ")
		where, how := strings.Fields(left), strings.Fields(right)
		if !ok || len(where) < 5 || len(how) < 3 || how[0] != kind || where[3] != "/" {
			continue
		}
		if controller == "" {
			return where[4], nil
		}
		for option := range strings.SplitSeq(how[2], ",") {
			if option == controller {
				return where[4], nil
			}
		}
	}
	return "", fmt.Errorf("no %s %s is mounted", kind, controller)
}

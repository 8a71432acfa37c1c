package orthanc

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// signaller freezes a process by SIGSTOP and SIGCONT, sent through a pidfd, so never to a later process with the same number.
type signaller struct {
	target Target
	pidfd  int
	sent   bool
	before map[int]uint64 // switches of each thread once all stood still
}

func newSignaller(target Target) (*signaller, error) {
	pidfd, err := target.open()
	if err != nil {
		return nil, err
	}
	return &signaller{target: target, pidfd: pidfd}, nil
}

// probeSignal says without sending anything whether the process may be signalled, and is not stopped already.
func probeSignal(target Target) error {
	s, err := newSignaller(target)
	if err != nil {
		return err
	}
	defer unix.Close(s.pidfd)
	return s.permitted()
}

func (s *signaller) permitted() error {
	if err := unix.PidfdSendSignal(s.pidfd, 0, nil, 0); err != nil {
		if errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("process %d: %w", s.target.PID, ErrProcessGone)
		}
		return &RefusedError{MechanismSignal, fmt.Sprintf("it may not be signalled: %v", err)}
	}
	stat, err := readStat(fmt.Sprintf("/proc/%d/stat", s.target.PID))
	if err == nil && (stat.state == 'T' || stat.state == 't') {
		return &RefusedError{MechanismSignal, "someone else has stopped it already"}
	}
	return nil
}

// hold implements mechanism.
func (s *signaller) hold(deadline time.Time) error {
	if err := s.permitted(); err != nil {
		return err
	}
	s.sent = true
	if err := unix.PidfdSendSignal(s.pidfd, unix.SIGSTOP, nil, 0); err != nil {
		return fmt.Errorf("stop process %d: %w", s.target.PID, err)
	}
	var err error
	s.before, err = settle(s.target.PID, s.pidfd, "T", deadline)
	return err
}

// died implements mechanism.
func (s *signaller) died() bool { return ended(s.pidfd) }

// verify implements mechanism.
func (s *signaller) verify() error { return compareSwitches(s.target.PID, s.pidfd, s.before, "T") }

// resume implements mechanism. A process that does not stand still is left alone.
func (s *signaller) resume() error {
	if ended(s.pidfd) {
		return nil
	}
	if stat, err := readStat(fmt.Sprintf("/proc/%d/stat", s.target.PID)); !s.sent && err == nil && stat.state != 'T' {
		return nil
	}
	s.sent = false
	if err := unix.PidfdSendSignal(s.pidfd, unix.SIGCONT, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("continue process %d: %w", s.target.PID, err)
	}
	return nil
}

// settle waits until every thread is in one of the states, and two looks in a row show the same count of context
// switches: a thread that has none in between did not run. It returns these counts.
func settle(pid, pidfd int, states string, deadline time.Time) (map[int]uint64, error) {
	var last map[int]uint64
	for {
		counts, standing, err := switches(pid, states)
		if ended(pidfd) {
			return nil, fmt.Errorf("process %d: %w", pid, ErrProcessGone)
		}
		if err == nil && standing && maps.Equal(counts, last) {
			return counts, nil
		}
		last = nil
		if err == nil && standing {
			last = counts
		}
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("not every thread stands still: %w", ErrWindowTooLong)
		}
		pause()
	}
}

// compareSwitches shows that no thread has run since settle.
func compareSwitches(pid, pidfd int, before map[int]uint64, states string) error {
	now, standing, err := switches(pid, states)
	switch {
	case ended(pidfd):
		return fmt.Errorf("process %d: %w", pid, ErrProcessGone)
	case err != nil:
		return fmt.Errorf("%w: %w", ErrWindowBroken, err)
	case !standing || !maps.Equal(before, now):
		return fmt.Errorf("someone else has set process %d going: %w", pid, ErrWindowBroken)
	}
	return nil
}

// switches counts the context switches of each thread, and says whether all are in one of the states.
func switches(pid int, states string) (counts map[int]uint64, standing bool, err error) {
	tids, err := threadsOf(pid)
	if err != nil {
		return nil, false, err
	}
	counts, standing = make(map[int]uint64, len(tids)), true
	for _, tid := range tids {
		state, n, err := readStatus(fmt.Sprintf("/proc/%d/task/%d/status", pid, tid))
		if err != nil {
			return nil, false, err
		}
		if state == 'Z' || state == 'X' {
			continue // has ended: a process's first thread stays listed
		}
		counts[tid] = n
		standing = standing && bytes.IndexByte([]byte(states), state) >= 0
	}
	return counts, standing && len(counts) > 0, nil
}

func readStatus(path string) (state byte, switches uint64, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, 0, err
	}
	for line := range bytes.Lines(text) {
		key, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimSpace(value)
		switch string(key) {
		case "State":
			if len(value) > 0 {
				state = value[0]
			}
		case "voluntary_ctxt_switches", "nonvoluntary_ctxt_switches":
			n, err := strconv.ParseUint(string(value), 10, 64)
			if err != nil {
				return 0, 0, fmt.Errorf("read %s: %w", path, err)
			}
			switches += n
		}
	}
	return state, switches, nil
}

// tracerOf returns the process that traces pid, 0 for none or unknown.
func tracerOf(pid int) int {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	_, rest, _ := bytes.Cut(text, []byte("TracerPid:"))
	line, _, _ := bytes.Cut(rest, []byte("\n"))
	n, _ := strconv.Atoi(string(bytes.TrimSpace(line)))
	return n
}

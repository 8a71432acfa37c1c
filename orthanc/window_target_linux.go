package orthanc

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// NewTarget reads when process pid started. The error matches ErrProcessGone when there is no such process.
func NewTarget(pid int) (Target, error) {
	stat, err := readStat(fmt.Sprintf("/proc/%d/stat", pid))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH) {
		return Target{}, fmt.Errorf("process %d: %w", pid, ErrProcessGone)
	}
	if err != nil {
		return Target{}, err
	}
	return Target{PID: pid, Start: stat.start}, nil
}

// open returns a pidfd of the process, which names it for good. The error matches ErrProcessGone when it has ended or
// the number is another process's by now. The caller closes the descriptor.
func (t Target) open() (int, error) {
	fd, err := unix.PidfdOpen(t.PID, 0)
	if errors.Is(err, unix.ESRCH) || errors.Is(err, unix.EINVAL) {
		return -1, fmt.Errorf("process %d: %w", t.PID, ErrProcessGone)
	}
	if err != nil {
		return -1, fmt.Errorf("open process %d: %w", t.PID, err)
	}
	now, err := NewTarget(t.PID)
	if err == nil && now != t {
		err = fmt.Errorf("process %d is another one now: %w", t.PID, ErrProcessGone)
	}
	if err == nil && ended(fd) {
		err = fmt.Errorf("process %d: %w", t.PID, ErrProcessGone)
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// ended says whether the process of a pidfd has ended.
func ended(pidfd int) bool { return readable(pidfd, 0) }

// readable waits at most the given number of milliseconds until fd can be read or is at its end.
func readable(fd, milliseconds int) bool {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	n, _ := unix.Poll(fds, milliseconds)
	return n > 0
}

// procStat is what is used of /proc/PID/stat.
type procStat struct {
	state  byte
	parent int
	start  uint64
}

func readStat(path string) (procStat, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return procStat{}, err
	}
	// The name in parentheses may hold anything, parentheses and spaces included: count from the last one.
	end := bytes.LastIndexByte(text, ')')
	fields := bytes.Fields(text[end+1:])
	if end < 0 || len(fields) < 20 || len(fields[0]) != 1 {
		return procStat{}, fmt.Errorf("read %s: unknown form", path)
	}
	parent, err1 := strconv.Atoi(string(fields[1]))
	start, err2 := strconv.ParseUint(string(fields[19]), 10, 64)
	if err := errors.Join(err1, err2); err != nil {
		return procStat{}, fmt.Errorf("read %s: %w", path, err)
	}
	return procStat{state: fields[0][0], parent: parent, start: start}, nil
}

// threadsOf lists the threads of a process.
func threadsOf(pid int) ([]int, error) {
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return nil, err
	}
	tids := make([]int, 0, len(entries))
	for _, e := range entries {
		if tid, err := strconv.Atoi(e.Name()); err == nil {
			tids = append(tids, tid)
		}
	}
	return tids, nil
}

// The bytes of a database file that SQLite locks: pending, reserved and shared (sqlite3 os.h, PENDING_BYTE).
const (
	sqliteLockStart  = 0x40000000
	sqliteLockLength = 512
)

// lockHolder asks the kernel whether another process holds one of SQLite's locks on the file. It takes no lock. The
// number is 0 for a process that cannot be seen from here.
func lockHolder(path string) (pid int, held bool, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, false, err
	}
	defer f.Close() // drops this process's own locks on the file: it has none
	lock := unix.Flock_t{Type: unix.F_WRLCK, Whence: unix.SEEK_SET, Start: sqliteLockStart, Len: sqliteLockLength}
	if err := unix.FcntlFlock(f.Fd(), unix.F_GETLK, &lock); err != nil {
		return 0, false, fmt.Errorf("ask for locks on %s: %w", path, err)
	}
	return max(int(lock.Pid), 0), lock.Type != unix.F_UNLCK, nil
}

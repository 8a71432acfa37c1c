package orthanc

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// tracer freezes a process by ptrace: it seizes and interrupts every thread. A traced thread that has stopped can only
// be set going by its tracer, or killed: neither signals nor SIGCONT move it. When the tracer dies in any way the kernel
// detaches, and all run on. All calls are made on one operating system thread, since the kernel ties tracing to it.
type tracer struct {
	target  Target
	pidfd   int
	threads map[int]*tracedThread
	holding bool
}

type tracedThread struct {
	stopped bool
	gone    bool
	signal  int // that it was about to be given: given to it on detaching
}

// pause waits a moment before a thread is looked at again. (time.Sleep would take several times as long, since it moves
// this goroutine off its thread and back.)
func pause() {
	moment := unix.NsecToTimespec(int64(30 * time.Microsecond))
	_ = unix.Nanosleep(&moment, nil)
}

func newTracer(target Target) (*tracer, error) {
	pidfd, err := target.open()
	if err != nil {
		return nil, err
	}
	return &tracer{target: target, pidfd: pidfd, threads: map[int]*tracedThread{}}, nil
}

// probeTrace says without stopping anything whether ptrace would be permitted.
func probeTrace(target Target) error {
	refused := func(format string, args ...any) error {
		return &RefusedError{MechanismPtrace, fmt.Sprintf(format, args...)}
	}
	// Process 0 does not exist. Anything but ESRCH is a filter (seccomp) that forbids the call as such.
	if err := unix.PtraceSeize(0); !errors.Is(err, unix.ESRCH) {
		return refused("the system call is forbidden here: %v", err)
	}
	if pid := tracerOf(target.PID); pid != 0 {
		return refused("process %d traces it", pid)
	}
	// Opening mem needs what attaching needs: the same user or CAP_SYS_PTRACE, and what a security module demands.
	fd, err := unix.Open(fmt.Sprintf("/proc/%d/mem", target.PID), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return refused("not permitted (another user's process, or kernel.yama.ptrace_scope): %v", err)
	}
	unix.Close(fd)
	return nil
}

// hold implements mechanism. Threads are listed until a listing taken while all known ones stood still has no new one.
func (t *tracer) hold(deadline time.Time) error {
	t.holding = true
	for {
		tids, err := threadsOf(t.target.PID)
		if err != nil {
			return fmt.Errorf("process %d: %w", t.target.PID, ErrProcessGone)
		}
		fresh := 0
		for _, tid := range tids {
			if t.threads[tid] != nil {
				continue
			}
			seized, err := t.seize(tid)
			if err != nil {
				return err
			}
			if seized {
				fresh++
			}
		}
		if fresh == 0 {
			break
		}
		if err := t.await(deadline); err != nil {
			return err
		}
	}
	// Alive now means that its number was its own all the while: what was seized is no other process.
	if ended(t.pidfd) || len(t.threads) == 0 {
		return fmt.Errorf("process %d: %w", t.target.PID, ErrProcessGone)
	}
	return nil
}

// seize attaches to a thread and asks it to stop. False: the thread has ended.
func (t *tracer) seize(tid int) (bool, error) {
	switch err := unix.PtraceSeize(tid); {
	case errors.Is(err, unix.ESRCH):
		return false, nil
	case errors.Is(err, unix.EPERM):
		stat, serr := readStat(fmt.Sprintf("/proc/%d/task/%d/stat", t.target.PID, tid))
		if serr != nil || stat.state == 'Z' || stat.state == 'X' {
			t.threads[tid] = &tracedThread{gone: true}
			return false, nil
		}
		reason := "not permitted"
		if pid := tracerOf(t.target.PID); pid != 0 {
			reason = fmt.Sprintf("process %d traces it", pid)
		}
		return false, &RefusedError{MechanismPtrace, reason}
	case err != nil:
		return false, fmt.Errorf("trace thread %d: %w", tid, err)
	}
	t.threads[tid] = &tracedThread{}
	if err := unix.PtraceInterrupt(tid); err != nil && !errors.Is(err, unix.ESRCH) {
		return false, fmt.Errorf("interrupt thread %d: %w", tid, err)
	}
	return true, nil
}

// await waits until every known thread has stopped or ended.
func (t *tracer) await(deadline time.Time) error {
	for round := 1; ; round++ {
		pending, moved := 0, false
		for tid, th := range t.threads {
			if th.stopped || th.gone {
				continue
			}
			if err := t.look(tid, th, round%64 == 0); err != nil {
				return err
			}
			if th.stopped || th.gone {
				moved = true
			} else {
				pending++
			}
		}
		switch {
		case pending == 0:
			return nil
		case time.Now().After(deadline):
			return fmt.Errorf("%d threads did not stop: %w", pending, ErrWindowTooLong)
		case !moved:
			pause()
		}
	}
}

// look takes the thread's news, if there is any. A process's first thread that has ended while others run on gives no
// news; deep looks for that.
func (t *tracer) look(tid int, th *tracedThread, deep bool) error {
	var status unix.WaitStatus
	got, err := unix.Wait4(tid, &status, unix.WALL|unix.WNOHANG, nil)
	switch {
	case errors.Is(err, unix.EINTR):
	case errors.Is(err, unix.ECHILD):
		th.gone = true
	case err != nil:
		return fmt.Errorf("wait for thread %d: %w", tid, err)
	case got == 0:
		if deep {
			stat, err := readStat(fmt.Sprintf("/proc/%d/task/%d/stat", t.target.PID, tid))
			th.gone = err != nil || stat.state == 'Z' || stat.state == 'X'
		}
	case status.Exited() || status.Signaled():
		th.gone = true
	case status.Stopped():
		th.stopped = true
		if int(status)>>16 == 0 { // no event: it is about to be given a signal
			th.signal = int(status.StopSignal())
		}
	}
	return nil
}

// died implements mechanism. A thread that was killed is not gone, nor is its process, until its tracer has taken note.
func (t *tracer) died() bool {
	for tid, th := range t.threads {
		if !th.gone {
			_ = t.look(tid, th, false)
		}
	}
	return ended(t.pidfd)
}

// verify implements mechanism. The kernel answers a tracer about a thread only while the thread stands still, and no one
// else can have set it going: an answer for each means that all stood still throughout.
func (t *tracer) verify() error {
	for tid, th := range t.threads {
		if !th.stopped {
			continue
		}
		if _, err := unix.PtraceGetEventMsg(tid); err != nil {
			// Only a kill does that, and it takes a moment to reach every thread.
			for end := time.Now().Add(100 * time.Millisecond); !t.died() && time.Now().Before(end); {
				pause()
			}
			return t.broken(fmt.Errorf("thread %d does not stand still (%v): %w", tid, err, ErrWindowBroken))
		}
	}
	return t.broken(nil)
}

// broken is err, unless the process has ended.
func (t *tracer) broken(err error) error {
	if ended(t.pidfd) {
		return fmt.Errorf("process %d: %w", t.target.PID, ErrProcessGone)
	}
	return err
}

// resume implements mechanism. A thread that has not stopped yet cannot be detached; this process's end does that.
func (t *tracer) resume() error {
	if !t.holding {
		return nil
	}
	t.holding = false
	for tid, th := range t.threads {
		if th.stopped {
			unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_DETACH, uintptr(tid), 0, uintptr(th.signal), 0, 0)
		}
	}
	return nil
}

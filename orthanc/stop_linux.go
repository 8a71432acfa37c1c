package orthanc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	startTries = 3
	startPause = 500 * time.Millisecond
	outputTail = 400 // bytes of a command's output that are kept for a message

	containerMargin = 10 * time.Second // of the limit, for the engine to say that it stopped the container
)

// stopMechanism stops Orthanc and starts it again, within a guard.
type stopMechanism struct {
	request   stopRequest
	container container // none: the unit or the commands
	pidfd     int       // -1: the process cannot be seen
	stateDir  string
	began     bool          // the stop command was run
	patience  time.Duration // of resume, for a process that still is about to end
	warnings  []string
}

func newStopMechanism(r stopRequest, target Target, stateDir string) (*stopMechanism, error) {
	s := &stopMechanism{request: r, pidfd: -1, stateDir: stateDir, patience: r.Limit}
	if r.Unit == "" && r.Container != "" {
		var err error
		if s.container, err = parseContainer(r.Container); err != nil {
			return nil, err
		}
	}
	if target.PID == 0 {
		return s, nil
	}
	pidfd, err := target.open()
	if err != nil && !errors.Is(err, ErrProcessGone) {
		return nil, err
	}
	s.pidfd = pidfd
	return s, nil
}

func (s *stopMechanism) close() {
	if s.pidfd >= 0 {
		unix.Close(s.pidfd)
	}
}

// hold implements mechanism: it stops Orthanc and waits until the process and its lock on the index are gone.
func (s *stopMechanism) hold(deadline time.Time) error {
	if s.request.Unit != "" {
		// A unit that is not active is not what runs Orthanc, and must not be started afterwards.
		if out, err := s.systemctl("is-active"); err != nil {
			return fmt.Errorf("%w: unit %s is not active: %w%s", ErrNotStopped, s.request.Unit, err, out)
		}
	}
	if s.container.name != "" {
		state, err := s.container.inspect()
		if err == nil {
			err = state.stoppable(s.container)
		}
		if err != nil {
			return fmt.Errorf("%w: %w", ErrNotStopped, err)
		}
	}
	s.began = true
	if out, err := s.stop(); err != nil {
		return fmt.Errorf("%w: %w%s", ErrNotStopped, err, out)
	}
	for !s.gone() {
		if time.Now().After(deadline) {
			return fmt.Errorf("%w: it runs %v after it was told to stop", ErrNotStopped, s.request.Limit)
		}
		time.Sleep(2 * time.Millisecond)
	}
	if stat, err := os.Stat(s.request.Index + "-wal"); err == nil && stat.Size() > 0 {
		s.warnings = append(s.warnings, "Orthanc left a WAL behind when it stopped: it was killed, or another program has the index open")
	}
	return nil
}

// died implements mechanism: here it is meant to.
func (s *stopMechanism) died() bool { return false }

// verify implements mechanism: nobody has started Orthanc meanwhile.
func (s *stopMechanism) verify() error {
	if s.held() {
		return fmt.Errorf("someone else has started Orthanc: %w", ErrWindowBroken)
	}
	return nil
}

// resume implements mechanism. It starts Orthanc, unless it runs. When the stop did not finish it waits first, since a
// process that still is about to end needs to be started too.
func (s *stopMechanism) resume() error {
	if !s.began {
		return nil
	}
	for end := time.Now().Add(s.patience); !s.gone() && s.request.Unit == ""; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			return nil // it runs
		}
	}
	return s.start()
}

// start runs the start command until it succeeds, at most three times.
func (s *stopMechanism) start() error {
	failure := &NotStartedError{By: s.request.byHand()}
	for failure.Tries < startTries {
		// systemctl start is without effect on a unit that runs, and waits for a stop that has not finished.
		if s.request.Unit == "" && s.held() {
			return nil
		}
		failure.Tries++
		out, err := s.startOnce()
		if err == nil {
			return nil
		}
		failure.Reason = err.Error() + out
		if failure.Tries < startTries {
			time.Sleep(startPause)
		}
	}
	return failure
}

func (s *stopMechanism) startOnce() (string, error) {
	if s.request.Unit != "" {
		return s.systemctl("start")
	}
	if s.container.name != "" {
		return s.run(nil, s.container.engine, "start", s.container.name)
	}
	return s.run(s.held, "/bin/sh", "-c", s.request.Start)
}

func (s *stopMechanism) stop() (string, error) {
	if s.request.Unit != "" {
		return s.systemctl("stop")
	}
	if s.container.name != "" {
		// Past this time the engine kills it, as systemd does: one that ended later would stay down.
		patience := max(1, int((s.request.Limit - containerMargin).Seconds()))
		return s.run(nil, s.container.engine, "stop", "-t", strconv.Itoa(patience), s.container.name)
	}
	return s.run(nil, "/bin/sh", "-c", s.request.Stop)
}

func (s *stopMechanism) systemctl(verb string) (string, error) {
	return s.run(nil, "systemctl", "--no-ask-password", verb, "--", s.request.Unit)
}

// gone says that the process has ended and nothing holds the index.
func (s *stopMechanism) gone() bool {
	return (s.pidfd < 0 || ended(s.pidfd)) && !s.held()
}

func (s *stopMechanism) held() bool {
	_, held, err := lockHolder(s.request.Index)
	return err == nil && held
}

// run runs a command in a session of its own, within the limit, and returns the end of its output as ": text". A command
// that has not returned is left to itself once enough says so (a server started in the foreground); past the limit it
// is killed with all that it started.
func (s *stopMechanism) run(enough func() bool, name string, args ...string) (string, error) {
	out, err := os.CreateTemp(s.stateDir, "output-*")
	if err != nil {
		return "", err
	}
	defer out.Close()
	defer os.Remove(out.Name())
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.request.Limit)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		select {
		case err := <-ended:
			if err != nil {
				err = fmt.Errorf("%s: %w", strings.Join(append([]string{name}, args...), " "), err)
			}
			return tail(out), err
		case <-ctx.Done():
			_ = unix.Kill(-cmd.Process.Pid, unix.SIGKILL)
			<-ended
			return tail(out), fmt.Errorf("%s did not return within %v", name, s.request.Limit)
		case <-time.After(5 * time.Millisecond):
			if enough != nil && enough() {
				return "", nil
			}
		}
	}
}

// tail is the end of a command's output on one line.
func tail(f *os.File) string {
	size, err := f.Seek(0, 2)
	if err != nil || size == 0 {
		return ""
	}
	text := make([]byte, min(size, outputTail))
	n, _ := f.ReadAt(text, size-int64(len(text)))
	return ": " + strings.Join(strings.Fields(strings.ToValidUTF8(string(text[:n]), "?")), " ")
}

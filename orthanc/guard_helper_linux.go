package orthanc

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// mechanism makes the process stand still, within a helper.
type mechanism interface {
	// hold returns once the process stands still. After an error resume is called.
	hold(deadline time.Time) error
	// died says whether the process has ended by itself.
	died() bool
	// verify says, before resume, whether the process stood still all the time since hold.
	verify() error
	// resume undoes hold, whole or half done. It may be called again.
	resume() error
}

const (
	ownerDied   = unix.SIGUSR1           // sent to a tracer by the kernel
	graceOfDead = 500 * time.Millisecond // for an orderly end once the owner has died; then the kernel undoes the window
	diedEvery   = 20 * time.Millisecond
	idleLimit   = time.Minute // a helper that is never told to open ends
)

// HelperMain is what this program does when its first argument is HelperCommand; args are those after it. The program's
// main (and a test's TestMain) calls it before anything else and exits with the code that it returns.
//
// It reads one request and then commands on its standard input, and answers on its standard output; see helperRequest.
// It opens one window and undoes it when told to, when its input ends, and when the bound has passed.
func HelperMain(args []string) int {
	if len(args) == 2 && args[0] == undoArgument {
		return undoAfterGuard(args[1])
	}
	if len(args) != 0 {
		return 2
	}
	runtime.LockOSThread() // ptrace is tied to the thread
	caught := make(chan os.Signal, 16)
	// Caught and dropped, not ignored: what the guard starts must not inherit that.
	signal.Notify(caught, unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGQUIT, unix.SIGPIPE, ownerDied)
	h := &helperSide{}
	if err := h.read(); err != nil {
		return 2
	}
	go func() {
		for s := range caught {
			if s == ownerDied && h.request.Mechanism == MechanismPtrace {
				time.AfterFunc(graceOfDead, func() { os.Exit(3) })
			}
		}
	}()
	return h.run()
}

// helperSide is the helper's end of the two pipes.
type helperSide struct {
	request helperRequest
	runtime *runtimeFolder // nil for a tracer without a folder
}

func (h *helperSide) read() error {
	var line []byte
	buffer := make([]byte, 4096)
	for !bytes.HasSuffix(line, []byte("\n")) {
		n, err := unix.Read(0, buffer)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || n <= 0 {
			return fmt.Errorf("read request: %w", errors.Join(err, unix.EPIPE))
		}
		line = append(line, buffer[:n]...)
	}
	return json.Unmarshal(line, &h.request)
}

func (h *helperSide) answer(a helperAnswer) {
	line, err := json.Marshal(a)
	if err != nil {
		panic("orthanc: helper answer: " + err.Error())
	}
	_, _ = unix.Write(1, append(line, '\n')) // nobody may be there to hear it
}

// Why command returned without a command.
var (
	errDeadline = errors.New("deadline passed")
	errDied     = errors.New("process died")
)

// command waits for the next one until the deadline, or until died, looked at now and then, says true.
func (h *helperSide) command(deadline time.Time, died func() bool) (byte, error) {
	for {
		left := time.Until(deadline)
		if left <= 0 {
			return 0, errDeadline
		}
		if !readable(0, int(min(left, diedEvery).Milliseconds())+1) {
			if died() {
				return 0, errDied
			}
			continue
		}
		var b [1]byte
		if n, err := unix.Read(0, b[:]); errors.Is(err, unix.EINTR) {
			continue
		} else if n <= 0 || err != nil {
			return commandEnd, nil
		}
		return b[0], nil
	}
}

func never() bool { return false }

func (h *helperSide) run() int {
	var ready helperAnswer
	m, err := h.prepare(&ready)
	if err != nil {
		ready.State = answerDone
		ready.fail(err)
		h.answer(ready)
		return 1
	}
	ready.State = answerReady
	h.answer(ready)
	if c, err := h.command(time.Now().Add(idleLimit), never); err != nil || c != commandOpen {
		return 0
	}
	done := h.window(m)
	h.answer(done)
	if s, ok := m.(*stopMechanism); ok {
		h.startAgain(s)
	}
	if done.Error != "" {
		return 1
	}
	return 0
}

// prepare does what need not be done inside the window.
func (h *helperSide) prepare(ready *helperAnswer) (mechanism, error) {
	r := &h.request
	if r.Mechanism != MechanismPtrace {
		ready.Warnings = leaveCgroups(r.Owner)
	}
	if r.StateDir != "" {
		folder, err := openRuntime(r.StateDir)
		if err != nil {
			return nil, err
		}
		said, err := folder.undoAll()
		ready.Warnings = append(ready.Warnings, said...)
		if err != nil {
			return nil, err
		}
		h.runtime = folder
	} else if r.Mechanism != MechanismPtrace {
		return nil, fmt.Errorf("%w: none was given", ErrRuntimeFolder)
	}
	switch r.Mechanism {
	case MechanismPtrace:
		m, err := newTracer(r.Target)
		if err != nil {
			return nil, err
		}
		return m, nil
	case MechanismSignal:
		m, err := newSignaller(r.Target)
		if err != nil {
			return nil, err
		}
		return m, m.permitted()
	case MechanismCgroupV1, MechanismCgroupV2:
		m, err := newFreezer(r.Mechanism, r.Target)
		if err != nil {
			return nil, err
		}
		return m, nil
	case MechanismSystemd, MechanismDocker, MechanismPodman, MechanismCommand:
		if r.Stop == nil {
			break
		}
		return newStopMechanism(*r.Stop, r.Target, r.StateDir)
	}
	return nil, fmt.Errorf("mechanism %q is unknown", r.Mechanism)
}

// window opens the window, waits, and undoes it. From the note on, whoever finds the note undoes the window.
func (h *helperSide) window(m mechanism) (done helperAnswer) {
	done.State = answerDone
	patience := h.request.Bound
	if s, ok := m.(*stopMechanism); ok {
		patience = s.request.Limit
	}
	if h.runtime != nil && h.request.Mechanism != MechanismPtrace {
		if err := h.runtime.note(h.leftover(m)); err != nil {
			done.fail(err)
			return done
		}
	}
	began := time.Now()
	if h.request.Mechanism == MechanismPtrace {
		// The last resort against a call that does not return: the kernel undoes the window.
		time.AfterFunc(h.request.Bound+time.Second, func() { os.Exit(3) })
	}
	err := m.hold(began.Add(patience))
	if err == nil {
		held := helperAnswer{State: answerHeld}
		deadline := began.Add(h.request.Bound)
		if s, ok := m.(*stopMechanism); ok {
			deadline = time.Now().Add(h.request.Bound)
			held.Warnings = s.warnings
		}
		h.answer(held)
		err = h.untilClosed(deadline, m.died)
		if err == nil {
			err = m.verify()
		}
	}
	if s, ok := m.(*stopMechanism); ok {
		done.Began = s.began
	}
	resumed := m.resume()
	done.Stood = time.Since(began)
	if resumed == nil && h.runtime != nil {
		resumed = h.runtime.forget(h.request.Token)
	}
	done.fail(errors.Join(err, resumed))
	return done
}

// untilClosed waits for the end of the window.
func (h *helperSide) untilClosed(deadline time.Time, died func() bool) error {
	switch _, err := h.command(deadline, died); err {
	case errDied:
		return fmt.Errorf("process %d: %w", h.request.Target.PID, ErrProcessGone)
	case errDeadline:
		return fmt.Errorf("%w of %v", ErrWindowTooLong, h.request.Bound)
	}
	return nil
}

// startAgain starts Orthanc again for as long as the owner asks for it.
func (h *helperSide) startAgain(s *stopMechanism) {
	for {
		c, err := h.command(time.Now().Add(10*s.request.Limit), never)
		if err != nil || c == commandEnd {
			return
		}
		if c != commandAgain {
			continue
		}
		done := helperAnswer{State: answerDone}
		done.fail(s.start())
		h.answer(done)
	}
}

// leftover is what is to be undone if this process does not do it.
func (h *helperSide) leftover(m mechanism) leftover {
	l := leftover{Token: h.request.Token, Mechanism: h.request.Mechanism, Target: h.request.Target, Boot: bootID(), Stop: h.request.Stop}
	if f, ok := m.(*freezer); ok {
		l.Group = &f.group
	}
	return l
}

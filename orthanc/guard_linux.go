package orthanc

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"
)

const (
	readyLimit = 30 * time.Second // for a helper to start, and to undo what an earlier one left; no window is open yet
	closeLimit = 5 * time.Second  // for a helper to undo a freeze and say so
)

// outcome is what became of a window.
type outcome struct {
	entered  bool // inside was run
	stood    time.Duration
	warnings []string
}

// runWindow opens the window of a request by a helper, runs inside, and undoes it. alive, if there is one, is asked after
// a window for which Orthanc was stopped; the helper is told to start it again when the answer is an error.
func runWindow(ctx context.Context, r helperRequest, alive func() error, inside func(context.Context) error) (got outcome, err error) {
	if r.Bound <= 0 {
		return got, fmt.Errorf("window of %v: %w", r.Bound, ErrWindowTooLong)
	}
	runtime.LockOSThread() // a tracer is told of the death of the thread that started it
	defer runtime.UnlockOSThread()
	o, ready, err := startHelper(ctx, r)
	if err != nil {
		return got, err
	}
	defer o.end()
	got.warnings = ready.Warnings

	began := time.Now()
	o.send(commandOpen) // from here on Orthanc stands still, or is about to
	defer context.AfterFunc(ctx, func() { o.send(commandClose) })()
	last, err := o.await(o.limit + r.Bound)
	if err == nil && last.State == answerHeld {
		got.warnings = append(got.warnings, last.Warnings...)
		got.entered = true
		last, err = o.enter(ctx, inside)
	} else if err == nil {
		err = last.err()
	}
	got.stood = last.Stood
	if alive != nil && last.Began && !errors.Is(err, ErrNotStarted) {
		err = errors.Join(err, o.confirm(alive))
		got.stood = time.Since(began)
	}
	return got, err
}

// owner is orthokeep's end of a helper.
type owner struct {
	request helperRequest
	helper  helperStart
	in      *os.File
	answers chan helperAnswer // closed when the helper has ended
	limit   time.Duration     // for the helper to undo the window
}

// startHelper starts the helper and waits until it needs nothing more than the command to open.
func startHelper(ctx context.Context, r helperRequest) (*owner, helperAnswer, error) {
	token := make([]byte, 8)
	if _, err := rand.Read(token); err != nil {
		return nil, helperAnswer{}, err
	}
	r.Token, r.Owner = hex.EncodeToString(token), os.Getpid()
	if r.Mechanism == MechanismPtrace {
		return startCommand(ctx, helperStart{cmd: tracerCommand()}, r)
	}
	var o *owner
	var ready helperAnswer
	err := errNoHelper
	for _, start := range guardStarts(r) {
		if o, ready, err = startCommand(ctx, start, r); !errors.Is(err, errNoHelper) {
			break
		}
	}
	return o, ready, err
}

// errNoHelper says that a helper could not be started, so that another way can be tried.
var errNoHelper = errors.New("the window's helper did not start")

func startCommand(ctx context.Context, start helperStart, r helperRequest) (*owner, helperAnswer, error) {
	hisIn, in, err := os.Pipe()
	if err != nil {
		return nil, helperAnswer{}, err
	}
	out, hisOut, err := os.Pipe()
	if err != nil {
		return nil, helperAnswer{}, errors.Join(err, hisIn.Close(), in.Close())
	}
	start.cmd.Stdin, start.cmd.Stdout = hisIn, hisOut
	err = start.cmd.Start()
	if err := errors.Join(hisIn.Close(), hisOut.Close()); err != nil {
		panic("orthanc: close a pipe: " + err.Error())
	}
	if err != nil {
		return nil, helperAnswer{}, errors.Join(fmt.Errorf("%w: %w", errNoHelper, err), in.Close(), out.Close())
	}
	o := &owner{request: r, helper: start, in: in, answers: make(chan helperAnswer, 64), limit: closeLimit}
	go o.listen(out)
	if err := json.NewEncoder(in).Encode(r); err != nil {
		o.end()
		return nil, helperAnswer{}, fmt.Errorf("%w: %w", errNoHelper, err)
	}
	select {
	case ready, ok := <-o.answers:
		if ok && ready.State == answerReady {
			if r.Stop != nil { // stopping, waiting for the end all the same, starting
				o.limit = (2 + startTries + 1) * r.Stop.Limit
			}
			return o, ready, nil
		}
		o.end()
		if !ok {
			return nil, ready, errNoHelper
		}
		return nil, ready, ready.err()
	case <-ctx.Done():
		o.end()
		return nil, helperAnswer{}, context.Cause(ctx)
	case <-time.After(readyLimit):
		o.end()
		return nil, helperAnswer{}, fmt.Errorf("%w within %v", errNoHelper, readyLimit)
	}
}

// listen passes answers on until the helper ends.
func (o *owner) listen(out *os.File) {
	defer close(o.answers)
	defer out.Close()
	for lines := json.NewDecoder(out); ; {
		var a helperAnswer
		if lines.Decode(&a) != nil {
			return
		}
		o.answers <- a
	}
}

// send gives the helper a command. It may have ended, which its answers tell.
func (o *owner) send(command byte) { _, _ = o.in.Write([]byte{command}) }

// await waits for the next answer. A helper that is gone, or silent for too long, leaves the window to be undone here.
func (o *owner) await(limit time.Duration) (helperAnswer, error) {
	select {
	case a, ok := <-o.answers:
		if ok {
			return a, nil
		}
		return o.died("died")
	case <-time.After(limit):
		o.helper.kill()
		return o.died("did not answer")
	}
}

// died undoes what a helper left that cannot do it any more.
func (o *owner) died(how string) (helperAnswer, error) {
	err := fmt.Errorf("the window's helper %s: %w", how, ErrWindowBroken)
	if o.request.Mechanism != MechanismPtrace { // there the kernel has done it
		_, undone := Undo(o.request.StateDir)
		err = errors.Join(err, undone)
	}
	return helperAnswer{State: answerDone, Began: true}, err
}

// enter runs inside, closes the window, and returns the helper's last answer.
func (o *owner) enter(ctx context.Context, inside func(context.Context) error) (helperAnswer, error) {
	inner, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	type word struct {
		answer helperAnswer
		err    error
	}
	last := make(chan word, 1)
	go func() { // the helper says nothing before the window has ended
		a, err := o.await(o.limit + o.request.Bound)
		if err == nil {
			err = a.err()
		}
		cancel(err)
		last <- word{a, err}
	}()
	err := ctx.Err()
	if err == nil {
		Hold(PointInside)
		err = inside(inner)
	}
	ended := ctx.Err() != nil // then the window was undone before inside returned
	o.send(commandClose)
	done := <-last
	switch {
	case done.err != nil && (err == nil || errors.Is(err, context.Canceled)):
		return done.answer, done.err
	case done.err != nil:
		return done.answer, errors.Join(done.err, err)
	case err == nil && ended:
		return done.answer, context.Cause(ctx)
	}
	return done.answer, err
}

// confirm asks whether Orthanc answers, and has it started again, three times in all.
func (o *owner) confirm(alive func() error) error {
	for try := 1; ; try++ {
		err := alive()
		if err == nil {
			return nil
		}
		if try == startTries {
			return &NotStartedError{By: o.request.Stop.byHand(), Tries: try, Reason: err.Error()}
		}
		o.send(commandAgain)
		a, err := o.await(o.limit)
		if err == nil {
			err = a.err()
		}
		if errors.Is(err, ErrNotStarted) {
			return err
		}
	}
}

// end closes the pipe, which ends the window and the helper, and waits for that.
func (o *owner) end() {
	_ = o.in.Close()
	timer := time.AfterFunc(o.limit, o.helper.kill)
	for range o.answers {
	}
	timer.Stop()
	_ = o.helper.cmd.Wait()
}

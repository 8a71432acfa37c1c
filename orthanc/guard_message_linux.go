package orthanc

import (
	"errors"
	"time"
)

// helperRequest is the line that a helper reads first.
type helperRequest struct {
	Mechanism string        `json:"mechanism"`
	Target    Target        `json:"target"`
	Bound     time.Duration `json:"bound"`
	Owner     int           `json:"owner"` // orthokeep's process
	Token     string        `json:"token"` // names this window
	StateDir  string        `json:"state_dir,omitempty"`
	Stop      *stopRequest  `json:"stop,omitempty"`
}

type stopRequest struct {
	Unit      string        `json:"unit,omitempty"`
	Container string        `json:"container,omitempty"`
	Stop      string        `json:"stop,omitempty"`
	Start     string        `json:"start,omitempty"`
	Index     string        `json:"index"`
	Limit     time.Duration `json:"limit"`
}

// byHand is the command with which a person starts Orthanc.
func (r *stopRequest) byHand() string {
	if r.Unit != "" {
		return "systemctl start " + r.Unit
	}
	if c, err := parseContainer(r.Container); err == nil {
		return c.engine + " start " + c.name
	}
	return r.Start
}

// The commands that a helper reads after its request, a byte each.
const (
	commandOpen  = 'o' // open the window
	commandClose = 'c' // undo it
	commandAgain = 'a' // start Orthanc once more: it does not answer
	commandEnd   = 0   // the end of the pipe: undo it, nobody is there to hear the answer
)

// helperAnswer is a line that a helper writes.
type helperAnswer struct {
	State    string        `json:"state"`
	Stood    time.Duration `json:"stood,omitempty"`
	Began    bool          `json:"began,omitempty"` // done: Orthanc was told to stop
	Kind     string        `json:"kind,omitempty"`  // of the error, see errorKinds
	Error    string        `json:"error,omitempty"`
	Warnings []string      `json:"warnings,omitempty"`
}

const (
	answerReady = "ready" // nothing is held; open is awaited
	answerHeld  = "held"  // Orthanc stands still
	answerDone  = "done"  // Orthanc runs, unless the error says otherwise
)

// errorKinds carries the sentinels from a helper to its owner.
var errorKinds = map[string]error{
	"refused":     ErrRefused,
	"too-long":    ErrWindowTooLong,
	"broken":      ErrWindowBroken,
	"gone":        ErrProcessGone,
	"not-stopped": ErrNotStopped,
	"not-started": ErrNotStarted,
	"open":        ErrWindowOpen,
	"folder":      ErrRuntimeFolder,
}

// fail puts an error into an answer. ErrNotStarted goes before all others, since a person must act.
func (a *helperAnswer) fail(err error) {
	if err == nil {
		return
	}
	a.Error = err.Error()
	for kind, sentinel := range errorKinds {
		if errors.Is(err, sentinel) && (a.Kind == "" || kind == "not-started") {
			a.Kind = kind
		}
	}
}

// err is the error that the helper reported.
func (a *helperAnswer) err() error {
	if a.Error == "" {
		return nil
	}
	return &helperError{a.Error, errorKinds[a.Kind]}
}

type helperError struct {
	text     string
	sentinel error
}

func (e *helperError) Error() string { return e.text }
func (e *helperError) Unwrap() error { return e.sentinel }

package orthanc

import (
	"context"
	"fmt"
	"time"
)

// Stopper is the Window that stops Orthanc and starts it again, by its systemd unit, as its container, or by the operator's
// commands.
//
// All are run by a guard (see Freeze), which starts Orthanc again when this program dies in the window. Inside runs
// once the stop command has succeeded, the process has ended, and nothing holds a lock on the index any more. A WAL
// that is there even so (Orthanc was killed, not stopped) is a warning: copy it too. Starting is tried three times, and
// is done when Alive says so.
//
// A Stopper holds no resources, and may be used again; not by two goroutines at once.
type Stopper struct {
	Unit      string // systemd unit
	Container string // docker:NAME or podman:NAME, when Unit is empty
	Stop      string // when both are empty: for /bin/sh -c; must return once Orthanc is told to stop, or has stopped
	Start     string // for /bin/sh -c; its output is kept in a file, so a daemon that it leaves should write elsewhere
	Target    Target // Orthanc's process; zero when it cannot be seen, then the index's lock tells alone
	Index     string // path of the index file

	StateDir string                          // as in Freeze
	Limit    time.Duration                   // for stopping, and again for each try to start; 0: two minutes
	Alive    func(ctx context.Context) error // nil error: the server answers. Nil: the lock on the index says that it runs
}

// String names what would be run.
func (w *Stopper) String() string {
	if w.Unit != "" {
		return fmt.Sprintf("stop and start unit %s", w.Unit)
	}
	if w.Container != "" {
		return fmt.Sprintf("stop and start container %s", w.Container)
	}
	return fmt.Sprintf("stop by %q, start by %q", w.Stop, w.Start)
}

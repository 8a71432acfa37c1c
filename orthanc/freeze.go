package orthanc

import (
	"fmt"
	"strings"
)

// Freeze is the Window that stops every thread of a running Orthanc where it is. Clients see a delay and no error.
//
// The mechanisms are tried in the order of Mechanisms until one is not refused. By ptrace, a helper process (this
// program again, see HelperMain) traces every thread, and the kernel lets them run on when the helper dies in any way.
// By the cgroup freezer or SIGSTOP nothing in the kernel does that, so the helper is a guard: it leaves this program's
// cgroup and session, and undoes the window within a second of this program's death. Where systemd runs, and this program
// is root's, the guard is a service of its own, and systemd undoes the window when the guard is killed too, even together
// with this program. Elsewhere what is left when both are killed at once is undone by Undo.
//
// A Freeze holds no resources, and may be used again; not by two goroutines at once.
type Freeze struct {
	Target     Target
	StateDir   string   // runtime folder, for one user (0700), made when missing; the same for every run of this user
	Mechanisms []string // in the order to try; nil: those that Permitted finds
}

// String names the process and the mechanism that would be tried first.
func (w *Freeze) String() string {
	by := w.Mechanisms
	if by == nil {
		by, _ = w.Permitted()
	}
	if len(by) == 0 {
		return fmt.Sprintf("freeze process %d: not permitted", w.Target.PID)
	}
	text := fmt.Sprintf("freeze process %d by %s", w.Target.PID, by[0])
	if len(by) > 1 {
		text += ", else " + strings.Join(by[1:], ", ")
	}
	return text
}

package orthanctest

import (
	"os"
	"syscall"
)

// attributes makes Orthanc end with its parent, so that no test leaves one behind, and keeps the terminal's Ctrl-C
// from it, so that it is stopped in order.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}

// wake continues a process that may be stopped.
func wake(p *os.Process) { _ = p.Signal(syscall.SIGCONT) }

//go:build !linux

package orthanc

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
)

// launch starts a process. Here it does not end when this one is killed.
func launch(cmd *exec.Cmd, _ bool) (*child, error) {
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	c := &child{process: cmd.Process, done: make(chan struct{})}
	go func() {
		defer close(c.done)
		c.ended = cmd.Wait()
	}()
	return c, nil
}

// network is always nil here: this machine's.
type network struct{}

func (*network) dial(ctx context.Context, kind, address string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, kind, address)
}

func (*network) close() error { return nil }

func killGroup(p *os.Process) error { return p.Kill() }

// lockScratch marks a scratch folder. Here nobody looks at the mark.
func lockScratch(dir string) (*os.File, error) {
	return os.OpenFile(filepath.Join(dir, scratchLock), os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
}

// abandoned is not known here.
func abandoned(string) bool { return false }

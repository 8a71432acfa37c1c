package orthanc

import (
	"context"
	"fmt"
	"net"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// dialInside connects to an address as a process sees it: from its network namespace, where the loopback address is that of its
// container. It works whatever ports the engine publishes. It needs to be root's.
func dialInside(ctx context.Context, pid int, network, address string) (net.Conn, error) {
	there, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", pid))
	if err != nil {
		return nil, err
	}
	defer there.Close()
	type answer struct {
		conn net.Conn
		err  error
	}
	answers := make(chan answer, 1)
	go func() {
		// The namespace is the thread's. It is not unlocked, so that the thread ends with this goroutine.
		runtime.LockOSThread()
		if err := unix.Setns(int(there.Fd()), unix.CLONE_NEWNET); err != nil {
			answers <- answer{nil, fmt.Errorf("enter the network of process %d: %w", pid, err)}
			return
		}
		conn, err := new(net.Dialer).DialContext(ctx, network, address) // an address and no name: the socket is this thread's
		answers <- answer{conn, err}
	}()
	a := <-answers
	return a.conn, a.err
}

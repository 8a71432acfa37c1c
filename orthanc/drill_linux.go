package orthanc

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// launch starts a process that the kernel kills when this one dies in any way, in a session of its own, so that a terminal's
// Ctrl-C does not reach it. Where it is permitted (root) the process gets a network of its own, with nothing but a loopback
// interface: nobody else reaches its ports, and it reaches nobody. Not when it is to share this machine's.
func launch(cmd *exec.Cmd, shared bool) (*child, error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
	c := &child{done: make(chan struct{})}
	started := make(chan error)
	go func() {
		// The process dies with the thread that started it, so this goroutine keeps its thread until then.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(c.done)
		if !shared {
			c.network = newNetwork()
		}
		err := c.network.within(cmd.Start)
		if err != nil {
			err = errors.Join(err, c.network.close())
		}
		started <- err
		if err == nil {
			c.ended = cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	c.process = cmd.Process
	return c, nil
}

// network is a network namespace. The methods of nil are those of this process's own.
type network struct{ namespace *os.File }

const ownNamespace = "/proc/thread-self/ns/net"

// newNetwork makes a network with a loopback interface that is up; nil where that is not permitted.
func newNetwork() (n *network) {
	_ = keepNamespace(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return err
		}
		namespace, err := os.Open(ownNamespace)
		if err != nil {
			return err
		}
		if err := raiseLoopback(); err != nil {
			return errors.Join(err, namespace.Close())
		}
		n = &network{namespace}
		return nil
	})
	return n
}

// keepNamespace does something that changes the network of this thread, and undoes the change.
func keepNamespace(do func() error) error {
	runtime.LockOSThread()
	before, err := os.Open(ownNamespace)
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	defer before.Close()
	err = do()
	// Who may not go back has not got away either.
	if back := unix.Setns(int(before.Fd()), unix.CLONE_NEWNET); back != nil && !errors.Is(back, unix.EPERM) {
		return errors.Join(err, back) // the thread is of no use any more: it stays locked, and ends with its goroutine
	}
	runtime.UnlockOSThread()
	return err
}

// within does something in the network. Goroutines that it starts are not in it.
func (n *network) within(do func() error) error {
	if n == nil {
		return do()
	}
	return keepNamespace(func() error {
		if err := unix.Setns(int(n.namespace.Fd()), unix.CLONE_NEWNET); err != nil {
			return err
		}
		return do()
	})
}

// dial connects within the network. address holds numbers: then the socket is made by this goroutine.
func (n *network) dial(ctx context.Context, kind, address string) (conn net.Conn, err error) {
	err = n.within(func() error {
		var d net.Dialer
		conn, err = d.DialContext(ctx, kind, address)
		return err
	})
	return conn, err
}

func (n *network) close() error {
	if n == nil {
		return nil
	}
	if err := n.namespace.Close(); !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}

func raiseLoopback() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, request)
}

// killGroup kills a process that launch started, with those that it started.
func killGroup(p *os.Process) error { return unix.Kill(-p.Pid, unix.SIGKILL) }

// lockScratch marks a scratch folder as in use until the file is closed, or this process dies.
func lockScratch(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "new"+scratchLock), os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err == nil {
		err = os.Rename(f.Name(), filepath.Join(dir, scratchLock)) // from here on it can be swept
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// abandoned says whether a folder is a scratch folder of this user's whose process has died.
func abandoned(dir string) bool {
	info, err := os.Lstat(dir)
	if err != nil || !info.IsDir() {
		return false
	}
	if uid, _ := fileOwner(info); uid != os.Geteuid() || info.Mode()&fs.ModePerm != 0o700 {
		return false
	}
	f, err := os.OpenFile(filepath.Join(dir, scratchLock), os.O_RDWR|unix.O_NOFOLLOW, 0)
	if err != nil {
		return false
	}
	defer f.Close()
	return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil
}

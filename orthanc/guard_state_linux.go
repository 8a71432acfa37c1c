package orthanc

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// leftover is the note of an open window that the kernel would not undo: window-TOKEN.json in the runtime folder.
type leftover struct {
	Token     string        `json:"token"`
	Mechanism string        `json:"mechanism"`
	Target    Target        `json:"target"`
	Boot      string        `json:"boot"` // the kernel's boot_id: after a restart no process is frozen
	Group     *freezerGroup `json:"group,omitempty"`
	Stop      *stopRequest  `json:"stop,omitempty"`
}

// Undo puts right what windows left behind whose orthokeep and guard were both killed: it sets Orthanc going, or starts
// it. It returns one line for each, to be shown. Notes are kept in the runtime folder that the windows were given; one
// that does not exist is no error. Call it when orthokeep starts, and for `orthokeep undo`.
//
// A window that is open now, of another run, is left alone: Undo waits five seconds for its end and then returns
// ErrWindowOpen.
func Undo(stateDir string) ([]string, error) {
	if _, err := os.Stat(stateDir); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	folder, err := openRuntime(stateDir)
	if err != nil {
		return nil, err
	}
	defer folder.close()
	return folder.undoAll()
}

// runtimeFolder is a locked runtime folder. A guard holds the lock for as long as its window is open, and the lock goes
// with the process: whoever has it knows that every note is of a guard that died, and that no other window is open.
type runtimeFolder struct {
	dir  string
	lock *os.File
}

const (
	runtimeWait  = 5 * time.Second
	undoPatience = 5 * time.Second // for a process that was told to stop when its guard was killed
)

// openRuntime makes the folder, sees that it belongs to this user alone (notes hold commands), and locks it.
func openRuntime(dir string) (*runtimeFolder, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRuntimeFolder, err)
	}
	var stat unix.Stat_t
	if err := unix.Lstat(dir, &stat); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRuntimeFolder, err)
	}
	if stat.Mode&unix.S_IFMT != unix.S_IFDIR || int(stat.Uid) != os.Geteuid() || stat.Mode&0o077 != 0 {
		return nil, fmt.Errorf("%w: %s must be a folder of this user with mode 0700", ErrRuntimeFolder, dir)
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRuntimeFolder, err)
	}
	for end := time.Now().Add(runtimeWait); ; time.Sleep(5 * time.Millisecond) {
		err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return &runtimeFolder{dir, lock}, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			return nil, errors.Join(fmt.Errorf("lock %s: %w", lock.Name(), err), lock.Close())
		}
		if time.Now().After(end) {
			return nil, errors.Join(fmt.Errorf("%w: %s is locked", ErrWindowOpen, lock.Name()), lock.Close())
		}
	}
}

func (r *runtimeFolder) close() { _ = r.lock.Close() }

func (r *runtimeFolder) path(token string) string {
	return filepath.Join(r.dir, "window-"+token+".json")
}

// note writes the note. It is not synced: after a loss of power there is nothing to undo.
func (r *runtimeFolder) note(l leftover) error {
	text, err := json.Marshal(l)
	if err != nil {
		return err
	}
	part := filepath.Join(r.dir, "part")
	if err := os.WriteFile(part, text, 0o600); err != nil {
		return fmt.Errorf("note the window: %w", err)
	}
	if err := os.Rename(part, r.path(l.Token)); err != nil {
		return fmt.Errorf("note the window: %w", err)
	}
	return nil
}

func (r *runtimeFolder) forget(token string) error {
	if err := os.Remove(r.path(token)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("forget the window: %w", err)
	}
	return nil
}

// undoAll undoes every window of which there is a note. A note that could not be undone stays.
func (r *runtimeFolder) undoAll() ([]string, error) {
	paths, err := filepath.Glob(r.path("*"))
	if err != nil {
		return nil, err
	}
	var said []string
	var failed []error
	for _, path := range paths {
		line, err := undoNote(path)
		if line != "" {
			said = append(said, line)
		}
		if err == nil {
			err = os.Remove(path)
		}
		if err != nil {
			failed = append(failed, err)
		}
	}
	return said, errors.Join(failed...)
}

func undoNote(path string) (string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	var l leftover
	if err := json.Unmarshal(text, &l); err != nil {
		return "", fmt.Errorf("note of a window %s cannot be read, see whether Orthanc runs and remove it: %w", path, err)
	}
	return l.undo(filepath.Dir(path))
}

// undo sets going or starts what the note is about. It is for a window that nobody else has open.
func (l leftover) undo(dir string) (string, error) {
	switch l.Mechanism {
	case MechanismSystemd, MechanismDocker, MechanismPodman, MechanismCommand:
		if l.Stop == nil {
			return "", fmt.Errorf("note of window %s says nothing about starting", l.Token)
		}
		return l.undoStop(dir)
	}
	if l.Boot != bootID() {
		return "", nil
	}
	s, err := newSignaller(l.Target)
	if errors.Is(err, ErrProcessGone) {
		return fmt.Sprintf("process %d, left standing by a window, has ended since", l.Target.PID), l.thawEmpty()
	}
	if err != nil {
		return "", err
	}
	defer unix.Close(s.pidfd)
	if l.Group != nil {
		err = l.Group.thaw()
	} else {
		err = s.resume()
	}
	return fmt.Sprintf("process %d was left standing by a window (%s); it runs again", l.Target.PID, l.Mechanism), err
}

// thawEmpty thaws a group whose process was killed while it was frozen: its children may be in it still.
func (l leftover) thawEmpty() error {
	if l.Group == nil {
		return nil
	}
	return l.Group.thaw()
}

// undoStop starts what was stopped. Whether it was stopped at all cannot be known, so one that runs is left alone.
func (l leftover) undoStop(dir string) (string, error) {
	target := l.Target
	if l.Boot != bootID() {
		target = Target{}
	}
	s, err := newStopMechanism(*l.Stop, target, dir)
	if err != nil {
		return "", err
	}
	defer s.close()
	s.began, s.patience = true, undoPatience
	if err := s.resume(); err != nil {
		return "", err
	}
	return "Orthanc, stopped by a window that was cut off, runs again (" + s.request.byHand() + ")", nil
}

func bootID() string {
	text, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(text))
}

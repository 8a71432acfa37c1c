package orthanc

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// SiteOptions say which Orthanc is meant and what may be done to it.
type SiteOptions struct {
	Configuration string // the file or folder that Orthanc is started with; or docker:NAME or podman:NAME, the container that it runs in
	Window        string // ModeAuto, ModeFreeze, ModeStop or ModeNone
	Unit          string // systemd unit; empty: that of the process
	Stop, Start   string // commands, in the place of a unit
	StateDir      string // runtime folder of open windows, 0700
}

// Site is an Orthanc as it was found: what a backup would do with it.
type Site struct {
	Configuration *Configuration
	Layout        *Layout
	Extra         *ExtraFiles
	Process       *Process // nil when nothing holds the index
	Choice        Choice

	options   SiteOptions
	client    *http.Client
	container container // in which it runs, where that was named
	sight     *sight    // nil: not in a container
}

// Survey reads the configuration, refuses what cannot be backed up, and finds the process and the window. It changes nothing.
func Survey(o SiteOptions) (*Site, error) {
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, // this machine's own server, whose certificate names another host
	}
	s := &Site{options: o, client: &http.Client{Timeout: 5 * time.Second, Transport: transport}}
	var err error
	if isContainer(o.Configuration) {
		transport.DialContext = s.dial
		err = s.readInside()
	} else {
		err = s.readOutside()
	}
	if err != nil {
		return nil, err
	}
	if err := s.delayedElsewhere(); err != nil {
		return nil, err
	}
	if s.Extra, err = ListExtraFiles(s.Configuration, s.workingFolder()); err != nil {
		return nil, err
	}
	s.Choice, err = s.choose(o.Window)
	return s, err
}

// readOutside reads the configuration of a server of this machine, and finds its process.
func (s *Site) readOutside() (err error) {
	if s.Configuration, err = ReadConfiguration(s.options.Configuration, nil); err != nil {
		return err
	}
	if s.Layout, err = CheckLayout(s.Configuration); err != nil {
		return err
	}
	if err := s.findProcess(); err != nil || s.Process == nil {
		return err
	}
	return s.readAsProcess() // now with the variables and the folder of Orthanc itself
}

// readInside finds the process of a server in a container, and reads its configuration as the process sees it.
func (s *Site) readInside() (err error) {
	if s.container, err = parseContainer(s.options.Configuration); err != nil {
		return err
	}
	at, process, path, err := s.container.look()
	if err != nil {
		return err
	}
	s.sight, s.Process = &at, process
	env, err := process.Environment()
	if err != nil {
		return err
	}
	if s.Configuration, err = readConfiguration(s.sight, path, env); err != nil {
		return err
	}
	if s.Layout, err = CheckLayout(s.Configuration); err != nil {
		return err
	}
	if p, err := FindProcess(s.Layout.Index); err != nil || p.Target != process.Target {
		return errors.Join(fmt.Errorf("%w: container %v: process %d has an index open, and not the one that its configuration names", ErrConfiguration, s.container, process.PID), err)
	}
	return nil
}

// dial reaches the server in its container, whose process may be another one since it was last looked for.
func (s *Site) dial(ctx context.Context, network, address string) (net.Conn, error) {
	state, err := s.container.inspect()
	if err != nil {
		return nil, err
	}
	return dialInside(ctx, state.State.Pid, network, address)
}

// findProcess looks for the process that holds the index; none is no error, unless a container was named.
func (s *Site) findProcess() error {
	if s.sight != nil {
		at, process, _, err := s.container.look()
		if err != nil {
			return err
		}
		*s.sight, s.Process = at, process
		return nil
	}
	p, err := FindProcess(s.Layout.Index)
	if errors.Is(err, ErrNoProcess) || errors.Is(err, ErrNotSupported) {
		s.Process = nil
		return nil
	}
	s.Process = p
	return err
}

// readAsProcess reads the configuration again with the environment of the process, where that may be looked into.
func (s *Site) readAsProcess() error {
	env, err := s.Process.Environment()
	if err != nil {
		return nil // not ours to read: what this process knows has to do
	}
	c, err := ReadConfiguration(s.options.Configuration, env)
	if err != nil {
		return err
	}
	s.Configuration = c
	index := s.Layout.Index
	if s.Layout, err = CheckLayout(c); err != nil {
		return err
	}
	if s.Layout.Index != index {
		return s.findProcess()
	}
	return nil
}

// choose finds the window anew: after a stop and start the process is another one.
func (s *Site) choose(mode string) (Choice, error) {
	o := WindowOptions{Mode: mode, Index: s.Layout.Index, StateDir: s.options.StateDir,
		Unit: s.options.Unit, Stop: s.options.Stop, Start: s.options.Start, Alive: s.alive}
	if s.Process != nil {
		o.PID = s.Process.PID
	}
	if s.sight != nil {
		o.Container = s.container.String()
		if c := s.Configuration; !s.sight.mounted(c.IndexDirectory) || !s.sight.mounted(c.StorageDirectory) {
			o.Unstoppable = "index or storage directory lies in the container itself, out of reach once it is stopped: keep both in a volume"
		}
	}
	return Choose(o)
}

// alive asks the server whether it answers. Without an HTTP server that could be asked, the process is all there is to see.
func (s *Site) alive(ctx context.Context) error {
	h := s.Configuration.HTTP
	if !h.Enabled || h.ClientCertificate {
		if _, held, err := lockHolder(s.Layout.Index); err != nil || !held {
			return errors.Join(err, ErrNoProcess)
		}
		return nil
	}
	_, err := s.get(ctx, "/system")
	return err
}

// get asks the server's REST API.
func (s *Site) get(ctx context.Context, path string) ([]byte, error) {
	h := s.Configuration.HTTP
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, h.URL(path), nil)
	if err != nil {
		return nil, err
	}
	h.Authorize(request)
	answer, err := s.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %s", path, answer.Status)
	}
	return io.ReadAll(io.LimitReader(answer.Body, 1<<20))
}

// version asks for the server's version and plug-ins; empty when it does not answer.
func (s *Site) version(ctx context.Context) (version string, plugins []string) {
	var system struct{ Version string }
	if raw, err := s.get(ctx, "/system"); err == nil && json.Unmarshal(raw, &system) == nil {
		version = system.Version
	}
	if raw, err := s.get(ctx, "/plugins"); err == nil {
		_ = json.Unmarshal(raw, &plugins)
	}
	return version, plugins
}

// stagingFolder returns the private folder for copies: beside the storage directory, so that links and reflinks work, or
// below the cache where that may not be written.
func (s *Site) stagingFolder(name, cache string) (string, error) {
	beside := filepath.Join(filepath.Dir(s.Layout.Storage), ".orthokeep-"+name)
	var errs []error
	for _, dir := range []string{beside, filepath.Join(cache, "staging-"+name)} {
		if dir == beside && (!sameDevice(filepath.Dir(dir), s.Layout.Storage) || !s.sight.mounted(s.Configuration.StorageDirectory)) {
			continue
		}
		if err := freshFolder(dir); err != nil {
			errs = append(errs, err)
			continue
		}
		return dir, nil
	}
	return "", fmt.Errorf("make a staging folder: %w", errors.Join(errs...))
}

// freshFolder sweeps what an earlier run left and makes dir, 0700. A link in its place is not followed.
func freshFolder(dir string) error {
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	return os.Mkdir(dir, 0o700)
}

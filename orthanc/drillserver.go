package orthanc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	drillStartBound   = 60 * time.Second // from the start of the process to its first answer
	drillStopBound    = 20 * time.Second // from SIGTERM to SIGKILL
	drillRequestBound = time.Minute      // for an answer, and as long again for every 64 MiB that are to come
	versionBound      = 10 * time.Second

	maxAnswer = 1 << 20 // bytes of JSON
	maxLog    = 1 << 20 // bytes of a log that are looked at
)

// FindOrthanc returns the path of an Orthanc that can be run: the one named, else the installed one. Its error matches
// ErrNoOrthanc when there is none, or it does not run (a library is missing).
func FindOrthanc(named string) (string, error) {
	places := []string{named}
	if named == "" {
		places = []string{"Orthanc", "/usr/sbin/Orthanc", "/usr/local/sbin/Orthanc", "/usr/local/bin/Orthanc"}
	}
	for _, place := range places {
		path, err := exec.LookPath(place)
		if err == nil {
			path, err = filepath.Abs(path)
		}
		if err != nil {
			continue
		}
		ctx, cancel := context.WithTimeout(context.Background(), versionBound)
		defer cancel()
		if out, err := exec.CommandContext(ctx, path, "--version").CombinedOutput(); err != nil {
			return "", fmt.Errorf("%w: %s --version: %w: %s", ErrNoOrthanc, path, err, lastLine(string(out)))
		}
		return path, nil
	}
	if named != "" {
		return "", fmt.Errorf("%w: %s is no program", ErrNoOrthanc, named)
	}
	return "", ErrNoOrthanc
}

// A child is a process that ends with this one.
type child struct {
	process *os.Process
	network *network      // the process's own; nil: this machine's
	done    chan struct{} // closed when it has ended
	ended   error         // read after done
}

// drillServer is an Orthanc that runs for a drill, and a client of it. Requests may be made at once.
type drillServer struct {
	*child
	access drillAccess
	client *http.Client
}

// drillStart says how the server of a drill is started.
type drillStart struct {
	binary         string
	dir            string // of its configuration and log
	storage, index string // folders
	shared         bool   // in the network of this machine, even if it might have its own
}

// start starts Orthanc and waits for its first answer.
func (o drillStart) start(ctx context.Context) (*drillServer, error) {
	config := filepath.Join(o.dir, "orthanc.json")
	for try := 1; ; try++ {
		access, err := newDrillAccess()
		if err != nil {
			return nil, fmt.Errorf("start Orthanc: %w", err)
		}
		if err := writeDrillConfiguration(config, drillSettings(access, o.storage, o.index)); err != nil {
			return nil, fmt.Errorf("start Orthanc: %w", err)
		}
		s, err := o.run(ctx, access, config)
		// A port that was free a moment ago may be taken by now.
		if err == nil || try == 3 || ctx.Err() != nil || !taken(access.port) {
			return s, err
		}
	}
}

func taken(port int) bool {
	l, err := net.Listen("tcp", net.JoinHostPort("", strconv.Itoa(port)))
	if err != nil {
		return true
	}
	l.Close()
	return false
}

func (o drillStart) run(ctx context.Context, access drillAccess, config string) (*drillServer, error) {
	log := filepath.Join(o.dir, "orthanc.log")
	out, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("start Orthanc: %w", err)
	}
	defer out.Close()
	cmd := exec.Command(o.binary, "--no-jobs", config)
	cmd.Dir = o.dir
	cmd.Stdout, cmd.Stderr = out, out
	process, err := launch(cmd, o.shared)
	if err != nil {
		return nil, fmt.Errorf("start Orthanc: %w", err)
	}
	transport := &http.Transport{DialContext: process.network.dial, DisableCompression: true, MaxIdleConnsPerHost: drillWorkers}
	s := &drillServer{child: process, access: access, client: &http.Client{Transport: transport}}
	if err := s.wait(ctx); err != nil {
		err = fmt.Errorf("start Orthanc on the restored snapshot: %w%s", err, logged(log))
		return nil, errors.Join(err, s.kill())
	}
	return s, nil
}

// wait returns when the server answers with its name.
func (s *drillServer) wait(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, drillStartBound, fmt.Errorf("no answer within %v", drillStartBound))
	defer cancel()
	for {
		if system, err := s.system(ctx); err == nil && system.Name == s.access.name {
			return nil
		}
		select {
		case <-s.done:
			return s.gone()
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// gone is the error of a server that has ended by itself.
func (s *drillServer) gone() error {
	if s.ended == nil {
		return errors.New("the server ended by itself")
	}
	return fmt.Errorf("the server ended by itself: %w", s.ended)
}

func (s *drillServer) running() bool {
	select {
	case <-s.done:
		return false
	default:
		return true
	}
}

// stop ends the server in good order, or by force when it does not end. It says whether force was needed.
func (s *drillServer) stop() (forced bool, err error) {
	s.client.CloseIdleConnections()
	if !s.running() {
		return false, s.kill()
	}
	if err := s.process.Signal(syscall.SIGTERM); err == nil {
		select {
		case <-s.done:
			return false, s.kill()
		case <-time.After(drillStopBound):
		}
	}
	return true, s.kill()
}

// kill ends the process, and what it may have started, by force. It does nothing to one that has ended.
func (s *drillServer) kill() error {
	s.client.CloseIdleConnections()
	if s.running() {
		_ = killGroup(s.process)
	}
	select {
	case <-s.done:
		return s.network.close()
	case <-time.After(drillStopBound):
		return errors.Join(fmt.Errorf("process %d of Orthanc does not end", s.process.Pid), s.network.close())
	}
}

// drillSystem is what a drill wants of /system.
type drillSystem struct{ Name, Version string }

func (s *drillServer) system(ctx context.Context) (v drillSystem, err error) {
	return v, s.getJSON(ctx, "/system", &v)
}

// drillStatistics is what a drill wants of /statistics.
type drillStatistics struct{ CountPatients, CountStudies, CountSeries, CountInstances int64 }

func (s *drillServer) statistics(ctx context.Context) (v drillStatistics, err error) {
	return v, s.getJSON(ctx, "/statistics", &v)
}

func (s *drillServer) getJSON(ctx context.Context, path string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, drillRequestBound)
	defer cancel()
	response, err := s.get(ctx, path)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: status %d", path, response.StatusCode)
	}
	if err := json.NewDecoder(io.LimitReader(response.Body, maxAnswer)).Decode(into); err != nil {
		return fmt.Errorf("GET %s: %w", path, err)
	}
	return nil
}

// get makes a request. The caller closes the body.
func (s *drillServer) get(ctx context.Context, path string) (*http.Response, error) {
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(s.access.port))
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+path, nil)
	if err != nil {
		return nil, err
	}
	request.SetBasicAuth(s.access.user, s.access.password)
	return s.client.Do(request)
}

// logged returns, for the end of a message, the last error in a log of Orthanc's start, else its last line: no patient has been
// looked at by then.
func logged(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxLog))
	if err != nil {
		return ""
	}
	told := lastLine(string(text))
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "E") {
			told = oneLine(strings.TrimSpace(line))
		}
	}
	if told == "" {
		return ""
	}
	return "; its log: " + told
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return oneLine(strings.TrimSpace(lines[len(lines)-1]))
}

package orthanctest

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	startBound = 30 * time.Second // for /system to answer after the process has started
	stopBound  = 30 * time.Second // from SIGTERM to SIGKILL
)

// Options of a server under test. The zero value is an Orthanc with one folder for index and storage, DICOM off.
type Options struct {
	Dir        string         // scratch folder, made when absent; Start takes a temporary one when empty
	SplitIndex bool           // IndexDirectory apart from StorageDirectory
	Dicom      bool           // the DICOM server on, at a free port
	Settings   map[string]any // further settings of the configuration; they win over those written here, nil removes one

	// Config, when not empty, is a configuration file or folder to start with as it is; nothing is written then, and
	// Port is the HTTP port that it states. StorageDir, IndexDir and DicomPort of the server are empty.
	Config string
	Port   int

	Args []string // further arguments of the command line, as --no-jobs
	Env  []string // further environment, as NAME=value
}

// Server is one Orthanc. Its methods may be called from several goroutines, but Stop, Kill and Restart from one.
type Server struct {
	binary, name string
	options      Options
	config, log  string
	storage      string
	index        string
	port, dicom  int
	client       *http.Client

	command *exec.Cmd
	done    chan struct{} // closed when the process has ended
	ended   error         // of the process; read after done
}

// Start starts an Orthanc that is stopped when the test ends. It skips the test, or in CI fails it, where there is
// none. When the test fails, the end of the server's log is shown.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	binary := Need(t)
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	s, err := run(t.Context(), binary, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("log of Orthanc %s:\n%s", s.config, s.LogTail())
		}
	})
	return s
}

// Run starts an Orthanc in o.Dir and returns once it answers. The caller stops it. On Linux it is killed with the
// process that started it. ctx bounds the start only.
func Run(ctx context.Context, o Options) (*Server, error) {
	binary, err := Find()
	if err != nil {
		return nil, err
	}
	return run(ctx, binary, o)
}

func run(ctx context.Context, binary string, o Options) (*Server, error) {
	if o.Dir == "" {
		return nil, errors.New("start Orthanc: no folder named")
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, err
	}
	s := &Server{
		binary: binary, name: "test-" + rand.Text()[:10], options: o,
		log: filepath.Join(dir, "orthanc.log"), config: o.Config, port: o.Port,
		// Each request has its own connection: Orthanc closes one that idles for half a second, and a POST that meets this cannot be repeated.
		client: &http.Client{Timeout: 2 * time.Minute, Transport: &http.Transport{DisableKeepAlives: true, DisableCompression: true}},
	}
	if o.Config == "" {
		s.config = filepath.Join(dir, "orthanc.json")
		s.storage = filepath.Join(dir, "storage")
		s.index = s.storage
		if o.SplitIndex {
			s.index = filepath.Join(dir, "index")
		}
	}
	for try := 0; ; try++ {
		if err := s.configure(); err != nil {
			return nil, err
		}
		err := s.start(ctx)
		if err == nil {
			return s, nil
		}
		// A port that was free a moment ago may be taken by now.
		if o.Config != "" || try == 2 || ctx.Err() != nil {
			return nil, err
		}
	}
}

// configure writes the configuration with free ports, unless one was given.
func (s *Server) configure() error {
	if s.options.Config != "" {
		return os.MkdirAll(filepath.Dir(s.log), 0o700)
	}
	for _, dir := range []string{s.storage, s.index} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	var err error
	if s.port, s.dicom, err = freePorts(); err != nil {
		return err
	}
	settings := map[string]any{
		"Name": s.name, "StorageDirectory": s.storage, "IndexDirectory": s.index,
		"HttpPort": s.port, "DicomPort": s.dicom, "DicomServerEnabled": s.options.Dicom,
		"RemoteAccessAllowed": false, "MaximumStorageCacheSize": 0, // what is read comes from the disk
		"AuthenticationEnabled": false, "HttpBindAddresses": []string{"127.0.0.1"},
	}
	for key, value := range s.options.Settings {
		settings[key] = value
		if value == nil {
			delete(settings, key)
		}
	}
	if name, ok := settings["Name"].(string); ok {
		s.name = name
	}
	text, err := json.MarshalIndent(settings, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(s.config, text, 0o600)
}

// freePorts returns two loopback ports that were free just now.
func freePorts() (http, dicom int, err error) {
	var ports [2]int
	for i := range ports {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return 0, 0, err
		}
		defer l.Close()
		ports[i] = l.Addr().(*net.TCPAddr).Port
	}
	return ports[0], ports[1], nil
}

// FreePort returns a loopback port that was free just now, for a configuration that the caller writes.
func FreePort() (int, error) {
	port, _, err := freePorts()
	return port, err
}

// start starts the process and waits until it answers.
func (s *Server) start(ctx context.Context) error {
	log, err := os.OpenFile(s.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	command := exec.Command(s.binary, append(append([]string(nil), s.options.Args...), s.config)...)
	command.Stdout, command.Stderr = log, log
	command.Env = append(os.Environ(), s.options.Env...)
	command.SysProcAttr = attributes()
	s.command, s.done = command, make(chan struct{})

	started := make(chan error)
	go func() {
		// On Linux the process dies with the thread that started it, so this goroutine keeps its thread.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := command.Start()
		started <- err
		if err == nil {
			s.ended = command.Wait()
		}
		close(s.done)
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("start Orthanc: %w", err)
	}
	if err := s.wait(ctx); err != nil {
		_ = s.Kill()
		return fmt.Errorf("start Orthanc: %w; its log ends:\n%s", err, s.LogTail())
	}
	return nil
}

// wait returns when /system answers with the name of this server.
func (s *Server) wait(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startBound)
	defer cancel()
	for {
		system, err := s.System()
		switch {
		case err == nil && (s.options.Config != "" || system.Name == s.name):
			return nil
		case err == nil:
			return errors.New("another server has its port")
		}
		select {
		case <-s.done:
			return fmt.Errorf("it ended: %v", s.ended)
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// Running says whether the process is there; a frozen one is.
func (s *Server) Running() bool {
	select {
	case <-s.done:
		return false
	default:
		return true
	}
}

// Stop stops the server as a service manager does, by SIGTERM, waking it first in case it is frozen. After 30 seconds
// it is killed, which is an error. A server that has already ended is no error.
func (s *Server) Stop() error {
	if !s.Running() {
		return nil
	}
	_ = s.command.Process.Signal(syscall.SIGTERM)
	wake(s.command.Process)
	select {
	case <-s.done:
		return nil
	case <-time.After(stopBound):
		_ = s.Kill()
		return fmt.Errorf("stop Orthanc: killed after %v", stopBound)
	}
}

// Kill ends the process by SIGKILL and waits for its end.
func (s *Server) Kill() error {
	if s.Running() {
		_ = s.command.Process.Kill()
	}
	select {
	case <-s.done:
		return nil
	case <-time.After(stopBound):
		return errors.New("kill Orthanc: it did not end")
	}
}

// Restart stops the server if it runs, and starts it again with the same configuration.
func (s *Server) Restart(ctx context.Context) error {
	if err := s.Stop(); err != nil {
		return err
	}
	return s.start(ctx)
}

// URL returns http://127.0.0.1:PORT, without a slash at its end.
func (s *Server) URL() string { return fmt.Sprintf("http://127.0.0.1:%d", s.port) }

// PID returns the number of the process that was started last.
func (s *Server) PID() int { return s.command.Process.Pid }

// ConfigPath returns the configuration file or folder that the server was started with.
func (s *Server) ConfigPath() string { return s.config }

// StorageDir returns the storage directory, or "" where the configuration was given.
func (s *Server) StorageDir() string { return s.storage }

// IndexDir returns the folder of the index, or "" where the configuration was given.
func (s *Server) IndexDir() string { return s.index }

// DicomPort returns the port of the DICOM server, which listens only with Options.Dicom.
func (s *Server) DicomPort() int { return s.dicom }

// LogTail returns the last 30 lines that Orthanc printed.
func (s *Server) LogTail() string {
	text, err := os.ReadFile(s.log)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-30):], "\n")
}

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/orthokeep/orthokeep/orthanc/orthanctest"
)

// The tests named TestReal run the real command as child processes against a real Orthanc. What they promise is the list
// of DESIGN.md, section 1. ORTHOKEEP_TORTURE=N repeats the kills N times as often (make torture).

// torture is by how much the random parts are longer than in everyday tests.
func torture() int {
	n, err := strconv.Atoi(os.Getenv("ORTHOKEEP_TORTURE"))
	if err != nil || n < 1 {
		return 1
	}
	return n
}

// buildCommand builds the command as users get it: without the race detector, and not as part of a test binary.
func buildCommand(t *testing.T) string {
	t.Helper()
	path := filepath.Join(openTemp(t), "orthokeep")
	if out, err := exec.Command("go", "build", "-buildvcs=false", "-o", path, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return path
}

// openTemp is a temporary folder that other users may enter.
func openTemp(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{dir, filepath.Dir(dir)} {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// scene is an Orthanc, a host that backs it up, and a repository.
type scene struct {
	t      *testing.T
	binary string
	server *orthanctest.Server
	dir    string // of the host: keys, caches, runtime folder
	repo   string
	config string   // of Orthanc
	window []string // the flags of the window
	asUser *syscall.Credential
	env    []string

	mu   sync.Mutex
	said bytes.Buffer // all that the command printed to stderr, and as JSON
}

const goodPassphrase = "correct horse battery staple"

// newScene is a host without a repository.
func newScene(t *testing.T, binary string, server *orthanctest.Server) *scene {
	t.Helper()
	r := &scene{t: t, binary: binary, server: server, dir: openTemp(t)}
	r.repo = r.path("repo")
	if server != nil {
		r.config = server.ConfigPath()
	}
	for _, dir := range []string{"run", "home"} {
		if err := os.Mkdir(r.path(dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	r.write("settings.toml", "")
	r.write("passphrase", goodPassphrase+"\n")
	r.env = r.host("")
	return r
}

// host is the environment of a host whose keys and caches lie in the folder name: "" for the one that backs up.
func (r *scene) host(name string) []string {
	dir := filepath.Join(r.path("home"), name)
	env := slices.DeleteFunc(os.Environ(), func(s string) bool { return strings.HasPrefix(s, "ORTHOKEEP_") })
	return append(env, "HOME="+dir, "XDG_CONFIG_HOME="+dir, "XDG_CACHE_HOME="+dir, "XDG_RUNTIME_DIR="+r.path("run"),
		"ORTHOKEEP_CONFIG="+r.path("settings.toml"), "ORTHOKEEP_REPO="+r.repo, "ORTHOKEEP_CACHE_DIR="+filepath.Join(dir, "cache"))
}

func (r *scene) path(name string) string { return filepath.Join(r.dir, name) }

func (r *scene) write(name, text string) {
	r.t.Helper()
	if err := os.WriteFile(r.path(name), []byte(text), 0o644); err != nil {
		r.t.Fatal(err)
	}
}

// withKeys is the environment of the host that has the writer key.
func (r *scene) withKeys() { r.env = append(r.env, "ORTHOKEEP_WRITER_KEY="+r.path("writer.key")) }

// init makes the repository. Its recovery key is kept under the passphrase and in recovery.key, which saves the tests from
// scrypt.
func (r *scene) init() {
	r.t.Helper()
	r.withKeys()
	r.run("init", "--passphrase-file", r.path("passphrase"), "--recovery-key", r.path("recovery.key"))
}

// result is what a child process printed.
type result struct {
	t              *testing.T
	args           []string
	code           int
	stdout, stderr string
}

// command is orthokeep with arguments. Where it may be done, the host's runtime folder is this host's alone: another
// window on this machine would lock it.
func (r *scene) command(args ...string) *exec.Cmd {
	args = append([]string{r.binary}, args...)
	if os.Geteuid() == 0 && r.asUser == nil && mayMount() {
		const script = `mount --bind "$0" /run/orthokeep && exec "$@"`
		args = append([]string{"unshare", "--mount", "sh", "-c", script, r.path("run")}, args...)
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = r.env
	cmd.Dir = r.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: r.asUser}
	return cmd
}

// mayMount says whether a mount namespace can be had, and makes the folder that is mounted on.
var mayMount = sync.OnceValue(func() bool {
	return os.MkdirAll("/run/orthokeep", 0o700) == nil && exec.Command("unshare", "--mount", "true").Run() == nil
})

// start starts orthokeep. wait must be called.
func (r *scene) start(env []string, args ...string) *running {
	r.t.Helper()
	c := &running{r: r, cmd: r.command(args...), args: args}
	c.cmd.Env = append(c.cmd.Env, env...)
	c.cmd.Stdout, c.cmd.Stderr = &c.stdout, &c.stderr
	c.cmd.WaitDelay = 10 * time.Second
	if err := c.cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	return c
}

// running is an orthokeep that runs.
type running struct {
	r              *scene
	cmd            *exec.Cmd
	args           []string
	stdout, stderr bytes.Buffer
}

// wait waits for its end; a signal counts as exit code -1.
func (c *running) wait() result {
	c.r.t.Helper()
	var exit *exec.ExitError
	if err := c.cmd.Wait(); err != nil && !errors.As(err, &exit) {
		c.r.t.Fatal(err)
	}
	c.r.mu.Lock()
	defer c.r.mu.Unlock()
	c.r.said.Write(c.stderr.Bytes())
	if slices.Contains(c.args, "--json") {
		c.r.said.Write(c.stdout.Bytes())
	}
	return result{c.r.t, c.args, c.cmd.ProcessState.ExitCode(), c.stdout.String(), c.stderr.String()}
}

// try runs orthokeep to its end.
func (r *scene) try(args ...string) result {
	r.t.Helper()
	return r.start(nil, args...).wait()
}

// run runs orthokeep, which must succeed without warnings.
func (r *scene) run(args ...string) result {
	r.t.Helper()
	got := r.try(args...)
	if got.code != 0 {
		r.t.Fatalf("%v ends with %d and prints:\n%s", args, got.code, got.stderr)
	}
	return got
}

// fails wants an exit code, exactly one line of error with every text of want, at most one hint, and no result.
func (r result) fails(code int, want ...string) {
	r.t.Helper()
	lines := strings.Split(strings.TrimSuffix(r.stderr, "\n"), "\n")
	one := strings.HasPrefix(lines[0], "orthokeep: ") && (len(lines) == 1 || len(lines) == 2 && strings.HasPrefix(lines[1], "hint: "))
	for _, text := range want {
		one = one && strings.Contains(r.stderr, text)
	}
	if r.code != code || !one || r.stdout != "" {
		r.t.Errorf("%v ends with %d, want %d and one line with %q; stdout %q, stderr:\n%s", r.args, r.code, code, want, r.stdout, r.stderr)
		return
	}
	r.t.Logf("%d %s", code, lines[0])
}

// summary is what backup --json ends with, as OUTPUT.md has it.
type summary struct {
	Snapshot       string
	Attachments    int64
	AttachmentsNew int64 `json:"attachments_new"`
	Orphans        int64
	BytesRead      int64 `json:"bytes_read"`
	BytesAdded     int64 `json:"bytes_added"`
	IndexBytes     int64 `json:"index_bytes"`
	PagesChanged   int64 `json:"index_pages_changed"`
	Window         struct {
		Mode, Mechanism string
		Seconds         float64
		Count, Rounds   int
		Retries         int
		Checkpoints     int
	}
	Seconds float64
}

func (r *scene) backupArgs() []string {
	return append([]string{"backup", "--json", "--orthanc", r.config}, r.window...)
}

func (r *scene) backup() summary {
	r.t.Helper()
	return r.run(r.backupArgs()...).summary()
}

// summary reads the last line of stdout.
func (r result) summary() (s summary) {
	r.t.Helper()
	lines := strings.Split(strings.TrimSpace(r.stdout), "\n")
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &s); err != nil || s.Snapshot == "" {
		r.t.Fatalf("%v ends with %q, %v", r.args, lines[len(lines)-1], err)
	}
	return s
}

func (s summary) String() string {
	return fmt.Sprintf("%s %.3f s (%s, %d windows, %d rounds), %d attachments, %d new, %d bytes read, %d added, %.1f s in all",
		s.Window.Mode, s.Window.Seconds, s.Window.Mechanism, s.Window.Count, s.Window.Rounds, s.Attachments, s.AttachmentsNew, s.BytesRead, s.BytesAdded, s.Seconds)
}

// snapshots lists the IDs, oldest first.
func (r *scene) snapshots() (ids []string) {
	r.t.Helper()
	var list []struct{ ID string }
	if err := json.Unmarshal([]byte(r.run("snapshots", "--json").stdout), &list); err != nil {
		r.t.Fatal(err)
	}
	for _, s := range list {
		ids = append(ids, s.ID)
	}
	return ids
}

// held starts a backup that stops at a point, waits until it is there, and returns how to let it go on.
func (r *scene) held(point string) (c *running, release func()) {
	r.t.Helper()
	folder := r.t.TempDir()
	if r.asUser == nil && os.Chmod(folder, 0o777) != nil {
		r.t.Fatal("chmod")
	}
	c = r.start([]string{"ORTHOKEEP_TEST_HOLD=" + folder, "ORTHOKEEP_TEST_HOLD_AT=" + point}, r.backupArgs()...)
	r.t.Cleanup(func() { _ = c.cmd.Process.Kill() })
	for end := time.Now().Add(50 * time.Second); ; time.Sleep(time.Millisecond) {
		if _, err := os.Stat(filepath.Join(folder, point)); err == nil {
			break
		}
		if time.Now().After(end) || unix.Kill(c.cmd.Process.Pid, 0) != nil {
			_ = c.cmd.Process.Kill()
			got := c.wait()
			r.t.Fatalf("the backup did not come to %s; it ended with %d and printed:\n%s", point, got.code, got.stderr)
		}
	}
	return c, func() {
		if err := os.WriteFile(filepath.Join(folder, "go"), nil, 0o644); err != nil {
			r.t.Error(err)
		}
	}
}

// noPatientData searches what was printed and what lies in the repository for names and IDs of patients.
func (r *scene) noPatientData(words []string) {
	r.t.Helper()
	if len(words) < 2 {
		r.t.Fatal("nothing to search for")
	}
	r.mu.Lock()
	said := bytes.Clone(r.said.Bytes())
	r.mu.Unlock()
	look := func(where string, text []byte) {
		for _, w := range words {
			if bytes.Contains(text, []byte(w)) {
				r.t.Errorf("%s has %q", where, w)
			}
		}
	}
	look("stderr or JSON", said)
	var files, size int
	err := filepath.WalkDir(r.repo, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		look(path, text)
		look("the name of "+path, []byte(path))
		files, size = files+1, size+len(text)
		return err
	})
	if err != nil || files == 0 {
		r.t.Errorf("%d files of the repository, %v", files, err)
	}
	r.t.Logf("%d bytes printed, %d files of %d bytes in the repository: none of %d names and IDs of patients", len(said), files, size, len(words))
}

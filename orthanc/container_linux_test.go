package orthanc_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/orthokeep/orthokeep/chunk/dicomtest"
	"github.com/orthokeep/orthokeep/orthanc"
	"github.com/orthokeep/orthokeep/orthanc/orthanctest"
)

// contained is a real Orthanc in a container. Its image is empty: the programs of this machine are mounted. The folder of
// its data has the same path inside.
type contained struct {
	name, id, url, index string
}

// hostImage is an image with the links of this machine's root folder and some files more, and the mounts that go with it. The text of
// a file that begins with "-> " makes it a link.
func hostImage(t *testing.T, files map[string]string) (image string, mounts []string) {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		err := os.MkdirAll(filepath.Dir(path), 0o755)
		if to, link := strings.CutPrefix(text, "-> "); err == nil && link {
			err = os.Symlink(to, path)
		} else if err == nil {
			err = os.WriteFile(path, []byte(text), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32"} {
		info, err := os.Lstat("/" + name)
		if err != nil {
			continue
		}
		if info.Mode()&os.ModeSymlink != 0 {
			to, err := os.Readlink("/" + name)
			if err == nil {
				err = os.Symlink(to, filepath.Join(root, name))
			}
			if err != nil {
				t.Fatal(err)
			}
			continue
		}
		mounts = append(mounts, "-v", "/"+name+":/"+name+":ro")
	}
	for _, dir := range []string{"etc", "tmp"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	// Orthanc does not start without it.
	if err := copyFile(filepath.Join(root, "etc", "localtime"), "/etc/localtime"); err != nil {
		t.Fatal(err)
	}
	return orthanctest.Image(t, "-C", root, "."), mounts
}

func startContained(t *testing.T) *contained {
	t.Helper()
	binary := orthanctest.Need(t)
	image, args := hostImage(t, nil)
	if folder := filepath.Dir(binary); !strings.HasPrefix(folder, "/usr/") {
		args = append(args, "-v", folder+":"+folder+":ro")
	}
	dir := t.TempDir()
	port, err := orthanctest.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	c := &contained{name: "orthokeep-test-" + rand.Text()[:10], url: fmt.Sprintf("http://127.0.0.1:%d", port), index: filepath.Join(dir, "index")}
	settings, err := json.Marshal(map[string]any{"Name": c.name, "StorageDirectory": dir, "HttpPort": port, "DicomServerEnabled": false,
		"HttpBindAddresses": []string{"127.0.0.1"}, "AuthenticationEnabled": false})
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, "orthanc.json")
	if err := os.WriteFile(config, settings, 0o600); err != nil {
		t.Fatal(err)
	}
	// Bounded in time, should the test be cut off.
	args = append(args, "-v", dir+":"+dir, "--name", c.name, "--network", "host", image,
		"/bin/sh", "-c", "(sleep 600; kill 1) & exec "+binary+" "+config)
	c.id = orthanctest.Container(t, args...)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(orthanctest.Docker(t, "logs", "--tail", "20", c.id))
		}
	})
	c.mustAnswer(t, 30*time.Second)
	return c
}

func (c *contained) alive(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url+"/system", nil)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	var system struct{ Name string }
	if err := json.NewDecoder(answer.Body).Decode(&system); err != nil || system.Name != c.name {
		return fmt.Errorf("another server answers: %v", err)
	}
	return nil
}

func (c *contained) mustAnswer(t *testing.T, limit time.Duration) {
	t.Helper()
	within(t, limit, "Orthanc answers", func() bool { return c.alive(t.Context()) == nil })
}

// mustNotAnswer sees that it is silent for a while.
func (c *contained) mustNotAnswer(ctx context.Context, t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, 150*time.Millisecond)
	defer cancel()
	if c.alive(ctx) == nil {
		t.Error("Orthanc answers inside the window")
	}
}

func (c *contained) upload(t *testing.T, instances int) {
	t.Helper()
	for i := range dicomtest.Study(dicomtest.Config{Seed: 3, Instances: instances, Columns: 64}) {
		answer, err := http.Post(c.url+"/instances", "application/dicom", bytes.NewReader(i.Data))
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			t.Fatalf("upload: %s", answer.Status)
		}
	}
}

func (c *contained) process(t *testing.T) *orthanc.Process {
	t.Helper()
	p, err := orthanc.FindProcess(c.index)
	if err != nil || p.Container != c.id || p.Unit != "" {
		t.Fatalf("got %+v, %v, want a process of container %s", p, err, c.id)
	}
	return p
}

// A real Orthanc in a Docker container, seen from the host: it is frozen by every mechanism, stopped and started.
func TestContainer(t *testing.T) {
	orthanctest.NeedDocker(t)
	t.Parallel()
	c := startContained(t)
	c.upload(t, 20)
	t.Run("freeze", func(t *testing.T) { containerFreeze(t, c) })
	t.Run("stop", func(t *testing.T) { containerStop(t, c) })
	t.Run("owner killed", func(t *testing.T) { containerOwnerKilled(t, c) })
	t.Run("refused", func(t *testing.T) { containerRefused(t, c) })
	t.Run("not started", func(t *testing.T) { containerNotStarted(t, c) }) // the last: it removes the container
}

func containerFreeze(t *testing.T, c *contained) {
	w := &orthanc.Freeze{Target: c.process(t).Target, StateDir: stateDir(t)}
	permitted, refusals := w.Permitted()
	t.Logf("permitted: %q; refused: %v", permitted, refusals)
	if !slices.Contains(permitted, orthanc.MechanismPtrace) || !slices.Contains(permitted, orthanc.MechanismSignal) {
		t.Errorf("permitted: %q", permitted)
	}
	for _, m := range permitted {
		w.Mechanisms = []string{m}
		dir := t.TempDir()
		stats, err := w.Do(t.Context(), longBound, func(ctx context.Context) error {
			c.mustNotAnswer(ctx, t)
			return copyInto(dir, c.index, c.index+"-wal")
		})
		c.mustAnswer(t, 2*time.Second)
		if err != nil || stats.Mechanism != m {
			t.Errorf("%s: %+v, %v", m, stats, err)
			continue
		}
		if found := instancesIn(t, filepath.Join(dir, "index")); len(found) != 20 {
			t.Errorf("%s: %d instances in the copy, want 20", m, len(found))
		}
		var stood []time.Duration
		for range 5 {
			stats, err := w.Do(t.Context(), longBound, func(context.Context) error { return nil })
			if err != nil {
				t.Fatal(err)
			}
			stood = append(stood, stats.Stood)
		}
		t.Logf("%s: an empty window stood %v to %v", m, slices.Min(stood), slices.Max(stood))
	}
}

// choose is the window of mode stop for the process as it is now.
func (c *contained) choose(t *testing.T) orthanc.Choice {
	t.Helper()
	got, err := orthanc.Choose(orthanc.WindowOptions{Mode: orthanc.ModeStop, Index: c.index, PID: c.process(t).PID,
		StateDir: stateDir(t), Alive: c.alive})
	if err != nil || got.Mechanism != orthanc.MechanismDocker || !strings.Contains(got.String(), "docker:"+c.name) {
		t.Fatalf("chose %v, %v", got, err)
	}
	return got
}

// A stop window takes what Docker and Orthanc take, and little more.
func containerStop(t *testing.T, c *contained) {
	var own, windows []time.Duration
	for range 2 {
		began := time.Now()
		orthanctest.Docker(t, "stop", "-t", "60", c.name)
		orthanctest.Docker(t, "start", c.name)
		c.mustAnswer(t, 30*time.Second)
		own = append(own, time.Since(began))

		dir := t.TempDir()
		stats, err := c.choose(t).Window.Do(t.Context(), longBound, func(ctx context.Context) error {
			c.mustNotAnswer(ctx, t)
			if _, err := os.Stat(c.index + "-wal"); err == nil {
				t.Error("the WAL is there inside the window")
			}
			return copyInto(dir, c.index)
		})
		if err != nil || len(warnings(stats)) > 0 {
			t.Fatalf("got %+v, %v", stats, err)
		}
		if found := instancesIn(t, filepath.Join(dir, "index")); len(found) != 20 {
			t.Errorf("%d instances in the copy, want 20", len(found))
		}
		windows = append(windows, stats.Stood)
		c.mustAnswer(t, time.Second)
	}
	more := slices.Min(windows) - slices.Min(own)
	t.Logf("docker stop and start until it answers: %v; windows: %v; more: %v", own, windows, more)
	if more > time.Second { // 0.3 s where nothing else runs
		t.Errorf("the window takes %v more than docker stop and start", more)
	}
}

func containerOwnerKilled(t *testing.T, c *contained) {
	o := startOwner(t, ownerSpec{Bound: longBound, Stop: &stopSpec{Container: "docker:" + c.name, Index: c.index, StateDir: stateDir(t),
		Target: c.process(t).Target, Limit: time.Minute}})
	c.mustNotAnswer(t.Context(), t)
	began := time.Now()
	o.kill(t)
	c.mustAnswer(t, 10*time.Second)
	t.Logf("Orthanc answered %v after kill -9", time.Since(began))
}

// A container that would be gone after its stop, or that does not run, is not a way to stop Orthanc.
func containerRefused(t *testing.T, c *contained) {
	image, mounts := hostImage(t, nil)
	gone := orthanctest.Container(t, append(append([]string{"--rm"}, mounts...), image, "/bin/sleep", "60")...)
	down := orthanctest.Container(t, append(mounts, image, "/bin/true")...)
	orthanctest.Docker(t, "wait", down)
	for name, reason := range map[string]string{"docker:" + gone: "--rm", "docker:" + down: "does not run", "docker:no-such-container": "no-such-container", "lxc:x": "lxc:x"} {
		_, err := orthanc.Choose(orthanc.WindowOptions{Mode: orthanc.ModeStop, Index: c.index, Container: name, StateDir: stateDir(t)})
		if !errors.Is(err, orthanc.ErrNoWindow) || !strings.Contains(err.Error(), reason) {
			t.Errorf("%s: %v", name, err)
		}
		w := &orthanc.Stopper{Container: name, Index: c.index, StateDir: stateDir(t)}
		if _, err := w.Do(t.Context(), longBound, func(context.Context) error { return nil }); err == nil || !strings.Contains(err.Error(), reason) {
			t.Errorf("%s: Do: %v", name, err)
		}
	}
	c.mustAnswer(t, time.Second)
}

func containerNotStarted(t *testing.T, c *contained) {
	w := c.choose(t).Window.(*orthanc.Stopper)
	w.StateDir = filepath.Join(t.TempDir(), "run") // the note stays
	_, err := w.Do(t.Context(), longBound, func(context.Context) error {
		orthanctest.Docker(t, "rm", c.id)
		return nil
	})
	if !errors.Is(err, orthanc.ErrNotStarted) || !strings.Contains(err.Error(), "docker start "+c.name) {
		t.Errorf("got %v, want ErrNotStarted and how to start it by hand", err)
	}
	t.Log(err)
}

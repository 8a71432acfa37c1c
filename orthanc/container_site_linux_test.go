package orthanc_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/orthokeep/orthokeep/chunk/dicomtest"
	"github.com/orthokeep/orthokeep/orthanc"
	"github.com/orthokeep/orthokeep/orthanc/orthanctest"
	"github.com/orthokeep/orthokeep/repo"
	"github.com/orthokeep/orthokeep/snapshot"
)

// enclosed is a real Orthanc in a container without a network, whose paths mean nothing on the host: /etc/orthanc is in its image,
// and /var/lib/orthanc/db a volume, or in the container itself.
type enclosed struct {
	name   string
	port   int
	volume string // where it lies on the host; empty: there is none
	client *http.Client
}

func startEnclosed(t *testing.T, volume bool) *enclosed {
	t.Helper()
	binary := orthanctest.Need(t)
	port, err := orthanctest.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	c := &enclosed{name: "orthokeep-test-" + rand.Text()[:10], port: port}
	settings, err := json.Marshal(map[string]any{"Name": "${SITE_NAME:-nobody}", "StorageDirectory": "/var/lib/orthanc/db", "HttpPort": port,
		"DicomServerEnabled": false, "AuthenticationEnabled": false, "RemoteAccessAllowed": false, "LuaScripts": []string{"linked.lua"}})
	if err != nil {
		t.Fatal(err)
	}
	image, args := hostImage(t, map[string]string{"etc/orthanc/orthanc.json": string(settings), "etc/orthanc/linked.lua": "-> /opt/lua/real.lua",
		"opt/lua/real.lua": "-- does nothing\n", "var/lib/orthanc/db/.keep": ""})
	if folder := filepath.Dir(binary); !strings.HasPrefix(folder, "/usr/") {
		args = append(args, "-v", folder+":"+folder+":ro")
	}
	if volume {
		name := orthanctest.Docker(t, "volume", "create", c.name)
		t.Cleanup(func() { orthanctest.Docker(t, "volume", "rm", name) })
		c.volume = orthanctest.Docker(t, "volume", "inspect", "--format", "{{.Mountpoint}}", name)
		args = append(args, "-v", name+":/var/lib/orthanc/db")
	}
	args = append(args, "--name", c.name, "--network", "none", "--env", "SITE_NAME=enclosed", "--workdir", "/etc", image,
		"/bin/sh", "-c", "(sleep 600; kill 1) & exec "+binary+" --verbose orthanc") // a folder, relative to where it is started
	id := orthanctest.Container(t, args...)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(orthanctest.Docker(t, "logs", "--tail", "20", id))
		}
	})
	c.client = &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			pid, err := strconv.Atoi(orthanctest.Docker(t, "inspect", "--format", "{{.State.Pid}}", c.name))
			if err != nil || pid == 0 {
				return nil, fmt.Errorf("container is down: %v", err)
			}
			return orthanc.DialInside(ctx, pid, network, address)
		}}}
	within(t, 30*time.Second, "Orthanc answers", func() bool { return c.instances() >= 0 })
	return c
}

func (c *enclosed) url(path string) string { return fmt.Sprintf("http://127.0.0.1:%d%s", c.port, path) }

// instances is their number; -1 when Orthanc does not answer.
func (c *enclosed) instances() int {
	answer, err := c.client.Get(c.url("/statistics"))
	if err != nil {
		return -1
	}
	defer answer.Body.Close()
	var counts struct{ CountInstances int }
	if json.NewDecoder(answer.Body).Decode(&counts) != nil {
		return -1
	}
	return counts.CountInstances
}

func (c *enclosed) upload(t *testing.T, seed uint64, n int) {
	t.Helper()
	for i := range dicomtest.Study(dicomtest.Config{Seed: seed, Instances: n, Columns: 64}) {
		answer, err := c.client.Post(c.url("/instances"), "application/dicom", bytes.NewReader(i.Data))
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			t.Fatalf("upload: %s", answer.Status)
		}
	}
}

// An Orthanc is named by its container, and backed up from the host in every mode, although its paths mean nothing there. The
// snapshot has the paths that it knows, and restores to a server outside of any container.
func TestContainerByName(t *testing.T) {
	orthanctest.NeedDocker(t)
	t.Parallel()
	c, s := startEnclosed(t, true), newRepository(t)
	o := orthanc.SiteOptions{Configuration: "docker:" + c.name, StateDir: s.state}
	var last *orthanc.Summary
	for n, mode := range []string{orthanc.ModeFreeze, orthanc.ModeStop, orthanc.ModeAuto} {
		c.upload(t, uint64(n+1), 10)
		o.Window = mode
		found, err := orthanc.Survey(o)
		if err != nil {
			t.Fatal(err)
		}
		if found.Layout.Storage != c.volume || found.Configuration.Name != "enclosed" || found.Process.Container == "" {
			t.Errorf("%s: storage %s, name %s, process %+v", mode, found.Layout.Storage, found.Configuration.Name, found.Process)
		}
		if e, err := found.Estimate(t.Context(), s.repo(repo.Credentials{Writer: s.keys.Writer}), 0, 1); err != nil || e.Attachments != int64(10*(n+1)) {
			t.Errorf("%s: estimate %+v, %v", mode, e, err)
		}
		if mode == orthanc.ModeAuto && (found.Choice.Mode != orthanc.ModeFreeze || found.Choice.Fallback == nil) {
			t.Errorf("auto chose %v", found.Choice)
		}
		if last, err = s.backup(o); err != nil {
			t.Fatal(err)
		}
		w := last.Root.Window
		t.Logf("%s: %+v", mode, w)
		if mode != orthanc.ModeAuto && w.Mode != mode || mode == orthanc.ModeStop && w.Mechanism != orthanc.MechanismDocker || len(last.Warnings) > 0 {
			t.Errorf("%s: window %+v, warnings %q", mode, w, last.Warnings)
		}
		if last.Root.Counts.Instances != int64(10*(n+1)) || last.Root.Orthanc.Version == "" || last.Root.Verified.Orphans != 0 {
			t.Errorf("%s: %+v", mode, last.Root)
		}
		s.verify(last.Root)
		within(t, 5*time.Second, "Orthanc answers", func() bool { return c.instances() == 10*(n+1) })
	}

	r := s.repo(repo.Credentials{Recovery: s.keys.Recovery})
	files, err := snapshot.ReadFiles(t.Context(), r, last.Root)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range files.Files {
		got = append(got, f.Path+" "+f.Kind+" "+f.Link)
	}
	const want = "/etc/orthanc/orthanc.json configuration |/etc/orthanc/linked.lua script /opt/lua/real.lua"
	if strings.Join(got, "|") != want || files.Configuration != "/etc/orthanc" || files.Storage != "/var/lib/orthanc/db" || files.Index != files.Storage {
		t.Errorf("files %q, %+v", got, files)
	}
	res, err := orthanc.Restore(t.Context(), r, last.Root, orthanc.RestoreOptions{Target: filepath.Join(t.TempDir(), "restored"), Rewrite: true}, orthanc.NoProgress{})
	if err != nil {
		t.Fatal(err)
	}
	again := orthanctest.Start(t, orthanctest.Options{Config: res.Plan.Configuration, Port: c.port})
	content, err := again.Content(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if counts, err := again.Statistics(); err != nil || counts.CountInstances != 30 || len(content) < 30 {
		t.Errorf("the restored server has %+v, %v", counts, err)
	}
}

// What lies in the container itself is frozen and read through its process; stopping would put it out of reach.
func TestContainerWithoutVolume(t *testing.T) {
	orthanctest.NeedDocker(t)
	t.Parallel()
	c, s := startEnclosed(t, false), newRepository(t)
	c.upload(t, 1, 10)
	o := orthanc.SiteOptions{Configuration: "docker:" + c.name, Window: orthanc.ModeAuto, StateDir: s.state}
	sum, err := s.backup(o)
	if err != nil {
		t.Fatal(err)
	}
	if sum.Root.Window.Mode != orthanc.ModeFreeze || sum.Root.Counts.Instances != 10 || len(sum.Warnings) > 0 {
		t.Errorf("%+v, warnings %q", sum.Root, sum.Warnings)
	}
	s.verify(sum.Root)
	o.Window = orthanc.ModeStop
	if _, err := orthanc.Survey(o); !errors.Is(err, orthanc.ErrNoWindow) || !strings.Contains(err.Error(), "volume") {
		t.Errorf("stop: %v", err)
	}
	if c.instances() != 10 {
		t.Error("Orthanc does not answer")
	}
}

// A name that leads to no Orthanc is an error that says why.
func TestContainerRefused(t *testing.T) {
	orthanctest.NeedDocker(t)
	t.Parallel()
	image, mounts := hostImage(t, nil)
	other := orthanctest.Container(t, append(append([]string{"--network", "none"}, mounts...), image, "/bin/sleep", "60")...)
	for name, want := range map[string]string{"docker:" + other: "named index", "docker:no-such-container": "no-such-container", "docker:-x": "docker:NAME"} {
		if _, err := orthanc.Survey(orthanc.SiteOptions{Configuration: name, StateDir: t.TempDir()}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

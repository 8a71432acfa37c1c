package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/orthokeep/orthokeep/orthanc/orthanctest"
)

const manyInstances = 5000

// Thousands of instances, a client that uploads and deletes, two backups: what is restored is the same instances with the
// same bytes, in every mode of the window.
func TestRealWindows(t *testing.T) {
	binary := buildCommand(t)
	server := orthanctest.Start(t, orthanctest.Options{Dir: openTemp(t), SplitIndex: true})
	began := time.Now()
	upload(t, server, small(1, manyInstances, 50))
	t.Logf("uploaded %d instances in %v", manyInstances, time.Since(began))
	t.Run("freeze", func(t *testing.T) { windowFreeze(t, newScene(t, binary, server)) })
	end := t // the server that the stop leaves serves the next one too
	t.Run("stop", func(t *testing.T) { windowStop(t, newScene(t, binary, server), end) })
	t.Run("none", func(t *testing.T) { windowNone(t, newScene(t, binary, server)) })
}

func windowFreeze(t *testing.T, r *scene) {
	r.init()
	r.window = []string{"--window", "freeze"}
	r.underLoad(startClient(t, r.server, 100, manyInstances, false))

	// The server is left alone now: one backup takes in what the client did last, the next finds nothing new.
	r.backup()
	s := r.backup()
	t.Logf("unchanged: %v", s)
	if s.AttachmentsNew != 0 || s.BytesRead != s.IndexBytes || s.BytesAdded > 64<<10 {
		t.Errorf("the snapshot of an unchanged server reads %d bytes for an index of %d, has %d new attachments and adds %d bytes",
			s.BytesRead, s.IndexBytes, s.AttachmentsNew, s.BytesAdded)
	}
	r.noPatientData(patients(t, r.server))
}

func windowStop(t *testing.T, r *scene, end *testing.T) {
	r.init()
	r.stopByCommand(end)
	r.underLoad(startClient(t, r.server, 200, manyInstances, true))
	r.noPatientData(patients(t, r.server))
}

func windowNone(t *testing.T, r *scene) {
	r.init()
	words := patients(t, r.server)
	r.window = []string{"--window", "none"}
	r.try(r.backupArgs()...).fails(1, "holds the index")
	stopNow(t, r.server, r.pidFile())
	for range 2 {
		t.Logf("%v", r.backup())
	}
	r.served(r.restore("latest", "--rewrite-configuration"))
	r.noPatientData(words)
}

// underLoad takes two backups while a client works, and restores the second.
func (r *scene) underLoad(c *client) {
	r.t.Helper()
	var before map[string]bool
	for range 2 {
		time.Sleep(2 * time.Second)
		before = c.acknowledged()
		s := r.backup()
		r.t.Logf("%v", s)
		if s.Window.Mode != r.window[1] || s.Attachments < manyInstances {
			r.t.Errorf("summary: %+v", s)
		}
	}
	c.end(r.t)
	got := r.restore("latest", "--rewrite-configuration")
	got.has(r.t, before, c)
	r.served(got)
}

// stopByCommand makes the window one that stops the server by its number and starts it again. Its number lies in a file
// beside its configuration. It is stopped at the end of a test.
func (r *scene) stopByCommand(end *testing.T) {
	r.t.Helper()
	binary, err := orthanctest.Find()
	if err != nil {
		r.t.Fatal(err)
	}
	pid := r.pidFile()
	if _, err := os.Stat(pid); err != nil {
		if err := os.WriteFile(pid, []byte(strconv.Itoa(r.server.PID())), 0o600); err != nil {
			r.t.Fatal(err)
		}
	}
	end.Cleanup(func() { stopNow(end, r.server, pid) })
	script := func(name, text string) string {
		if err := os.WriteFile(r.path(name), []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
			r.t.Fatal(err)
		}
		return r.path(name)
	}
	// The server is bounded in time, should a test be cut off: it is not a child of the test any more. Without --foreground it
	// would get the signal twice, and the second one kills an Orthanc that is about to end.
	stop := script("stop", "kill $(cat "+pid+")")
	start := script("start", fmt.Sprintf("timeout --foreground 1200 %s %s </dev/null >>%s 2>&1 &\necho $! >%s", binary, r.config, pid+".log", pid))
	r.window = []string{"--window", "stop", "--stop-command", stop, "--start-command", start}
}

// pidFile holds the number of the server that the start command started last.
func (r *scene) pidFile() string { return filepath.Join(filepath.Dir(r.config), "pid") }

// stopNow stops a server, whoever started it last.
func stopNow(t *testing.T, s *orthanctest.Server, pidFile string) {
	t.Helper()
	text, err := os.ReadFile(pidFile)
	if pid, _ := strconv.Atoi(strings.TrimSpace(string(text))); err == nil && pid > 1 && pid != s.PID() {
		_ = unix.Kill(pid, syscall.SIGTERM)
		for end := time.Now().Add(20 * time.Second); alive(pid); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				_ = unix.Kill(pid, syscall.SIGKILL)
				t.Errorf("process %d did not end by SIGTERM", pid)
				break
			}
		}
		_ = os.Remove(pidFile)
	}
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
}

package orthanc_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/orthokeep/orthokeep/orthanc"
	"github.com/orthokeep/orthokeep/orthanc/orthanctest"
	"github.com/orthokeep/orthokeep/repo"
	"github.com/orthokeep/orthokeep/snapshot"
)

// drillSite is a site with a snapshot and the scratch folder of drills.
type drillSite struct {
	*site
	read *repo.Repository
	root *snapshot.Root
	with orthanc.DrillOptions
}

func newDrillSite(t *testing.T, o orthanctest.Options, instances int) drillSite {
	t.Helper()
	s := newSite(t, o)
	for _, id := range s.upload(12, instances)[:2] { // attachments of a type that no configuration names
		if _, err := s.server.Do(http.MethodPut, "/instances/"+id+"/attachments/1234", bytes.Repeat([]byte("report"), 100)); err != nil {
			t.Fatal(err)
		}
	}
	sum, err := s.backup(s.options(orthanc.ModeFreeze))
	if err != nil {
		t.Fatal(err)
	}
	return drillSite{s, s.repo(repo.Credentials{Recovery: s.keys.Recovery}), sum.Root, orthanc.DrillOptions{Binary: orthanctest.Need(t), Scratch: t.TempDir()}}
}

// clean sees that a drill has left nothing behind: no folder, and no process that was started in one.
func (s drillSite) clean() {
	s.t.Helper()
	if left, err := os.ReadDir(s.with.Scratch); err != nil || len(left) > 0 {
		s.t.Errorf("left in the scratch folder: %v, %v", left, err)
	}
	lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range lines {
		if text, _ := os.ReadFile(path); bytes.Contains(text, []byte(s.with.Scratch)) {
			s.t.Errorf("%s still runs", path)
		}
	}
}

func TestDrillOfAGoodSnapshot(t *testing.T) {
	t.Parallel()
	s := newDrillSite(t, orthanctest.Options{SplitIndex: true}, 30)
	sampled := s.with
	sampled.Sample, sampled.Keep = 0.1, true
	kept, err := orthanc.Drill(t.Context(), s.read, s.root, sampled, orthanc.NoProgress{})
	if err != nil || kept.Counts.Attachments != s.root.Counts.Attachments/10+1 {
		t.Fatalf("a tenth of %d: %+v, %v", s.root.Counts.Attachments, kept, err)
	}
	if info, err := os.Stat(kept.Folder); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder that was to be kept: %v", err)
	}

	p := &watched{}
	res, err := orthanc.Drill(t.Context(), s.read, s.root, s.with, p)
	if err != nil {
		t.Fatal(err)
	}
	if got := res.Counts; got != s.root.Counts || got.Instances != 30 || got.Attachments < 32 || res.Damaged+res.Differing != 0 || len(res.Differences) > 0 {
		t.Errorf("found %+v, the snapshot has %+v", res, s.root.Counts)
	}
	if system, err := s.server.System(); err != nil || res.Orthanc != system.Version || res.Start <= 0 || res.Total < res.Start {
		t.Errorf("found %+v, %v", res, err)
	}
	if want := "restore the index, restore, restore files and index, start Orthanc, compare with Orthanc"; strings.Join(p.phases, ", ") != want {
		t.Errorf("told of %v", p.phases)
	}
	// The next drill leaves alone what was to be kept.
	if _, err := os.Stat(filepath.Join(kept.Folder, "server", "storage")); err != nil || os.RemoveAll(kept.Folder) != nil {
		t.Errorf("the folder that was to be kept: %v", err)
	}
	s.clean()
}

// watched notes the phases, and does something in one.
type watched struct {
	orthanc.NoProgress
	phases []string
	at     string
	do     func()
}

func (w *watched) Phase(name, _ string, _, _ int64) {
	if w.phases = append(w.phases, name); name == w.at {
		w.do()
	}
}

// TestDrillFindsDifferences alters what was restored before Orthanc starts on it: with and without MD5s in the index.
func TestDrillFindsDifferences(t *testing.T) {
	for name, settings := range map[string]map[string]any{"no MD5": {"StoreMD5ForAttachments": false}, "compressed": {"StorageCompression": true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newDrillSite(t, orthanctest.Options{Settings: settings}, 8)
			var altered []string
			alter := func(plan *orthanc.RestorePlan) {
				files, err := filepath.Glob(filepath.Join(plan.Storage, "??", "??", "*"))
				if err != nil || int64(len(files)) != s.root.Counts.Attachments {
					t.Fatalf("%d files, %v", len(files), err)
				}
				for i, change := range []func(data []byte) []byte{
					func(data []byte) []byte { data[len(data)-1] ^= 1; return data },
					func(data []byte) []byte { return data[:len(data)-1] },
					func(data []byte) []byte { return append(data, 0) },
					func([]byte) []byte { return nil },
				} {
					data, err := os.ReadFile(files[i])
					if err == nil {
						err = os.Remove(files[i])
					}
					if data = change(data); err == nil && data != nil {
						err = os.WriteFile(files[i], data, 0o600)
					}
					if err != nil {
						t.Fatal(err)
					}
					altered = append(altered, filepath.Base(files[i]))
				}
			}
			root := *s.root
			root.Counts.Series++
			res, err := orthanc.DrillWith(t.Context(), s.read, &root, s.with, false, alter, func(int, int) {})
			if !errors.Is(err, orthanc.ErrDrill) {
				t.Fatal(err)
			}
			var found []string
			for _, d := range res.Differences {
				t.Log(d)
				if d.Attachment != "" {
					found = append(found, d.Attachment)
				}
			}
			slices.Sort(found)
			slices.Sort(altered)
			if !slices.Equal(found, altered) || res.Differing != int64(len(altered))+1 || res.Counts.Attachments != s.root.Counts.Attachments {
				t.Errorf("altered are %v, found %+v", altered, res)
			}
			s.clean()
		})
	}
}

// TestDrillIsAlone looks at what Orthanc listens on: with a network of its own, and without.
func TestDrillIsAlone(t *testing.T) {
	t.Parallel()
	s := newDrillSite(t, orthanctest.Options{Dicom: true}, 3)
	for _, shared := range []bool{false, true} {
		res, err := orthanc.DrillWith(t.Context(), s.read, s.root, s.with, shared, func(*orthanc.RestorePlan) {}, func(pid, port int) {
			if ports := listening(t, pid); !slices.Equal(ports, []int{port}) {
				t.Errorf("listens on %v, not on %d alone", ports, port)
			}
			own, _ := os.Readlink("/proc/thread-self/ns/net") // the main thread may be visiting another test's network
			if theirs, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", pid)); err != nil || theirs != own {
				if interfaces := interfacesOf(t, pid); !slices.Equal(interfaces, []string{"lo"}) {
					t.Errorf("has the interfaces %v, %v", interfaces, err)
				}
				if conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
					conn.Close()
					t.Error("can be reached from outside its network")
				}
				return
			}
			for address, want := range map[string]int{"127.0.0.1": http.StatusUnauthorized, foreignAddress(): http.StatusForbidden} {
				if address == "" {
					continue
				}
				response, err := http.Get(fmt.Sprintf("http://%s/system", net.JoinHostPort(address, fmt.Sprint(port))))
				if err != nil {
					continue // does not even listen there
				}
				response.Body.Close()
				if response.StatusCode != want && response.StatusCode != http.StatusUnauthorized {
					t.Errorf("without a password, at %s: status %d", address, response.StatusCode)
				}
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		if shared && res.Alone {
			t.Error("claims a network that it was refused")
		}
		t.Logf("network of its own: %v", res.Alone)
	}
	s.clean()
}

// foreignAddress is an address of this machine that is not for itself alone; "" when there is none.
func foreignAddress() string {
	addresses, _ := net.InterfaceAddrs()
	for _, a := range addresses {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil && !n.IP.IsLoopback() {
			return n.IP.String()
		}
	}
	return ""
}

// listening returns the ports on which a process waits for connections or datagrams.
func listening(t *testing.T, pid int) (ports []int) {
	t.Helper()
	sockets := map[string]bool{}
	links, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil || len(links) == 0 {
		t.Fatalf("no descriptors: %v", err)
	}
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil && strings.HasPrefix(target, "socket:[") {
			sockets[strings.Trim(target, "socket:[]")] = true
		}
	}
	for _, kind := range []string{"tcp", "tcp6", "udp", "udp6"} {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", pid, kind))
		if err != nil {
			continue // no IPv6
		}
		for _, line := range strings.Split(string(text), "\n")[1:] {
			f := strings.Fields(line)
			if len(f) < 10 || !sockets[f[9]] || strings.HasPrefix(kind, "tcp") && f[3] != "0A" {
				continue
			}
			var port int
			if _, err := fmt.Sscanf(f[1][strings.LastIndex(f[1], ":")+1:], "%x", &port); err != nil {
				t.Fatal(err)
			}
			ports = append(ports, port)
		}
	}
	return ports
}

func interfacesOf(t *testing.T, pid int) (names []string) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/dev", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(string(text), "\n") {
		// Some kernels put tunnels that are down into every new network.
		if name, counts, ok := strings.Cut(line, ":"); ok && (strings.TrimSpace(name) == "lo" || strings.Trim(counts, " 0") != "") {
			names = append(names, strings.TrimSpace(name))
		}
	}
	return names
}

func TestDrillCleansUp(t *testing.T) {
	t.Parallel()
	s := newDrillSite(t, orthanctest.Options{}, 3)
	for _, at := range []string{"restore", "compare with Orthanc"} {
		ctx, cancel := context.WithCancel(t.Context())
		_, err := orthanc.Drill(ctx, s.read, s.root, s.with, &watched{at: at, do: cancel})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled at %s: %v", at, err)
		}
		s.clean()
	}
	broken := s
	for name, script := range map[string]string{"ends": "echo 'E0101 the reason' >&2; exit 3", "dies": "kill -9 $$"} {
		broken.with.Binary = filepath.Join(t.TempDir(), "Orthanc")
		if err := os.WriteFile(broken.with.Binary, []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		_, err := orthanc.Drill(t.Context(), s.read, s.root, broken.with, orthanc.NoProgress{})
		if err == nil || !strings.Contains(err.Error(), "ended by itself") || name == "ends" && !strings.Contains(err.Error(), "the reason") {
			t.Errorf("an Orthanc that %s: %v", name, err)
		}
		s.clean()
	}
	killed, err := orthanc.DrillWith(t.Context(), s.read, s.root, s.with, false, func(*orthanc.RestorePlan) {}, func(pid, _ int) {
		if p, err := os.FindProcess(pid); err != nil || p.Kill() != nil {
			t.Error("cannot kill Orthanc")
		}
		time.Sleep(50 * time.Millisecond)
	})
	if killed != nil || err == nil || errors.Is(err, orthanc.ErrDrill) {
		t.Errorf("an Orthanc that was killed: %+v, %v", killed, err)
	}
	s.clean()
	s.with.Scratch = filepath.Join(s.with.Scratch, "missing")
	if _, err := orthanc.Drill(t.Context(), s.read, s.root, s.with, orthanc.NoProgress{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no scratch folder: %v", err)
	}
}

func TestFindOrthanc(t *testing.T) {
	dir := t.TempDir()
	broken := filepath.Join(dir, "broken")
	if err := os.WriteFile(broken, []byte("#!/bin/sh\necho 'no library' >&2\nexit 127\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, named := range []string{filepath.Join(dir, "missing"), broken, dir} {
		if path, err := orthanc.FindOrthanc(named); !errors.Is(err, orthanc.ErrNoOrthanc) || path != "" {
			t.Errorf("%s: %q, %v", named, path, err)
		}
	}
	if path, err := orthanc.FindOrthanc(orthanctest.Need(t)); err != nil || !filepath.IsAbs(path) {
		t.Errorf("%q, %v", path, err)
	}
}

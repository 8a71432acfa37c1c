package orthanc

import (
	"strings"
	"testing"
)

func TestParseCgroup(t *testing.T) {
	id := strings.Repeat("0123456789abcdef", 4)
	for _, test := range []struct{ name, text, own, cgroup, unit, container string }{
		{"service", "0::/system.slice/orthanc.service\n", "", "/system.slice/orthanc.service", "orthanc.service", ""},
		{"version 1", "12:freezer:/\n1:name=systemd:/system.slice/orthanc.service\n0::/\n", "", "/system.slice/orthanc.service", "orthanc.service", ""},
		{"session", "0::/user.slice/user-0.slice/session-1.scope\n", "", "/user.slice/user-0.slice/session-1.scope", "", ""},
		{"below a service", "0::/system.slice/docker.service/x\n", "", "/system.slice/docker.service/x", "", ""},
		{"user's terminal", "0::/user.slice/user@1.service/app.slice/t.scope\n", "", "/user.slice/user@1.service/app.slice/t.scope", "", ""},
		{"docker, systemd", "0::/system.slice/docker-" + id + ".scope\n", "", "/system.slice/docker-" + id + ".scope", "", id},
		{"docker, cgroupfs", "1:name=systemd:/docker/" + id + "\n", "", "/docker/" + id, "", id},
		{"systemd in the same container", "1:name=systemd:/docker/" + id + "/system.slice/orthanc.service\n", "/docker/" + id + "/x", "/docker/" + id + "/system.slice/orthanc.service", "orthanc.service", ""},
		{"systemd in another container", "1:name=systemd:/docker/" + id + "/system.slice/orthanc.service\n", "/", "/docker/" + id + "/system.slice/orthanc.service", "", id},
		{"root", "0::/\n", "", "/", "", ""},
		{"nothing", "", "", "", "", ""},
		{"odd", "x\n\n:\n0::/a:b.service\n", "", "/a:b.service", "a:b.service", ""},
	} {
		cgroup, unit, container := parseCgroup(test.text, test.own)
		if cgroup != test.cgroup || unit != test.unit || container != test.container {
			t.Errorf("%s: %q, %q, %q", test.name, cgroup, unit, container)
		}
	}
}

func TestContainerAt(t *testing.T) {
	id := strings.Repeat("0123456789abcdef", 4)
	for path, want := range map[string]string{
		"/docker/" + id:                            "docker:" + id,
		"/system.slice/docker-" + id + ".scope":    "docker:" + id,
		"/mine/" + id:                              "docker:" + id,
		"/machine.slice/libpod-" + id + ".scope":   "podman:" + id,
		"/machine.slice/libpod-" + id + ".scope/x": "podman:" + id,
		"/kubepods.slice/cri-containerd-" + id:     "",
		"/kubepods/burstable/pod1/" + id:           "",
		"/system.slice/orthanc.service":            "",
		"/":                                        "",
	} {
		got, ok := containerAt(path)
		if ok != (want != "") || ok && got.String() != want {
			t.Errorf("%s: %v, %v", path, got, ok)
		}
	}
	for text, valid := range map[string]bool{"docker:orthanc": true, "podman:a_b.c-1": true, "docker:": false, "docker:-f": false,
		"orthanc": false, "lxc:orthanc": false, "docker:a b": false, "docker:a/b": false} {
		if c, err := parseContainer(text); (err == nil) != valid || valid && c.String() != text {
			t.Errorf("%q: %v, %v", text, c, err)
		}
	}
}

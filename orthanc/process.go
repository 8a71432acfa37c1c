package orthanc

import (
	"regexp"
	"strings"
)

// Process is the process that holds an index open for writing.
type Process struct {
	Target           // its number and when it started
	Name      string // of its executable, as "Orthanc"
	UID       int    // of its owner
	Dir       string // working directory as it sees it; empty when it may not be looked into
	Cgroup    string // path below the cgroup file system, of version 2 or of systemd's hierarchy; empty without one
	Unit      string // systemd service whose own cgroup it is in, as "orthanc.service"; empty for none
	Container string // ID of the container that it is in, 64 hexadecimal digits; empty for none

	// Readers are other processes that hold the index open for reading only.
	Readers []int
}

var containerID = regexp.MustCompile(`[0-9a-f]{64}`)

// parseCgroup takes the path from the text of /proc/PID/cgroup, and what the path says of units and containers to a process
// whose own path is own: in the same container, the container counts for nothing, and a unit is one of its systemd.
func parseCgroup(text, own string) (cgroup, unit, container string) {
	for line := range strings.Lines(text) {
		fields := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(fields) != 3 {
			continue
		}
		// On a host with both versions the unit is where systemd says; version 2 comes last and may be "/".
		if fields[1] == "name=systemd" || (fields[0] == "0" && (cgroup == "" || cgroup == "/")) {
			cgroup = fields[2]
		}
	}
	if container = containerID.FindString(cgroup); container == containerID.FindString(own) {
		container = ""
	}
	if container == "" {
		unit = unitAt(cgroup)
	}
	return cgroup, unit, container
}

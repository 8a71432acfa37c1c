package orthanc

import (
	"fmt"
	"path"
	"regexp"
	"strings"
)

// container names a container and the engine that it runs under, as docker:NAME or podman:NAME.
type container struct {
	engine string // MechanismDocker or MechanismPodman, which is also the command
	name   string // or ID
}

var containerName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]*$`)

// parseContainer reads docker:NAME and podman:NAME. The error matches ErrNoWindow.
func parseContainer(text string) (container, error) {
	engine, name, ok := strings.Cut(text, ":")
	if !ok || engine != MechanismDocker && engine != MechanismPodman || !containerName.MatchString(name) {
		return container{}, fmt.Errorf("%w: container %q: docker:NAME or podman:NAME is wanted", ErrNoWindow, text)
	}
	return container{engine, name}, nil
}

func (c container) String() string { return c.engine + ":" + c.name }

// containerAt takes the container from the path of a control group. False: none is there, or it is one of Kubernetes,
// which starts another in the place of one that is stopped. Where the path does not name the engine (a cgroup-parent of
// the operator's), it is taken to be Docker's; the engine is asked before it is believed.
func containerAt(cgroup string) (container, bool) {
	id := containerID.FindString(cgroup)
	if id == "" || strings.Contains(cgroup, "kubepods") {
		return container{}, false
	}
	if strings.Contains(cgroup, "libpod") {
		return container{MechanismPodman, id}, true
	}
	return container{MechanismDocker, id}, true
}

// unitAt takes the systemd service from the path of a control group: only from its last part, since a process below a
// service's group (a session, a container's engine) is not that service.
func unitAt(cgroup string) string {
	if last := path.Base(cgroup); strings.HasSuffix(last, ".service") {
		return last
	}
	return ""
}

// containerState is what is used of an engine's answer.
type containerState struct {
	ID    string `json:"Id"`
	Name  string
	State struct {
		Running bool
		Pid     int // of its first process, on the host
	}
	HostConfig struct{ AutoRemove bool }
	Mounts     []struct{ Type, Source, Destination string }
}

// stoppable refuses a container that the engine removes once it has stopped.
func (s containerState) stoppable(c container) error {
	if s.HostConfig.AutoRemove {
		return fmt.Errorf("container %v was made with --rm: it would be gone once it is stopped", c)
	}
	return nil
}

// isContainer says whether a configuration is named by a container, as docker:NAME or podman:NAME.
func isContainer(configuration string) bool {
	return strings.HasPrefix(configuration, MechanismDocker+":") || strings.HasPrefix(configuration, MechanismPodman+":")
}

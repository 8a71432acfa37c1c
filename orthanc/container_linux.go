package orthanc

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

const inspectLimit = 20 * time.Second // for an engine to answer

// inspect asks the engine about the container, and refuses one that does not run: it is not what runs Orthanc, and must not
// be started.
func (c container) inspect() (containerState, error) {
	ctx, cancel := context.WithTimeout(context.Background(), inspectLimit)
	defer cancel()
	var said bytes.Buffer
	cmd := exec.CommandContext(ctx, c.engine, "inspect", "--type", "container", c.name)
	cmd.Stderr = &said
	cmd.WaitDelay = time.Second
	text, err := cmd.Output()
	if err != nil {
		return containerState{}, fmt.Errorf("ask about container %v: %w: %s", c, err, strings.Join(strings.Fields(said.String()), " "))
	}
	var found []containerState
	if err := json.Unmarshal(text, &found); err != nil || len(found) != 1 {
		return containerState{}, fmt.Errorf("ask about container %v: unknown answer (%v)", c, err)
	}
	state := found[0]
	state.Name = strings.TrimPrefix(state.Name, "/")
	if !state.State.Running {
		return state, fmt.Errorf("container %v does not run", c)
	}
	return state, nil
}

package orthanctest

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// NeedDocker skips the test where no Docker engine answers, or this is not root, who alone can look into containers.
func NeedDocker(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can look into containers")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if out, err := exec.CommandContext(ctx, "docker", "version", "--format", "{{.Server.Version}}").CombinedOutput(); err != nil {
		t.Skipf("no Docker engine answers: %v %s", err, out)
	}
}

// NeedDebian13 returns the root folder that get-debian13.sh makes. Where there is none the test is skipped, or fails when
// ORTHOKEEP_TORTURE is set.
func NeedDebian13(t testing.TB) string {
	t.Helper()
	for _, root := range roots() {
		folder := filepath.Join(root, ".cache", "debian13", "root")
		if _, err := os.Stat(filepath.Join(folder, "usr", "sbin", "Orthanc")); err == nil {
			return folder
		}
	}
	const missing = "no Debian 13 here: run 'sh orthanc/orthanctest/get-debian13.sh' as root"
	if os.Getenv("ORTHOKEEP_TORTURE") != "" {
		t.Fatal(missing)
	}
	t.Skip(missing)
	return ""
}

// Docker runs docker and returns what it prints, without the last newline. An error ends the test.
func Docker(t testing.TB, args ...string) string {
	t.Helper()
	out, err := exec.Command("docker", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("docker %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSuffix(string(out), "\n")
}

// Image makes an image of what tar packs with these arguments, and removes it when the test ends.
func Image(t testing.TB, tarArgs ...string) string {
	t.Helper()
	tar := exec.Command("tar", append([]string{"-c"}, tarArgs...)...)
	load := exec.Command("docker", "import", "-")
	pipe, err := tar.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	load.Stdin = pipe
	if err := tar.Start(); err != nil {
		t.Fatal(err)
	}
	out, err := load.Output()
	if err := tar.Wait(); err != nil {
		t.Fatalf("tar: %v", err)
	}
	if err != nil {
		t.Fatalf("docker import: %v", err)
	}
	image := strings.TrimSpace(string(out))
	t.Cleanup(func() {
		if out, err := exec.Command("docker", "rmi", "-f", image).CombinedOutput(); err != nil {
			t.Errorf("docker rmi: %v: %s", err, out)
		}
	})
	return image
}

// Container runs a container by docker run -d with these arguments and returns its ID. It is removed when the test ends.
func Container(t testing.TB, args ...string) string {
	t.Helper()
	id := Docker(t, append([]string{"create"}, args...)...)
	id = id[strings.LastIndexByte(id, '\n')+1:]
	t.Cleanup(func() {
		out, err := exec.Command("docker", "rm", "-f", id).CombinedOutput()
		if err != nil && !strings.Contains(string(out), "No such container") {
			t.Errorf("docker rm: %v: %s", err, out)
		}
	})
	Docker(t, "start", id)
	return id
}

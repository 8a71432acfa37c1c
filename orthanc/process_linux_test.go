package orthanc_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/orthokeep/orthokeep/orthanc"
	"github.com/orthokeep/orthokeep/orthanc/orthanctest"
)

func TestFindProcess(t *testing.T) {
	t.Parallel()
	s := orthanctest.Start(t, orthanctest.Options{SplitIndex: true, Env: []string{"FIND_ME=x=y"}})
	index := filepath.Join(s.IndexDir(), "index")

	// It is found by a link, too: device and inode count, not the path.
	link := filepath.Join(t.TempDir(), "other")
	if err := os.Symlink(s.IndexDir(), link); err != nil {
		t.Fatal(err)
	}
	// "Orthanc", or the loader that it is started by.
	exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", s.PID()))
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Base(exe)
	for _, path := range []string{index, filepath.Join(link, "index")} {
		p, err := orthanc.FindProcess(path)
		if err != nil {
			t.Fatal(err)
		}
		if p.PID != s.PID() || p.Start == 0 || p.Name != program || p.UID != os.Getuid() || p.Dir == "" || len(p.Readers) != 0 {
			t.Fatalf("%+v, want process %d", p, s.PID())
		}
		env, err := p.Environment()
		if err != nil {
			t.Fatal(err)
		}
		if value, ok := env("FIND_ME"); !ok || value != "x=y" {
			t.Fatalf("FIND_ME is %q", value)
		}
		if _, ok := env("FIND_ME_NOT"); ok {
			t.Fatal("found what is not there")
		}
	}

	// A copy of the index is another file.
	copied := write(t, t.TempDir(), "index", "")
	if _, err := orthanc.FindProcess(copied); !errors.Is(err, orthanc.ErrNoProcess) || !strings.Contains(err.Error(), copied) {
		t.Fatalf("copy: %v", err)
	}

	reader := hold(t, index, os.O_RDONLY)
	if p, err := orthanc.FindProcess(index); err != nil || len(p.Readers) != 1 || p.Readers[0] != reader {
		t.Fatalf("with reader %d: %+v, %v", reader, p, err)
	}
	writer := hold(t, index, os.O_RDWR)
	if _, err := orthanc.FindProcess(index); !errors.Is(err, orthanc.ErrManyProcesses) || !strings.Contains(err.Error(), fmt.Sprint(writer)) {
		t.Fatalf("with writer %d: %v", writer, err)
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	if p, err := orthanc.FindProcess(index); err != nil || p.PID != writer {
		t.Fatalf("after the stop: %+v, %v", p, err)
	}
}

// hold starts a process that has a file open until the test ends, and returns its number.
func hold(t *testing.T, path string, flags int) int {
	t.Helper()
	f, err := os.OpenFile(path, flags, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	cat := exec.Command("cat")
	cat.ExtraFiles = []*os.File{f}
	stdin, err := cat.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cat.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close()
		_ = cat.Wait()
	})
	return cat.Process.Pid
}

// TestFindProcessHidden runs this test again as another user, who may not look into the process that holds the file.
func TestFindProcessHidden(t *testing.T) {
	if index := os.Getenv("TEST_FIND_PROCESS"); index != "" {
		_, err := orthanc.FindProcess(index)
		fmt.Println("result:", errors.Is(err, orthanc.ErrProcessHidden), err)
		return
	}
	if os.Geteuid() != 0 {
		t.Skip("only root can run a test as another user")
	}
	dir, err := os.MkdirTemp("", "orthokeep-hidden")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	index := write(t, dir, "index", "")
	hold(t, index, os.O_RDWR)
	program := filepath.Join(dir, "test")
	if err := copyFile(program, os.Args[0]); err != nil {
		t.Fatal(err)
	}
	command := exec.Command(program, "-test.run", "^TestFindProcessHidden$", "-test.count=1")
	command.Dir = dir
	command.Env = append(os.Environ(), "TEST_FIND_PROCESS="+index)
	command.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := command.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "result: true") || !strings.Contains(string(out), "run as root") {
		t.Fatalf("%v\n%s", err, out)
	}
}

func copyFile(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o755)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		out.Close()
		return err
	}
	return out.Close()
}

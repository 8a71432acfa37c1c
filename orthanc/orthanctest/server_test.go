//go:build linux

package orthanctest_test

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/orthokeep/orthokeep/orthanc/orthanctest"
)

func TestServer(t *testing.T) {
	t.Parallel()
	s := orthanctest.Start(t, orthanctest.Options{SplitIndex: true, Dicom: true})
	var ids []string
	for i := range 6 {
		data := orthanctest.Sample(1, 1, i/3, i, 16)
		id, err := s.Upload(data)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
		read, err := s.ReadAttachment(id)
		if err != nil || !bytes.Equal(read, data) {
			t.Fatalf("instance %d reads back as %d bytes (%v), sent %d", i, len(read), err, len(data))
		}
		sum := md5.Sum(data)
		if stated, err := s.AttachmentMD5(id); err != nil || stated != hex.EncodeToString(sum[:]) {
			t.Fatalf("instance %d: MD5 %q (%v), sent %x", i, stated, err, sum)
		}
	}
	if _, err := os.Stat(filepath.Join(s.IndexDir(), "index")); err != nil {
		t.Fatal(err)
	}
	statistics, err := s.Statistics()
	if err != nil || statistics.CountInstances != 6 || statistics.CountSeries != 2 || statistics.TotalDiskSize == 0 {
		t.Fatalf("statistics %+v, %v", statistics, err)
	}
	before, err := s.Content(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(ids[0]); err != nil {
		t.Fatal(err)
	}
	after, err := s.Content(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if lines := orthanctest.Diff(before, after); len(lines) != 1 || lines[0] != "instances/"+ids[0]+": only in the first" {
		t.Fatalf("after one deletion: %q", lines)
	}
	if instances, err := s.Instances(); err != nil || len(instances) != 5 {
		t.Fatalf("%d instances, %v", len(instances), err)
	}
}

// TestCompareFindsDamage: bytes that changed in the storage area are seen, although Orthanc itself does not look.
func TestCompareFindsDamage(t *testing.T) {
	t.Parallel()
	s := orthanctest.Start(t, orthanctest.Options{})
	if _, err := s.Upload(orthanctest.Sample(1, 1, 1, 1, 16)); err != nil {
		t.Fatal(err)
	}
	if err := orthanctest.Compare(t.Context(), s, s); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(s.StorageDir(), "??", "??", "*"))
	if err != nil || len(files) != 1 {
		t.Fatalf("%q, %v", files, err)
	}
	data, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)-1] ^= 1
	if err := os.WriteFile(files[0], data, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := orthanctest.Compare(t.Context(), s, s); err == nil || !strings.Contains(err.Error(), "the index says") {
		t.Fatalf("a flipped bit: %v", err)
	}
}

func TestStopWakesFrozen(t *testing.T) {
	t.Parallel()
	s := orthanctest.Start(t, orthanctest.Options{})
	if err := syscall.Kill(s.PID(), syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	if err := s.Stop(); err != nil || s.Running() || time.Since(begin) > 20*time.Second {
		t.Fatalf("stop after %v: %v", time.Since(begin), err)
	}
}

func TestStartReportsRefusal(t *testing.T) {
	t.Parallel()
	orthanctest.Need(t)
	_, err := orthanctest.Run(t.Context(), orthanctest.Options{Dir: t.TempDir(), Settings: map[string]any{"HttpPort": "wrong"}})
	if err == nil || !strings.Contains(err.Error(), "it ended") || !strings.Contains(err.Error(), "HttpPort") {
		t.Fatalf("wrong configuration: %v", err)
	}
}

func TestFindNamed(t *testing.T) {
	t.Setenv("ORTHOKEEP_ORTHANC", filepath.Join(t.TempDir(), "absent"))
	if path, err := orthanctest.Find(); err == nil {
		t.Fatalf("a named Orthanc that is absent gave %s", path)
	}
}

package orthanc_test

import (
	"os"
	"testing"

	"github.com/orthokeep/orthokeep/orthanc"
	"github.com/orthokeep/orthokeep/orthanc/orthanctest"
	"github.com/orthokeep/orthokeep/repo"
)

func TestViewOfASnapshot(t *testing.T) {
	s := newSite(t, orthanctest.Options{})
	s.upload(6, 12)
	sum, err := s.backup(s.options(orthanc.ModeFreeze))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	v, err := orthanc.OpenView(t.Context(), s.repo(repo.Credentials{Recovery: s.keys.Recovery}), sum.Root, dir)
	if err != nil {
		t.Fatal(err)
	}
	studies := int64(0)
	for _, err := range v.Studies(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		studies++
	}
	if studies == 0 || studies != sum.Root.Counts.Studies {
		t.Errorf("%d studies, the snapshot has %d", studies, sum.Root.Counts.Studies)
	}
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("an index was left in clear: %v, %v", left, err)
	}
}

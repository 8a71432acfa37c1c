package orthanc_test

import (
	"testing"

	"github.com/orthokeep/orthokeep/orthanc"
	"github.com/orthokeep/orthokeep/orthanc/orthanctest"
	"github.com/orthokeep/orthokeep/repo"
)

// TestEstimate compares an estimate with the backup that follows.
func TestEstimate(t *testing.T) {
	s := newSite(t, orthanctest.Options{})
	s.upload(8, 150)
	site, err := orthanc.Survey(s.options(orthanc.ModeFreeze))
	if err != nil {
		t.Fatal(err)
	}
	e, err := site.Estimate(t.Context(), s.repo(repo.Credentials{Writer: s.keys.Writer}), 0, 1)
	if err != nil {
		t.Fatal(err)
	}
	sum, err := s.backup(s.options(orthanc.ModeFreeze))
	if err != nil {
		t.Fatal(err)
	}
	c := sum.Root.Counts
	near := func(what string, got, want, percent int64) {
		if got < want*(100-percent)/100 || got > want*(100+percent)/100 {
			t.Errorf("%s: about %d, and it was %d", what, got, want)
		}
	}
	near("attachments", e.Attachments, c.Attachments, 1)
	near("new", e.New, c.Attachments, 1)
	near("bytes", e.Bytes, c.Bytes, 1) // all of them are in the sample
	near("stored", e.Stored, sum.Root.Added.Bytes, 20)
	if e.Staging == 0 || e.Time <= 0 {
		t.Errorf("%+v", e)
	}
}

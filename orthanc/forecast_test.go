package orthanc

import (
	"testing"
	"time"
)

type notes struct {
	NoProgress
	lines []string
}

func (n *notes) Note(text string) { n.lines = append(n.lines, text) }

func TestForecast(t *testing.T) {
	now := time.Unix(0, 0)
	p, stored := &notes{}, int64(0)
	f := newForecast(p, 100e9, func() int64 { return stored }, func() time.Time { return now })
	for range 30 {
		now, stored = now.Add(time.Second), stored+25e6
		f.Add(1, 100e6)
	}
	if len(p.lines) != 1 || p.lines[0] != "after 1 % of 100.0 GB: the whole will take about 16m40s and store about 25.0 GB" {
		t.Errorf("%q", p.lines)
	}
	small := &notes{}
	f = newForecast(small, 100e6, func() int64 { return 1 }, func() time.Time { return now })
	for range 100 {
		now = now.Add(time.Second)
		f.Add(1, 1e6)
	}
	if len(small.lines) != 0 {
		t.Errorf("a backup of 100 MB was forecast: %q", small.lines)
	}
}

package snapshot

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden files anew")

func berlin(t testing.TB) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

// series are snapshots of a server, one at each of n times, the first at from and every one step after the one before.
func series(server string, from time.Time, step time.Duration, n int) (roots []*Root) {
	for i := range n {
		at := from.Add(time.Duration(i) * step)
		roots = append(roots, &Root{Server: server, Time: at.UTC(), name: at.UTC().Format("20060102T150405Z")})
	}
	return roots
}

func never(*Root) bool { return false }

// TestRetainGolden holds what policies decide, with their reasons, to testdata/retain.
func TestRetainGolden(t *testing.T) {
	loc := berlin(t)
	local := func(y int, m time.Month, d, h int) time.Time { return time.Date(y, m, d, h, 0, 0, 0, loc) }
	twoYears := series("pacs/A", local(2024, 11, 20, 2), 24*time.Hour, 730)
	tagged := series("pacs/A", local(2026, 1, 1, 2), 24*time.Hour, 6)
	tagged[1].Tags, tagged[2].Tags, tagged[3].Tags = []string{"upgrade"}, []string{"upgrade", "verified"}, []string{"verified"}
	for name, c := range map[string]struct {
		roots  []*Root
		policy Policy
		held   func(*Root) bool
	}{
		"usual":          {twoYears, Policy{Daily: 14, Weekly: 8, Monthly: 24, Yearly: 10}, never},
		"quarters":       {twoYears, Policy{Last: 2, Quarterly: Unlimited}, never},
		"within":         {twoYears, Policy{Within: Span{Months: 1, Days: 2, Hours: 3}}, never},
		"clocks-back":    {series("pacs/A", local(2026, 10, 25, 0), 20*time.Minute, 15), Policy{Hourly: 4}, never},
		"clocks-forward": {series("pacs/A", local(2026, 3, 29, 0), 20*time.Minute, 12), Policy{Hourly: 3, Daily: 5}, never},
		"tags-and-hold":  {tagged, Policy{Tags: [][]string{{"upgrade", "verified"}, {"other"}}}, func(r *Root) bool { return r == tagged[0] }},
		"two-servers": {append(series("pacs/B", local(2026, 5, 1, 2), 24*time.Hour, 4), series("pacs/A", local(2026, 6, 1, 2), 24*time.Hour, 4)...),
			Policy{Last: 2}, never},
		"year-of-53-weeks": {series("pacs/A", local(2026, 12, 20, 2), 24*time.Hour, 24), Policy{Weekly: 10}, never},
	} {
		var out strings.Builder
		for _, d := range Retain(c.roots, c.policy, c.held, loc) {
			if d.Keep != (len(d.Reasons) > 0) {
				t.Errorf("%s: kept %v for %v", name, d.Keep, d.Reasons)
			}
			if d.Keep {
				fmt.Fprintf(&out, "%s %s keep %s\n", d.Root.Server, d.Root.Time.In(loc).Format("Mon 2006-01-02 15:04 -0700"), strings.Join(d.Reasons, "; "))
			} else if len(c.roots) < 100 {
				fmt.Fprintf(&out, "%s %s remove\n", d.Root.Server, d.Root.Time.In(loc).Format("Mon 2006-01-02 15:04 -0700"))
			}
		}
		golden(t, filepath.Join("testdata", "retain", name+".txt"), out.String())
	}
}

func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs:\n%s", path, got)
	}
}

// TestRetainIsStable: what a policy keeps today it keeps when it is applied again, and day after day under the usual policy never
// more is kept than its numbers allow.
func TestRetainIsStable(t *testing.T) {
	loc := berlin(t)
	p := Policy{Daily: 14, Weekly: 8, Monthly: 24, Yearly: 10}
	var kept []*Root
	for _, root := range series("s", time.Date(2024, 1, 1, 1, 30, 0, 0, time.UTC), 24*time.Hour, 800) {
		kept = append(kept, root)
		for range 2 {
			before := len(kept)
			var next []*Root
			for _, d := range Retain(kept, p, never, loc) {
				if d.Keep {
					next = append([]*Root{d.Root}, next...)
				}
			}
			if kept = next; len(kept) > 14+8+24+10 || len(kept) == 0 {
				t.Fatalf("%s: %d of %d are kept", root.Time, len(kept), before)
			}
		}
		if kept[len(kept)-1] != root {
			t.Fatalf("%s: the newest was removed", root.Time)
		}
	}
	if months := len(kept); months < 24 {
		t.Errorf("after two years %d are kept", months)
	}
}

func TestRetainEdges(t *testing.T) {
	if got := Retain(nil, Policy{Last: 1}, never, time.UTC); len(got) != 0 {
		t.Errorf("of nothing: %v", got)
	}
	one := series("s", now, time.Hour, 3)
	if got := Retain(one, Policy{}, never, time.UTC); !got[0].Keep || got[1].Keep || got[2].Keep || got[0].Root != one[2] {
		t.Errorf("without a rule the newest alone is kept: %v", got)
	}
	for _, p := range []Policy{{Last: 1}, {Hourly: 1}, {Yearly: Unlimited}, {Within: Span{Hours: 1}}, {Tags: [][]string{{"a"}}}} {
		if p.Empty() {
			t.Errorf("%+v has a rule", p)
		}
	}
	if !(Policy{}).Empty() {
		t.Error("the zero policy has a rule")
	}
}

func TestParseSpan(t *testing.T) {
	for text, want := range map[string]Span{"2y5m7d3h": {2, 5, 7, 3}, "36h": {Hours: 36}, "10d": {Days: 10}, "1y12h": {Years: 1, Hours: 12}} {
		if got, err := ParseSpan(text); err != nil || got != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "5", "d", "5x", "3h7d", "1d1d", "-1d", "1.5d", "0d", "123456d", "7 d"} {
		if got, err := ParseSpan(text); err == nil {
			t.Errorf("%q is %v", text, got)
		}
	}
}

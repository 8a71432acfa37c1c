package repo

import (
	"slices"
	"testing"
)

// TestCandidates: the emptiest packs are repacked first, no more of them than the bound of what is unused asks for, no more bytes than may be
// moved; small packs only where there are many.
func TestCandidates(t *testing.T) {
	pack := func(size int64, blobs, chosen uint32, bytes int64, marked bool) packUse {
		return packUse{packCell: packCell{size: size, blobs: blobs, class: Content}, marked: marked, chosen: chosen, bytes: bytes}
	}
	const packSize = 1 << 20
	u := &usage{packs: []packUse{
		pack(1000_000, 10, 10, 999_000, false), // 0: all of it is needed
		pack(1000_000, 10, 1, 100_000, false),  // 1
		pack(1000_000, 10, 5, 500_000, false),  // 2
		pack(1000_000, 10, 0, 0, false),        // 3: nothing is needed, and nothing to be moved
		pack(1000_000, 10, 1, 10_000, true),    // 4: marked
		pack(1000_000, 10, 9, 900_000, false),  // 5
		pack(10_000, 10, 10, 9_000, false),     // 6: small, but there are not many
	}}
	for name, c := range map[string]struct {
		o    SpaceOptions
		want []int
	}{
		"nothing may be unused":           {SpaceOptions{}, []int{1, 2, 5}},
		"a tenth may be":                  {SpaceOptions{MaxUnused: 0.1}, []int{1, 2}},
		"half may be":                     {SpaceOptions{MaxUnused: 0.5}, nil},
		"little may be moved":             {SpaceOptions{MaxMove: 150_000}, []int{1}},
		"less may be moved than any pack": {SpaceOptions{MaxMove: 50_000}, nil},
	} {
		if got := u.candidates(packSize, c.o); !slices.Equal(got, c.want) {
			t.Errorf("%s: packs %v, want %v", name, got, c.want)
		}
	}
	for range manySmall {
		u.packs = append(u.packs, pack(10_000, 10, 10, 9_000, false))
	}
	if got := u.candidates(packSize, SpaceOptions{MaxUnused: 0.5}); len(got) != manySmall+1 || got[0] != 6 {
		t.Errorf("of many small packs %v are repacked", got)
	}
}

// TestRipe: a mark may be settled when its note is there and none of the runs that it names is under way any more.
func TestRipe(t *testing.T) {
	run := func(name string, ended, expired bool) RunState {
		return RunState{Name: name, Ended: ended, Expired: expired}
	}
	for name, c := range map[string]struct {
		m    mark
		runs []RunState
		want bool
	}{
		"no note":                      {mark{}, nil, false},
		"nobody was under way":         {mark{noted: true}, []RunState{run("b", false, false)}, true},
		"one is still":                 {mark{noted: true, runs: []string{"a", "b"}}, []RunState{run("a", true, false), run("b", false, false)}, false},
		"all have ended":               {mark{noted: true, runs: []string{"a", "b"}}, []RunState{run("a", true, false), run("b", true, true)}, true},
		"one was given up":             {mark{noted: true, runs: []string{"a"}}, []RunState{run("a", false, true)}, true},
		"one has ended and is deleted": {mark{noted: true, runs: []string{"a"}}, nil, true},
	} {
		if got := c.m.ripe(c.runs); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

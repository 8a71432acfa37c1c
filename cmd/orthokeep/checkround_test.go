package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/orthokeep/orthokeep/repo"
)

// TestCheckRound: what was read goes on where it ended, what was not stays where it was, and a file that is gone or unreadable is begun by the clock.
func TestCheckRound(t *testing.T) {
	cache := filepath.Join(t.TempDir(), "cache", "repository")
	now := time.Unix(1_700_000_000, 0)
	first := readCheckRound(cache, now)
	if first == readCheckRound(cache, now.Add(time.Nanosecond)) || first != readCheckRound(cache, now) {
		t.Error("without a file it does not begin by the clock")
	}
	packs := repo.NewArc(first.Packs, 0.05)
	keep := func(r checkRound) {
		t.Helper()
		if err := r.keep(cache); err != nil {
			t.Fatal(err)
		}
	}
	keep(first)
	if readCheckRound(cache, now.Add(time.Hour)) != first {
		t.Error("what a check kept is not where the next one begins")
	}
	keep(first.after(repo.CheckOptions{ReadPacks: packs}))
	second := readCheckRound(cache, now.Add(time.Hour))
	if second != (checkRound{packs.End(), first.Data}) {
		t.Errorf("after the packs: %+v, it was %+v", second, first)
	}
	data := repo.NewArc(second.Data, 0.3)
	keep(second.after(repo.CheckOptions{ReadData: data}))
	third := readCheckRound(cache, now)
	if third != (checkRound{packs.End(), data.End()}) {
		t.Errorf("after the data: %+v, it was %+v", third, second)
	}
	for _, o := range []repo.CheckOptions{{}, {ReadPacks: repo.NewArc(third.Packs, 1), ReadData: repo.NewArc(third.Data, 1)}} {
		if got := third.after(o); got != third {
			t.Errorf("a check of nothing, or of all, went on to %+v", got)
		}
	}
	for _, text := range []string{"", "{", `{"read_packs":-1}`, "\x00"} {
		if err := os.WriteFile(checkRoundPath(cache), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := readCheckRound(cache, now); got != first {
			t.Errorf("with %q it begins at %+v", text, got)
		}
	}
}

package snapshot

import (
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/orthokeep/orthokeep/chunk/dicomtest"
	"github.com/orthokeep/orthokeep/repo"
)

// hospital gives a server the day of a small hospital: studies come, some are deleted, some are anonymised.
type hospital struct {
	*world
	kept []dicomtest.Instance // some that are still to be copied
}

func (h *hospital) day(n int) {
	kinds := []dicomtest.Kind{dicomtest.CT, dicomtest.MR, dicomtest.SR}
	for i := range dicomtest.Study(dicomtest.Config{Seed: uint64(n), Kind: kinds[n%3], Instances: 2 + n%3, Columns: 192}) {
		h.addFile(i.Data)
		if h.rnd.IntN(3) == 0 {
			h.kept = append(h.kept, i)
		}
	}
	if n%5 == 0 && len(h.kept) > 0 {
		i := h.kept[h.rnd.IntN(len(h.kept))]
		h.addFile(i.Anonymize(uint64(n)).Data)
		h.addFile(i.Modify(uint64(n)).Data)
	}
	for range h.rnd.IntN(5) {
		if len(h.list) > 20 {
			h.remove(h.rnd.IntN(len(h.list)))
		}
	}
}

// TestYears takes a snapshot of every night and prunes every day, under the policy of the README. After each day check is clean, one of
// the snapshots left restores, and the unused space is within its bound; at the end all of them restore. ORTHOKEEP_NIGHTS says how many
// nights: 730 are two years.
func TestYears(t *testing.T) {
	nights := 40
	if raceEnabled || testing.Short() {
		nights = 15
	}
	if n, err := strconv.Atoi(os.Getenv("ORTHOKEEP_NIGHTS")); err == nil {
		nights = n
	}
	const maxUnused = 0.05
	h := &hospital{world: newMemoryWorld(t, testKeys(t))}
	policy := Policy{Daily: 14, Weekly: 8, Monthly: 24, Yearly: 10}
	states := map[string]state{}
	began := time.Now()
	var moved, freed int64
	for n := range nights {
		h.day(n)
		root := h.mustBackup()
		states[root.Name()] = h.state(root)
		s, err := h.pruneWith(PruneOptions{Policy: policy})
		if err != nil {
			t.Fatalf("night %d: %v", n, err)
		}
		moved, freed = moved+s.Space.Moved, freed+s.Space.Freed
		if used := h.packBytes() - s.Space.WaitingBytes; float64(s.Space.Unused) > maxUnused*float64(used) {
			t.Fatalf("night %d: %d of %d bytes are unused", n, s.Space.Unused, used)
		}
		for _, d := range s.Decisions {
			if !d.Keep {
				delete(states, d.Root.Name())
			}
		}
		roots, err := Roots(t.Context(), h.writer())
		if err != nil || len(roots) != len(states) {
			t.Fatalf("night %d: %d snapshots instead of %d, %v", n, len(roots), len(states), err)
		}
		if problems, err := Check(t.Context(), h.writer(), roots); err != nil || len(problems) > 0 {
			t.Fatalf("night %d: check: %v %v", n, problems, err)
		}
		report, err := h.writer().Check(t.Context(), repo.CheckOptions{ReadPacks: repo.NewArc(uint64(n)<<58, 0.1)}, NoProgress{})
		if err != nil || report.Damaged() {
			t.Fatalf("night %d: check of the packs: %+v %v", n, report, err)
		}
		h.verify(states[roots[h.rnd.IntN(len(roots))].Name()])
	}
	for _, s := range states {
		h.verify(s)
	}
	h.sound(len(states))
	t.Logf("%d nights in %v: %d snapshots of %d attachments are left, in %.1f MB of packs; %.1f MB were moved, %.1f MB freed", nights, time.Since(began).Round(time.Second),
		len(states), len(h.list), float64(h.packBytes())/1e6, float64(moved)/1e6, float64(freed)/1e6)
}

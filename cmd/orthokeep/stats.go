package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/orthokeep/orthokeep/repo"
	"github.com/orthokeep/orthokeep/snapshot"
)

func (p *program) statsCommand() *cobra.Command {
	return p.command(&cobra.Command{
		Use:   "stats",
		Short: "Print figures of the repository",
		Args:  noArgs,
	}, func(ctx context.Context, _ []string) error { return p.stats(ctx) })
}

// statsJSON is what stats prints, OUTPUT.md.
type statsJSON struct {
	Repository string           `json:"repository"`
	Snapshots  int              `json:"snapshots"`
	Restorable int64            `json:"restorable"` // bytes that restoring every snapshot would write
	Newest     int64            `json:"newest"`     // bytes that restoring the newest one would write
	Heads      snapshot.HeadUse `json:"heads"`
	repo.Stats
}

func (p *program) stats(ctx context.Context) error {
	r, err := p.openDamaged(ctx, false)
	if err != nil {
		return err
	}
	roots, err := snapshot.Roots(ctx, r.Repository)
	if err != nil {
		return err
	}
	s := statsJSON{Repository: r.ID(), Snapshots: len(roots)}
	if s.Stats, err = r.Stats(ctx); err != nil {
		return err
	}
	if s.Heads, err = snapshot.FindHeadUse(ctx, r.Repository, roots); err != nil {
		return err
	}
	for _, root := range roots {
		s.Newest = root.Counts.Bytes + root.Index.Size
		s.Restorable += s.Newest
	}
	if p.json {
		return p.printJSON(s)
	}
	var out strings.Builder
	fmt.Fprintf(&out, "snapshots  %s, together %s; the newest %s\n", formatCount(int64(s.Snapshots)), formatBytes(s.Restorable), formatBytes(s.Newest))
	fmt.Fprintf(&out, "stored     %s%s\n", formatBytes(s.Stored), ratioText(s.Restorable, s.Stored))
	fmt.Fprintf(&out, "content    %s before encoding, each blob once\n", formatBytes(s.ContentPlain))
	fmt.Fprintf(&out, "packs      %s with %s blobs, %s; of these %s of structure\n", formatCount(s.Packs), formatCount(s.Blobs), formatBytes(s.PackBytes), formatBytes(s.StructureBytes))
	fmt.Fprintf(&out, "headers    %s in chunks before encoding; of these %s that no snapshot needs\n", formatBytes(s.Heads.Bytes), formatBytes(s.Heads.Dead))
	fmt.Fprintf(&out, "segments   %s, epochs %s\n", formatCount(s.Segments), formatCount(s.Epochs))
	return p.printf("%s", out.String())
}

// ratioText is ", 1 : 12.3", nothing when there is nothing to compare.
func ratioText(whole, stored int64) string {
	if whole == 0 || stored == 0 {
		return ""
	}
	return fmt.Sprintf(", 1 : %.1f of what can be restored", float64(whole)/float64(stored))
}

package main

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/orthokeep/orthokeep/orthanc"
	"github.com/orthokeep/orthokeep/repo"
	"github.com/orthokeep/orthokeep/snapshot"
)

func (p *program) snapshotsCommand() *cobra.Command {
	var server string
	var tags []string
	var own bool
	c := p.command(&cobra.Command{
		Use:   "snapshots",
		Short: "List the snapshots",
		Args:  noArgs,
	}, func(ctx context.Context, _ []string) error { return p.snapshots(ctx, server, tags, own) })
	c.Flags().StringVar(&server, "server", "", "only those of this `name`")
	c.Flags().StringSliceVar(&tags, "tag", nil, "only those with this `word`; may be repeated")
	c.Flags().BoolVar(&own, "own", false, "find out what each one alone needs: the space that its removal would free")
	return c
}

// snapshotJSON is a line of the list, OUTPUT.md.
type snapshotJSON struct {
	ID          string          `json:"id"`
	Time        time.Time       `json:"time"`
	Server      string          `json:"server"`
	Tags        []string        `json:"tags"`
	Held        bool            `json:"held"`
	Patients    int64           `json:"patients"`
	Studies     int64           `json:"studies"`
	Series      int64           `json:"series"`
	Instances   int64           `json:"instances"`
	Attachments int64           `json:"attachments"`
	Bytes       int64           `json:"bytes"`
	BytesAdded  int64           `json:"bytes_added"`
	BytesOwn    *int64          `json:"bytes_own,omitempty"`
	Window      snapshot.Window `json:"window"`
}

func (p *program) snapshots(ctx context.Context, server string, tags []string, own bool) error {
	r, err := p.openDamaged(ctx, false)
	if err != nil {
		return err
	}
	roots, bad := snapshot.Roots(ctx, r.Repository)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	list := []snapshotJSON{}
	columns, owned := []string{"ID", "TIME", "SERVER", ">STUDIES", ">INSTANCES", ">SIZE", ">ADDED", "WINDOW", "TAGS"}, []int64(nil)
	if own {
		if owned, err = snapshot.FindOwn(ctx, r.Repository, roots); err != nil {
			return err
		}
		columns = slices.Insert(columns, 7, ">OWN")
	}
	t := newTable(columns...)
	for i, root := range roots {
		if (server != "" && root.Server != server) || !hasTags(root.Tags, tags) {
			continue
		}
		c := root.Counts
		line := snapshotJSON{root.ID, root.Time.UTC(), root.Server, append([]string{}, root.Tags...), root.Held, c.Patients, c.Studies, c.Series,
			c.Instances, c.Attachments, c.Bytes + root.Index.Size, root.Added.Bytes, nil, root.Window}
		cells := []string{root.Short(), formatTime(root.Time), root.Server, formatCount(c.Studies), formatCount(c.Instances), formatBytes(c.Bytes + root.Index.Size),
			formatBytes(root.Added.Bytes), windowShort(root.Window), tagText(root)}
		if own {
			line.BytesOwn = &owned[i]
			cells = slices.Insert(cells, 7, formatBytes(owned[i]))
		}
		list = append(list, line)
		t.add(cells...)
	}
	if p.json {
		err = p.printJSON(list)
	} else {
		err = t.print(p.stdout)
	}
	return errors.Join(err, bad)
}

// tagText is the tags of a snapshot, and whether it is held.
func tagText(root *snapshot.Root) string {
	words := root.Tags
	if root.Held {
		words = append(slices.Clone(words), "(held)")
	}
	return strings.Join(words, ",")
}

// windowShort is "freeze 6 ms"; "none" for a server that was down.
func windowShort(w snapshot.Window) string {
	if w.Mode == orthanc.ModeNone {
		return w.Mode
	}
	return w.Mode + " " + formatDuration(time.Duration(w.Seconds*float64(time.Second)))
}

// hasTags reports whether all that is wanted is there.
func hasTags(has, want []string) bool {
	for _, w := range want {
		found := false
		for _, h := range has {
			found = found || h == w
		}
		if !found {
			return false
		}
	}
	return true
}

// openSnapshot opens the repository with the recovery key, and finds the snapshot that a person means.
func (p *program) openSnapshot(ctx context.Context, what, server string) (*opened, *snapshot.Root, error) {
	r, err := p.openDamaged(ctx, true)
	if err != nil {
		return nil, nil, err
	}
	root, err := p.findSnapshot(ctx, r.Repository, what, server)
	return r, root, err
}

// findSnapshot returns the snapshot that a person means. A damaged root beside it does not matter.
func (p *program) findSnapshot(ctx context.Context, r *repo.Repository, what, server string) (*snapshot.Root, error) {
	p.subject = what
	roots, bad := snapshot.Roots(ctx, r)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	root, err := snapshot.Resolve(roots, what, server, time.Local)
	if err != nil {
		return nil, hint(errors.Join(err, bad), "orthokeep snapshots lists them")
	}
	p.subject = root.Short()
	return root, nil
}

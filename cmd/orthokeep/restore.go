package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/orthokeep/orthokeep/orthanc"
	"github.com/orthokeep/orthokeep/repo"
	"github.com/orthokeep/orthokeep/snapshot"
)

// restoreFlags are the flags of restore.
type restoreFlags struct {
	target, server             string
	rewrite, overwrite, dryRun bool
}

func (p *program) restoreCommand() *cobra.Command {
	var f restoreFlags
	c := p.command(&cobra.Command{
		Use:   "restore SNAPSHOT",
		Short: "Bring back a whole server, ready to be started",
		Long: "restore writes the index, the attachments, the configuration and the files that it names to a folder that Orthanc can be\n" +
			"started on. SNAPSHOT is latest, the beginning of an ID, or a time, which means the last one before. Every attachment is\n" +
			"compared with the MD5 of its backup; a damaged one is named and not written, and all the rest is restored.",
		Args: oneSnapshot,
	}, func(ctx context.Context, args []string) error { return p.restore(ctx, args[0], f) })
	c.Flags().StringVar(&f.target, "target", "", "`folder` to restore to; it is made, or must be empty")
	c.Flags().StringVar(&f.server, "server", "", "look at the snapshots of this `name` only")
	c.Flags().BoolVar(&f.rewrite, "rewrite-configuration", false, "let the restored configuration name the restored folders, so that Orthanc starts on them where they are")
	c.Flags().BoolVar(&f.overwrite, "overwrite", false, "restore to a folder that is not empty, and replace what is in the way")
	c.Flags().BoolVar(&f.dryRun, "dry-run", false, "show what would be done, and whether there is space")
	return c
}

// oneSnapshot is for commands with a snapshot as their argument.
func oneSnapshot(c *cobra.Command, args []string) error {
	switch len(args) {
	case 0:
		return hint(usageError("which snapshot? latest, the beginning of an ID, or a time"), "orthokeep snapshots lists them")
	case 1:
		return nil
	}
	return noArgs(c, args[1:])
}

// A restoreJSON is the plan or the summary of a restore, OUTPUT.md.
type restoreJSON struct {
	Type          string   `json:"type"` // "plan", "summary"
	Snapshot      string   `json:"snapshot"`
	Target        string   `json:"target"`
	Storage       string   `json:"storage"`
	Index         string   `json:"index"`
	Configuration string   `json:"configuration"`
	Attachments   int64    `json:"attachments"`
	Bytes         int64    `json:"bytes"` // of attachments
	BytesNeeded   int64    `json:"bytes_needed"`
	BytesFree     *int64   `json:"bytes_free"` // null when it is not known
	Orphans       int64    `json:"orphans"`
	Damaged       int64    `json:"damaged"`
	DamagedUUIDs  []string `json:"damaged_uuids"`
	Notes         []string `json:"notes"`
	Start         []string `json:"start"`
	Seconds       float64  `json:"seconds"`
}

func (p *program) restore(ctx context.Context, what string, f restoreFlags) error {
	if f.target == "" {
		return usageError("where to? name a folder with --target")
	}
	r, root, err := p.openSnapshot(ctx, what, f.server)
	if err != nil {
		return err
	}
	o := orthanc.RestoreOptions{Target: f.target, Overwrite: f.overwrite, Rewrite: f.rewrite}
	plan, err := orthanc.PlanRestore(ctx, r.Repository, root, o)
	if errors.Is(err, snapshot.ErrNotEmpty) {
		err = hint(err, "name an empty folder, or let what is in the way be replaced with --overwrite")
	}
	if err != nil {
		return err
	}
	if f.dryRun || !p.json {
		if err := p.printPlan(root, plan, f); err != nil {
			return err
		}
	}
	if f.dryRun {
		return nil
	}
	end, err := p.reading(ctx, r.Repository, root, "restore")
	if err != nil {
		return err
	}
	defer end()
	began := time.Now()
	res, err := orthanc.Restore(ctx, r.Repository, root, o, &p.progress)
	p.progress.Done()
	p.sayHealed(r.Repository)
	if res == nil {
		return err
	}
	return errors.Join(p.printRestored(root, res, time.Since(began)), damageError(err))
}

// sayHealed names what was damaged, and was read by its parity.
func (p *program) sayHealed(r *repo.Repository) {
	if healed := r.Healed(); len(healed) > 0 {
		p.warn("%s is damaged in the repository, and was healed by its parity as it was read (%d such objects): orthokeep check puts it right", healed[0], len(healed))
	}
}

// planJSON is what plan and summary have in common.
func planJSON(kind string, root *snapshot.Root, plan *orthanc.RestorePlan) restoreJSON {
	out := restoreJSON{Type: kind, Snapshot: root.ID, Target: plan.Target, Storage: plan.Storage, Index: plan.Index, Configuration: plan.Configuration,
		Attachments: plan.Attachments, Bytes: root.Counts.Bytes, BytesNeeded: plan.Needed, DamagedUUIDs: []string{}, Notes: []string{}, Start: plan.Steps}
	if root.Orphans != nil {
		out.Orphans = root.Orphans.Attachments
	}
	if plan.Free >= 0 {
		out.BytesFree = &plan.Free
	}
	return out
}

func (p *program) printPlan(root *snapshot.Root, plan *orthanc.RestorePlan, f restoreFlags) error {
	if p.json {
		return p.printJSON(planJSON("plan", root, plan))
	}
	free := "not known"
	if plan.Free >= 0 {
		free = formatBytes(plan.Free)
	}
	var out strings.Builder
	fmt.Fprintf(&out, "snapshot       %s of %s, %s\n", root.Short(), printable(root.Server), formatTime(root.Time))
	fmt.Fprintf(&out, "holds          %s studies, %s instances, %s attachments, %s\n", formatCount(root.Counts.Studies), formatCount(root.Counts.Instances),
		formatCount(plan.Attachments), formatBytes(root.Counts.Bytes))
	fmt.Fprintf(&out, "target         %s: %s needed, %s free\n", plan.Target, formatBytes(plan.Needed), free)
	rewritten := "as it was"
	if f.rewrite {
		rewritten = "its folders rewritten to the target"
	}
	fmt.Fprintf(&out, "configuration  %s, %s\n", printable(plan.Configuration), rewritten)
	return p.printf("%s", out.String())
}

func (p *program) printRestored(root *snapshot.Root, res *orthanc.RestoreResult, took time.Duration) error {
	done := res.Restored
	var uuids []string
	for _, u := range done.Damaged {
		uuids = append(uuids, u.String())
	}
	if p.json {
		sum := planJSON("summary", root, res.Plan)
		sum.Attachments, sum.Bytes, sum.Damaged, sum.Orphans = done.Attachments, done.Bytes, done.DamagedAll, res.Orphans.Attachments
		sum.DamagedUUIDs, sum.Notes = append(sum.DamagedUUIDs, uuids...), append(sum.Notes, res.Notes...)
		sum.Seconds = took.Seconds()
		return p.printJSON(sum)
	}
	for i, u := range uuids {
		if i == damagedShown && len(uuids) > damagedShown {
			p.note("and %s more; --json names up to %s", formatCount(done.DamagedAll-damagedShown), formatCount(int64(len(uuids))))
			break
		}
		p.note("damaged and not restored: attachment %s", u)
	}
	var out strings.Builder
	fmt.Fprintf(&out, "restored       %s attachments, %s, in %s; the MD5 of each one compared with its backup's\n", formatCount(done.Attachments), formatBytes(done.Bytes), formatDuration(took))
	for _, line := range res.Notes {
		fmt.Fprintf(&out, "note           %s\n", printable(line))
	}
	for _, line := range res.Plan.Steps {
		fmt.Fprintf(&out, "start it       %s\n", printable(line))
	}
	return p.printf("%s", out.String())
}

const damagedShown = 10 // UUIDs

// damageError adds the next step to a restore that is not whole.
func damageError(err error) error {
	if !errors.Is(err, repo.ErrCorrupt) {
		return err
	}
	return hint(err, "Orthanc starts on the rest, but answers with an error for these; orthokeep check --read-data names the damage, and another snapshot may hold them")
}

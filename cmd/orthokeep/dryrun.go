package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/orthokeep/orthokeep/orthanc"
	"github.com/orthokeep/orthokeep/snapshot"
)

// A backupPlan is what backup --dry-run prints, OUTPUT.md.
type backupPlan struct {
	Type          string   `json:"type"` // "plan"
	Server        string   `json:"server"`
	Configuration string   `json:"configuration"`
	Index         string   `json:"index"`
	Storage       string   `json:"storage"`
	Process       int      `json:"process"` // 0: none
	Unit          string   `json:"unit"`
	Mode          string   `json:"window_mode"`
	Mechanism     string   `json:"window_mechanism"`
	Reason        string   `json:"window_reason"`
	Files         []string `json:"files"`
	LeftOut       []string `json:"left_out"`
	Warnings      []string `json:"warnings"`

	Attachments    int64   `json:"attachments"` // this and what follows: about
	Bytes          int64   `json:"bytes"`
	AttachmentsNew int64   `json:"attachments_new"`
	BytesAdded     int64   `json:"bytes_added"`
	BytesStaging   int64   `json:"bytes_staging"`
	Seconds        float64 `json:"seconds"`
	Sampled        int     `json:"sampled"`
}

// planBackup shows what a backup would do. It changes nothing.
func (p *program) planBackup(ctx context.Context, r *opened, site *orthanc.Site, server string) error {
	parent, err := newest(ctx, r, server)
	if err != nil {
		return err
	}
	var known int64
	if parent != nil {
		known = parent.Counts.Attachments
	}
	p.progress.Phase("estimate", "", 0, 0)
	e, err := site.Estimate(ctx, r.Repository, known, rand.Uint64())
	if err != nil {
		return err
	}
	p.progress.Done()
	plan := backupPlan{Type: "plan", Server: server, Configuration: site.Configuration.Path, Index: site.Layout.Index, Storage: site.Layout.Storage,
		Mode: site.Choice.Mode, Mechanism: site.Choice.Mechanism, Reason: site.Choice.Reason, Files: []string{}, LeftOut: append([]string{}, site.Extra.LeftOut...),
		Warnings:    append(append([]string{}, site.Layout.Warnings...), site.Extra.Warnings...),
		Attachments: e.Attachments, Bytes: e.Bytes, AttachmentsNew: e.New, BytesAdded: e.Stored, BytesStaging: e.Staging, Seconds: milliseconds(e.Time), Sampled: e.Sampled}
	if site.Process != nil {
		plan.Process, plan.Unit = site.Process.PID, site.Process.Unit
	}
	for _, f := range site.Extra.Files {
		plan.Files = append(plan.Files, f.Path)
	}
	for _, w := range plan.Warnings {
		p.warn("%s", w)
	}
	if p.json {
		return p.printJSON(plan)
	}
	return p.printBackupPlan(plan, site, parent, e)
}

func (p *program) printBackupPlan(plan backupPlan, site *orthanc.Site, parent *snapshot.Root, e orthanc.Estimate) error {
	var out strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&out, "%-14s %s\n", name, printable(fmt.Sprintf(format, args...)))
	}
	line("server", "%s, configuration %s", plan.Server, plan.Configuration)
	line("index", "SQLite, %s", plan.Index)
	line("storage", "%s", plan.Storage)
	line("process", "%s", processText(site.Process))
	line("window", "%s", site.Choice)
	for _, f := range site.Extra.Files {
		line("with it", "%s (%s)", f.Path, f.Kind)
	}
	for _, text := range plan.LeftOut {
		line("left out", "%s", text)
	}
	line("attachments", "about %s, %s", formatCount(e.Attachments), formatBytes(e.Bytes))
	if parent == nil {
		line("new", "all: it would be the first snapshot of this server")
	} else {
		line("new", "about %s since %s, %s", formatCount(e.New), parent.Short(), formatTime(parent.Time))
	}
	line("would take", "about %s of the repository, %s for copies of the index while it runs, %s", formatBytes(e.Stored), formatBytes(e.Staging), formatDuration(e.Time))
	if e.Sampled > 0 {
		line("", "estimated from %s files; what older snapshots share with new files is not counted", formatCount(int64(e.Sampled)))
	}
	line("next", "nothing was stored: leave out --dry-run to take the snapshot")
	return p.printf("%s", out.String())
}

func processText(process *orthanc.Process) string {
	if process == nil {
		return "none holds the index: the server is down"
	}
	text := fmt.Sprintf("%d, %s", process.PID, process.Name)
	if process.Unit != "" {
		text += ", of " + process.Unit
	}
	if process.Container != "" {
		text += ", in container " + process.Container[:min(12, len(process.Container))]
	}
	return text
}

// newest returns the newest snapshot of a server, nil for none. Damaged ones beside it do not matter to a plan.
func newest(ctx context.Context, r *opened, server string) (found *snapshot.Root, err error) {
	roots, _ := snapshot.Roots(ctx, r.Repository)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	at := time.Time{}
	for _, root := range roots {
		if root.Server == server && root.Time.After(at) {
			found, at = root, root.Time
		}
	}
	return found, nil
}

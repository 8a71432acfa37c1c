package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/orthokeep/orthokeep/orthanc"
	"github.com/orthokeep/orthokeep/snapshot"
)

// backupFlags are the flags of backup.
type backupFlags struct {
	orthanc, window string
	stop, start     string
	server          string
	tags            []string
	dryRun, full    bool
	orphans         bool
}

func (p *program) backupCommand() *cobra.Command {
	var f backupFlags
	c := p.command(&cobra.Command{
		Use:   "backup",
		Short: "Take a snapshot of an Orthanc server",
		Long: "backup takes one consistent snapshot: the index and exactly the attachments that it names, at one instant. Orthanc\n" +
			"runs on, and stands still only while the last pages of its index are copied: it is frozen for milliseconds, or, where\n" +
			"that is not permitted, stopped and started. A backup that was interrupted keeps what it stored; the next goes on there.",
		Args: noArgs,
	}, func(ctx context.Context, _ []string) error { return p.backup(ctx, f) })
	c.Flags().StringVar(&f.orthanc, "orthanc", "", "the `file or folder` that Orthanc is started with, or docker:NAME or podman:NAME, the container that it runs in")
	c.Flags().StringVar(&f.window, "window", orthanc.ModeAuto, "how the instant is taken: auto, freeze, stop, or none when the server is down")
	c.Flags().StringVar(&f.stop, "stop-command", "", "`command` that stops Orthanc (default: its systemd unit is stopped)")
	c.Flags().StringVar(&f.start, "start-command", "", "`command` that starts Orthanc again")
	c.Flags().StringVar(&f.server, "server", "", "`name` under which the snapshots of this Orthanc follow each other (default: HOST/NAME)")
	c.Flags().StringSliceVar(&f.tags, "tag", nil, "`word` to find the snapshot by; may be repeated")
	c.Flags().BoolVar(&f.dryRun, "dry-run", false, "show what would be done, with an estimate of time and space")
	c.Flags().BoolVar(&f.orphans, "orphans", false, "store files of the storage area that the index does not name, too; they are restored to a folder of their own")
	c.Flags().BoolVar(&f.full, "full-check", false, "let SQLite check the index wholly (integrity_check instead of quick_check)")
	return c
}

func (p *program) backup(ctx context.Context, f backupFlags) error {
	if f.orthanc == "" {
		return usageError("which Orthanc? name its configuration with --orthanc")
	}
	switch f.window {
	case orthanc.ModeAuto, orthanc.ModeFreeze, orthanc.ModeStop, orthanc.ModeNone:
	default:
		return usageError("--window %s: auto, freeze, stop or none is wanted", f.window)
	}
	if (f.stop == "") != (f.start == "") {
		return usageError("--stop-command and --start-command belong together")
	}
	r, err := p.openWith(ctx, false)
	if err != nil {
		return err
	}
	if !f.dryRun {
		if err := p.undoWindows(); err != nil {
			return err
		}
	}
	site, err := orthanc.Survey(orthanc.SiteOptions{Configuration: f.orthanc, Window: f.window, Stop: f.stop, Start: f.start, StateDir: p.stateDir()})
	if err != nil {
		return err
	}
	host, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("read the host's name: %w", err)
	}
	if f.server == "" {
		f.server = host + "/" + site.Configuration.Name
	}
	if f.dryRun {
		return p.planBackup(ctx, r, site, f.server)
	}
	began := time.Now()
	s, err := orthanc.Backup(ctx, site, r.Repository, orthanc.BackupOptions{Server: f.server, Host: host, Tags: f.tags, CacheDir: r.cache,
		Bound: orthanc.DefaultBound, FullCheck: f.full, Orphans: f.orphans, Clock: time.Now}, &p.progress)
	if err != nil {
		return err
	}
	p.progress.Done()
	for _, w := range s.Warnings {
		p.warn("%s", w)
	}
	if p.json {
		return p.printJSON(backupSummary(s, time.Since(began)))
	}
	return p.printBackup(s, time.Since(began))
}

// stateDir is the runtime folder of open windows: the same for all runs of one user, gone with a reboot.
func (p *program) stateDir() string {
	if os.Geteuid() == 0 {
		return "/run/orthokeep"
	}
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		return filepath.Join(dir, "orthokeep")
	}
	return filepath.Join(os.TempDir(), fmt.Sprintf("orthokeep-%d", os.Geteuid()))
}

// undoWindows puts right what a run left whose guard was killed too.
func (p *program) undoWindows() error {
	lines, err := orthanc.Undo(p.stateDir())
	for _, line := range lines {
		p.warn("%s", line)
	}
	return err
}

// backupJSON is the summary of a backup, OUTPUT.md.
type backupJSON struct {
	Type              string          `json:"type"`
	Snapshot          string          `json:"snapshot"`
	Time              time.Time       `json:"time"`
	Server            string          `json:"server"`
	Attachments       int64           `json:"attachments"`
	AttachmentsNew    int64           `json:"attachments_new"`
	BytesRead         int64           `json:"bytes_read"`
	BytesAdded        int64           `json:"bytes_added"`
	BytesAddedIndex   int64           `json:"bytes_added_index"`
	BytesAddedList    int64           `json:"bytes_added_manifest"`
	IndexBytes        int64           `json:"index_bytes"`
	IndexPagesChanged int64           `json:"index_pages_changed"`
	Window            snapshot.Window `json:"window"`
	Verified          int64           `json:"verified"`
	Orphans           int64           `json:"orphans"`
	OrphansStored     int64           `json:"orphans_stored"`
	Warnings          []string        `json:"warnings"`
	Seconds           float64         `json:"seconds"`
}

func backupSummary(s *orthanc.Summary, took time.Duration) backupJSON {
	r := s.Root
	return backupJSON{"summary", r.ID, r.Time.UTC(), r.Server, r.Counts.Attachments, s.Difference.New, r.Added.Read + r.Index.Size, r.Added.Bytes,
		r.Added.Index, r.Added.Manifest, r.Index.Size, s.Index.Changed, r.Window, r.Verified.Attachments, r.Verified.Orphans, orphansStored(r),
		append([]string{}, s.Warnings...), took.Seconds()}
}

func orphansStored(r *snapshot.Root) int64 {
	if r.Orphans == nil {
		return 0
	}
	return r.Orphans.Attachments
}

func (p *program) printBackup(s *orthanc.Summary, took time.Duration) error {
	r := s.Root
	var out strings.Builder
	fmt.Fprintf(&out, "attachments  %s in all, %s new, %s gone\n", formatCount(r.Counts.Attachments), formatCount(s.Difference.New), formatCount(s.Difference.Deleted))
	fmt.Fprintf(&out, "read         %s of attachments; index %s, %s of %s pages changed\n", formatBytes(r.Added.Read), formatBytes(r.Index.Size),
		formatCount(s.Index.Changed), formatCount(s.Index.Pages))
	fmt.Fprintf(&out, "added        %s%s\n", formatBytes(r.Added.Bytes), addedFor(r.Added))
	fmt.Fprintf(&out, "window       %s\n", windowText(r.Window))
	fmt.Fprintf(&out, "verified     size and MD5 of %s new attachments%s; index by %s\n", formatCount(r.Verified.Attachments), unstated(r.Verified.Unstated), r.Verified.Index)
	if r.Orphans != nil {
		fmt.Fprintf(&out, "orphans      %s files that the index does not name, %s, stored too\n", formatCount(r.Orphans.Attachments), formatBytes(r.Orphans.Bytes))
	} else if r.Verified.Orphans > 0 {
		fmt.Fprintf(&out, "orphans      %s files that the index does not name: left out (--orphans stores them)\n", formatCount(r.Verified.Orphans))
	}
	for _, line := range s.LeftOut {
		fmt.Fprintf(&out, "left out     %s\n", printable(line))
	}
	before := "the first of this server"
	if s.Parent != nil {
		before = fmt.Sprintf("%s after %s", formatDuration(r.Time.Sub(s.Parent.Time)), s.Parent.Short())
	}
	fmt.Fprintf(&out, "snapshot     %s, %s, in %s\n", r.Short(), before, formatDuration(took))
	return p.printf("%s", out.String())
}

// addedFor says what of it is not attachments.
func addedFor(a snapshot.Added) string {
	if a.Index+a.Manifest == 0 {
		return ""
	}
	return fmt.Sprintf(", of these %s for the index and %s for the list of attachments", formatBytes(a.Index), formatBytes(a.Manifest))
}

// unstated says what the index could not confirm.
func unstated(n int64) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(" (%s without an MD5 in the index: size alone)", formatCount(n))
}

func windowText(w snapshot.Window) string {
	if w.Mode == orthanc.ModeNone {
		return "none: the server was down"
	}
	text := fmt.Sprintf("%s by %s, %s", w.Mode, w.Mechanism, formatDuration(time.Duration(w.Seconds*float64(time.Second))))
	if w.Count > 1 {
		text += fmt.Sprintf(" the longest of %d", w.Count)
	}
	return text
}

package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/gofrs/flock"
	"github.com/spf13/cobra"

	"github.com/orthokeep/orthokeep/repo"
	"github.com/orthokeep/orthokeep/snapshot"
)

// pruneFlags are the flags of prune.
type pruneFlags struct {
	last, hourly, daily, weekly, monthly, quarterly, yearly count
	within                                                  string
	tags                                                    []string
	server                                                  string
	unused, repack                                          string
	dryRun, expire, takeOver                                bool
}

func (p *program) pruneCommand() *cobra.Command {
	var f pruneFlags
	c := p.command(&cobra.Command{
		Use:   "prune",
		Short: "Remove snapshots by a policy, and free space",
		Long: "prune keeps the snapshots that any --keep rule keeps, of every server by itself, always the newest one and those on hold,\n" +
			"and removes the others. What no snapshot needs is marked, and deleted by the prune after the runs under way have ended:\n" +
			"backups and restores need not wait. --dry-run shows every decision with its reason. The writer key is enough.",
		Args: noArgs,
	}, func(ctx context.Context, _ []string) error { return p.prune(ctx, f) })
	for _, rule := range []struct {
		n    *count
		name string
		what string
	}{
		{&f.last, "keep-last", "keep the newest `n` snapshots"},
		{&f.hourly, "keep-hourly", "keep the last of each of `n` hours"},
		{&f.daily, "keep-daily", "keep the last of each of `n` days"},
		{&f.weekly, "keep-weekly", "keep the last of each of `n` weeks"},
		{&f.monthly, "keep-monthly", "keep the last of each of `n` months"},
		{&f.quarterly, "keep-quarterly", "keep the last of each of `n` quarters"},
		{&f.yearly, "keep-yearly", "keep the last of each of `n` years"},
	} {
		c.Flags().Var(rule.n, rule.name, rule.what+", or unlimited")
	}
	c.Flags().StringVar(&f.within, "keep-within", "", "keep all of so long a `time` before the newest, as 1y6m14d12h")
	c.Flags().StringArrayVar(&f.tags, "keep-tag", nil, "keep those with this `word`, or with all of several joined by commas; may be repeated")
	c.Flags().StringVar(&f.server, "server", "", "apply the policy to the snapshots of this `name` only")
	c.Flags().StringVar(&f.unused, "max-unused", "5%", "`share` of the packs that may be unused before they are repacked")
	c.Flags().StringVar(&f.repack, "max-repack-size", "", "repack at most so much, as `20G`; the next prune goes on")
	c.Flags().BoolVar(&f.dryRun, "dry-run", false, "show what would be removed and why; change nothing")
	c.Flags().BoolVar(&f.expire, "expire-runs", false, "give up the runs under way: for those of hosts that are gone")
	c.Flags().BoolVar(&f.takeOver, "take-over", false, "end another prune, whose host is gone")
	return c
}

// count is the value of a rule: a number, or "unlimited".
type count int

func (c *count) String() string {
	if *c == snapshot.Unlimited {
		return "unlimited"
	}
	return strconv.Itoa(int(*c))
}

func (c *count) Type() string { return "count" }

func (c *count) Set(s string) error {
	if s == "unlimited" {
		*c = snapshot.Unlimited
		return nil
	}
	n, err := strconv.ParseUint(s, 10, 31)
	if err != nil {
		return errors.New("a number is wanted, or unlimited")
	}
	*c = count(n)
	return nil
}

// parseSize reads a number of bytes, as 500M or 20G, where K is 1024; nothing is 0.
func parseSize(s string) (int64, error) {
	if s == "" {
		return 0, nil
	}
	digits := strings.TrimRight(s, "KMGT")
	n, err := strconv.ParseInt(digits, 10, 32)
	power := strings.Index("KMGT", s[len(digits):]) + 1
	if s == digits {
		power = 0
	}
	if err != nil || n <= 0 || len(s)-len(digits) > 1 || n > math.MaxInt64>>(10*power) {
		return 0, errors.New("a size such as 500M or 20G is wanted")
	}
	return n << (10 * power), nil
}

// policy reads the rules.
func (f pruneFlags) policy() (snapshot.Policy, error) {
	policy := snapshot.Policy{Last: int(f.last), Hourly: int(f.hourly), Daily: int(f.daily), Weekly: int(f.weekly), Monthly: int(f.monthly),
		Quarterly: int(f.quarterly), Yearly: int(f.yearly)}
	if f.within != "" {
		var err error
		if policy.Within, err = snapshot.ParseSpan(f.within); err != nil {
			return policy, usageError("--keep-within %s: %v", f.within, err)
		}
	}
	for _, words := range f.tags {
		policy.Tags = append(policy.Tags, strings.Split(words, ","))
	}
	if policy.Empty() {
		return policy, hint(usageError("which snapshots are to be kept? give one --keep rule at least"), "orthokeep prune --keep-daily 14 --keep-weekly 8 --keep-monthly 24 --dry-run shows what that would keep")
	}
	return policy, nil
}

func (p *program) prune(ctx context.Context, f pruneFlags) error {
	policy, err := f.policy()
	if err != nil {
		return err
	}
	var unused float64
	if f.unused != "0%" { // nothing may be unused
		if unused, err = parseShare("max-unused", f.unused); err != nil {
			return err
		}
	}
	repack, err := parseSize(f.repack)
	if err != nil {
		return usageError("--max-repack-size %s: %v", f.repack, err)
	}
	host, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("read the host's name: %w", err)
	}
	r, err := p.openWith(ctx, false)
	if err != nil {
		return err
	}
	o := snapshot.PruneOptions{Policy: policy, Server: f.server, Location: time.Local, Host: host, Started: time.Now(), Expire: f.expire,
		Space: repo.SpaceOptions{MaxUnused: unused, MaxMove: repack}}
	if f.dryRun {
		decisions, err := snapshot.Decide(ctx, r.Repository, o)
		if err != nil {
			return err
		}
		return p.printPrune("plan", &snapshot.PruneSummary{Decisions: decisions})
	}
	if err := os.MkdirAll(r.cache, 0o700); err != nil {
		return err
	}
	lock := flock.New(filepath.Join(r.cache, "prune.lock"))
	alone, err := lock.TryLock()
	if err != nil {
		return fmt.Errorf("lock %s: %w", lock.Path(), err)
	}
	defer lock.Close()
	// One that this host left behind holds no file lock any more.
	o.TakeOver = func(h repo.PruneHolder) repo.Takeover {
		switch {
		case alone && h.Host == host:
			return repo.WasKilled
		case f.takeOver:
			return repo.TakeOver
		}
		return repo.KeepOut
	}
	p.progress.Phase("prune", "packs", 0, 0)
	s, err := snapshot.Prune(ctx, r.Repository, o, &p.progress)
	p.progress.Done()
	if s == nil {
		return err
	}
	return errors.Join(p.printPrune("summary", s), err)
}

// decisionJSON is what a policy says of a snapshot, OUTPUT.md.
type decisionJSON struct {
	ID      string    `json:"id"`
	Time    time.Time `json:"time"`
	Server  string    `json:"server"`
	Keep    bool      `json:"keep"`
	Reasons []string  `json:"reasons"`
}

// pruneJSON is the plan or the summary of a prune, OUTPUT.md.
type pruneJSON struct {
	Type         string         `json:"type"` // "plan", "summary"
	Snapshots    []decisionJSON `json:"snapshots"`
	Removed      int64          `json:"removed"`
	PacksDeleted int64          `json:"packs_deleted"`
	BytesFreed   int64          `json:"bytes_freed"`
	BytesMoved   int64          `json:"bytes_moved"`
	PacksWaiting int64          `json:"packs_waiting"`
	BytesWaiting int64          `json:"bytes_waiting"`
	BytesUnused  int64          `json:"bytes_unused"`
	Refused      int64          `json:"refused"`
	WaitingFor   []string       `json:"waiting_for"`
	Expired      []string       `json:"expired"`
}

func (p *program) printPrune(kind string, s *snapshot.PruneSummary) error {
	if s.Refused > 0 {
		p.warn("the storage refused %s deletions; the next prune tries again", formatCount(s.Refused))
	}
	if p.json {
		return p.printJSON(pruneDocument(kind, s))
	}
	t := newTable("ID", "TIME", "SERVER", "DECISION", "REASON")
	removed := 0
	for _, d := range s.Decisions {
		word := "keep"
		if !d.Keep {
			word = "remove"
			removed++
		}
		t.add(d.Root.Short(), formatTime(d.Root.Time), d.Root.Server, word, strings.Join(d.Reasons, "; "))
	}
	if err := t.print(p.stdout); err != nil {
		return err
	}
	var out strings.Builder
	if kind == "plan" {
		fmt.Fprintf(&out, "would remove   %s of %s snapshots\n", formatCount(int64(removed)), formatCount(int64(len(s.Decisions))))
		return p.printf("%s", out.String())
	}
	space := s.Space
	fmt.Fprintf(&out, "removed        %s of %s snapshots\n", formatCount(s.Removed), formatCount(int64(len(s.Decisions))))
	fmt.Fprintf(&out, "freed          %s, %s packs; %s moved\n", formatBytes(space.Freed), formatCount(space.Deleted), formatBytes(space.Moved))
	fmt.Fprintf(&out, "to be freed    %s, by the next prune\n", waitingText(space))
	for _, run := range space.WaitingFor {
		fmt.Fprintf(&out, "waits for      %s\n", printable(runText(run)))
	}
	for _, run := range s.Expired {
		fmt.Fprintf(&out, "given up       %s\n", printable(runText(run)))
	}
	if space.Looked {
		fmt.Fprintf(&out, "unused         %s in packs that are in use\n", formatBytes(space.Unused))
	}
	return p.printf("%s", out.String())
}

// waitingText says how much is marked.
func waitingText(s repo.SpaceReport) string {
	packs := formatCount(s.Waiting) + " packs"
	if s.Waiting > 0 && s.WaitingBytes == 0 {
		return packs
	}
	return formatBytes(s.WaitingBytes) + ", " + packs
}

func runText(run repo.RunState) string {
	return fmt.Sprintf("%s of %s on %s, since %s", run.Kind, run.Server, run.Host, formatTime(run.Started))
}

func pruneDocument(kind string, s *snapshot.PruneSummary) pruneJSON {
	out := pruneJSON{Type: kind, Snapshots: []decisionJSON{}, Removed: s.Removed, PacksDeleted: s.Space.Deleted, BytesFreed: s.Space.Freed, BytesMoved: s.Space.Moved,
		PacksWaiting: s.Space.Waiting, BytesWaiting: s.Space.WaitingBytes, BytesUnused: s.Space.Unused, Refused: s.Refused, WaitingFor: []string{}, Expired: []string{}}
	for _, d := range s.Decisions {
		out.Snapshots = append(out.Snapshots, decisionJSON{d.Root.ID, d.Root.Time.UTC(), d.Root.Server, d.Keep, append([]string{}, d.Reasons...)})
	}
	for _, run := range s.Space.WaitingFor {
		out.WaitingFor = append(out.WaitingFor, run.Name)
	}
	for _, run := range s.Expired {
		out.Expired = append(out.Expired, run.Name)
	}
	return out
}

package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/orthokeep/orthokeep/orthanc"
	"github.com/orthokeep/orthokeep/repo"
	"github.com/orthokeep/orthokeep/snapshot"
)

func (p *program) repairCommand() *cobra.Command {
	var readData, forget bool
	var parity string
	c := p.command(&cobra.Command{
		Use:   "repair",
		Short: "Put right what is damaged, and say what is lost",
		Long: "repair reads the whole repository. What has parity it puts right; packs that no segment lists it lists again; packs that are\n" +
			"damaged for good it puts in quarantine: from then on backups store again what Orthanc still has of them. It deletes\n" +
			"nothing. With --read-data it opens every blob and moves what is whole out of damaged packs, and names the studies that\n" +
			"are lost; that needs the recovery key.",
		Args: noArgs,
	}, func(ctx context.Context, _ []string) error { return p.repair(ctx, readData, forget, parity) })
	c.Flags().BoolVar(&readData, "read-data", false, "open every blob, and save what is whole in damaged packs")
	c.Flags().BoolVar(&forget, "forget", false, "give up snapshots whose list of attachments or index is lost: prune deletes them")
	c.Flags().StringVar(&parity, "parity", "", "from now on write so much parity, as `5%`, and write it for what has none; 0% ends it")
	return c
}

// parseParity reads "5%".
func parseParity(s string) (int, error) {
	n, err := strconv.Atoi(strings.TrimSuffix(s, "%"))
	if err != nil || n < 0 || n > repo.MaxParity {
		return 0, usageError("--parity %s: a share from 0%% to %d%% is wanted", s, repo.MaxParity)
	}
	return n, nil
}

func (p *program) repair(ctx context.Context, readData, forget bool, parity string) error {
	percent := -1
	if parity != "" {
		var err error
		if percent, err = parseParity(parity); err != nil {
			return err
		}
	}
	began := time.Now()
	r, err := p.openDamaged(ctx, readData)
	if err != nil {
		return err
	}
	if percent >= 0 && percent != r.Settings().Parity {
		if err := r.Change(ctx, repo.Settings{Parity: percent}); err != nil {
			return err
		}
	}
	host, _ := os.Hostname() // for people
	p.progress.Phase("repair", "packs", 0, 0)
	s, err := snapshot.Repair(ctx, r.Repository, snapshot.RepairOptions{ReadData: readData, Forget: forget, Host: host, Started: began}, &p.progress)
	if err != nil {
		return err
	}
	studies := map[snapshot.UUID]string{}
	if r.CanRead() {
		p.progress.Phase("name the studies", "", 0, 0)
		studies = p.studiesOf(ctx, r, s.Losses)
	}
	p.progress.Done()
	sum := repairDocument(s, studies, time.Since(began))
	if err := p.printRepair(sum, s); err != nil {
		return err
	}
	return repairError(s)
}

// studiesOf names the studies of lost attachments by Orthanc's identifiers, as far as the index of a snapshot is readable that has them.
func (p *program) studiesOf(ctx context.Context, r *opened, losses []*snapshot.Loss) map[snapshot.UUID]string {
	known := map[snapshot.UUID]string{}
	for _, loss := range slices.Backward(losses) {
		if !slices.ContainsFunc(loss.Attachments, func(id snapshot.UUID) bool { _, ok := known[id]; return !ok }) {
			continue
		}
		view, err := orthanc.OpenView(ctx, r.Repository, loss.Root, "")
		if err == nil {
			var studies map[snapshot.UUID]string
			studies, err = view.StudiesOf(ctx, loss.Attachments)
			maps.Copy(known, studies)
			err = errors.Join(err, view.Close())
		}
		if err != nil {
			p.note("the studies of snapshot %s cannot be named: %v", loss.Root.Short(), err)
		}
	}
	return known
}

// A lossJSON is what of a snapshot cannot be restored, OUTPUT.md.
type lossJSON struct {
	Snapshot    string           `json:"snapshot"`
	Time        time.Time        `json:"time"`
	Attachments []string         `json:"attachments"`
	Studies     map[string]int64 `json:"studies"` // Orthanc's identifier, and how many of its attachments are lost; without the recovery key empty
	Parts       []string         `json:"parts"`
}

// repairJSON is the summary of a repair, OUTPUT.md.
type repairJSON struct {
	Type            string     `json:"type"`
	Healed          int64      `json:"healed"`
	ParityWritten   int64      `json:"parity_written"`
	PacksListed     int64      `json:"packs_listed"`
	PacksQuarantine int64      `json:"packs_in_quarantine"`
	BlobsSaved      int64      `json:"blobs_saved"`
	BlobsInDanger   int64      `json:"blobs_in_danger"`
	BlobsLost       int64      `json:"blobs_lost"`
	Losses          []lossJSON `json:"losses"`
	Held            []string   `json:"held"`
	Forgotten       []string   `json:"forgotten"`
	Damaged         []string   `json:"damaged"`
	Seconds         float64    `json:"seconds"`
}

func repairDocument(s *snapshot.RepairSummary, studies map[snapshot.UUID]string, took time.Duration) repairJSON {
	out := repairJSON{Type: "summary", Healed: s.Repo.Healed, ParityWritten: s.Repo.Parity, PacksListed: s.Repo.Found, PacksQuarantine: s.Repo.Packs,
		BlobsSaved: s.Repo.Moved, BlobsInDanger: s.Repo.InDanger, BlobsLost: s.Repo.Lost, Losses: []lossJSON{}, Held: append([]string{}, s.Held...),
		Forgotten: append([]string{}, s.Forgotten...), Damaged: append([]string{}, s.Left...), Seconds: took.Seconds()}
	for _, loss := range s.Losses {
		l := lossJSON{loss.Root.ID, loss.Root.Time.UTC(), []string{}, map[string]int64{}, append([]string{}, loss.Parts...)}
		for _, id := range loss.Attachments {
			l.Attachments = append(l.Attachments, id.String())
			if study := studies[id]; study != "" {
				l.Studies[study]++
			}
		}
		out.Losses = append(out.Losses, l)
	}
	return out
}

func (p *program) printRepair(sum repairJSON, s *snapshot.RepairSummary) error {
	if p.json {
		return p.printJSON(sum)
	}
	var out strings.Builder
	fmt.Fprintf(&out, "healed         %s objects\n", formatCount(sum.Healed))
	if sum.ParityWritten > 0 {
		fmt.Fprintf(&out, "parity         written for %s objects\n", formatCount(sum.ParityWritten))
	}
	fmt.Fprintf(&out, "listed again   %s packs\n", formatCount(sum.PacksListed))
	fmt.Fprintf(&out, "quarantine     %s packs; %s blobs saved from them, %s lost, %s in danger\n", formatCount(sum.PacksQuarantine), formatCount(sum.BlobsSaved),
		formatCount(sum.BlobsLost), formatCount(sum.BlobsInDanger))
	for i, l := range sum.Losses {
		of := fmt.Sprintf("%s of %s", s.Losses[i].Root.Short(), formatTime(s.Losses[i].Root.Time))
		for _, part := range l.Parts {
			fmt.Fprintf(&out, "damaged        %s: %s\n", of, part)
		}
		named := int64(0)
		for _, study := range slices.Sorted(maps.Keys(l.Studies)) {
			fmt.Fprintf(&out, "damaged        %s: study %s, %s attachments\n", of, study, formatCount(l.Studies[study]))
			named += l.Studies[study]
		}
		if left := int64(len(l.Attachments)) - named; left > 0 {
			fmt.Fprintf(&out, "damaged        %s: %s attachments\n", of, formatCount(left))
		}
	}
	for _, name := range sum.Held {
		fmt.Fprintf(&out, "held           %s: whether it was before is not known any more\n", name)
	}
	for _, name := range sum.Forgotten {
		fmt.Fprintf(&out, "given up       %s\n", name)
	}
	for _, name := range sum.Damaged {
		fmt.Fprintf(&out, "damaged        %s\n", name)
	}
	return p.printf("%s", out.String())
}

// repairError says what is left to do.
func repairError(s *snapshot.RepairSummary) error {
	damaged := len(s.Losses) + len(s.Left)
	if damaged == 0 {
		return nil
	}
	err := fmt.Errorf("%d snapshots and %d objects are damaged still: %w", len(s.Losses), len(s.Left), repo.ErrCorrupt)
	switch {
	case s.Repo.InDanger > 0:
		return hint(err, "with --read-data and the recovery key repair saves what is whole in damaged packs; the next backup stores again what Orthanc still has")
	case slices.ContainsFunc(s.Losses, (*snapshot.Loss).Unreadable) || len(s.Left) > 0:
		return hint(err, "the next backup stores again what Orthanc still has; --forget gives up snapshots that are unreadable, so that prune can go on")
	}
	return hint(err, "the next backup stores again what Orthanc still has")
}

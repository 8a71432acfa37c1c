package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/orthokeep/orthokeep/repo"
	"github.com/orthokeep/orthokeep/snapshot"
)

// checkJSON is the summary of a check, OUTPUT.md.
type checkJSON struct {
	Type               string             `json:"type"`
	Snapshots          int                `json:"snapshots"`
	Packs              int64              `json:"packs"`
	Blobs              int64              `json:"blobs"`
	Bytes              int64              `json:"bytes"`
	PacksRead          int64              `json:"packs_read"`
	BytesRead          int64              `json:"bytes_read"`
	Attachments        int64              `json:"attachments"`
	AttachmentBytes    int64              `json:"attachment_bytes"`
	AttachmentsDamaged int64              `json:"attachments_damaged"`
	Indexes            int                `json:"indexes"`
	Findings           []repo.Finding     `json:"findings"`
	More               int64              `json:"more"`
	Problems           []snapshot.Problem `json:"problems"`
	Damaged            bool               `json:"damaged"`
	Seconds            float64            `json:"seconds"`
}

func (c *check) summary(took time.Duration) checkJSON {
	return checkJSON{
		Type: "summary", Snapshots: c.snapshots,
		Packs: c.report.Packs, Blobs: c.report.Blobs, Bytes: c.report.Bytes, PacksRead: c.report.PacksRead, BytesRead: c.report.Read,
		Attachments: c.data.Attachments, AttachmentBytes: c.data.Bytes, AttachmentsDamaged: c.data.Damaged, Indexes: c.indexes,
		Findings: append([]repo.Finding{}, c.report.Findings...), More: c.report.More, Problems: append([]snapshot.Problem{}, c.problems...),
		Damaged: c.report.Damaged() || len(c.problems) > 0 || c.unreadable != nil, Seconds: took.Seconds(),
	}
}

func (p *program) printCheck(sum checkJSON) error {
	for _, f := range sum.Findings {
		if f.Healed {
			p.warn("%s was damaged, and is healed (%s)", f.Object, oneLine(f.Detail))
		}
	}
	if p.json {
		return p.printJSON(sum)
	}
	for _, f := range sum.Findings {
		if f.Healed {
			continue
		}
		if !f.Damage {
			p.note("%s: %s", f.Object, f.Detail)
			continue
		}
		if err := p.printf("damage    %s: %s\n", f.Object, oneLine(f.Detail)); err != nil {
			return err
		}
	}
	if sum.More > 0 {
		p.note("and %s findings more", formatCount(sum.More))
	}
	for _, f := range sum.Problems {
		if err := p.printf("snapshot  %s: %s\n", f.Snapshot, oneLine(f.Detail)); err != nil {
			return err
		}
	}
	if sum.Damaged {
		return p.printf("looked at %s\n", sum.text())
	}
	return p.printf("no damage: %s\n", sum.text())
}

// text is what was looked at, and what of it was read.
func (s checkJSON) text() string {
	text := fmt.Sprintf("%s snapshots, %s packs with %s blobs, %s", formatCount(int64(s.Snapshots)), formatCount(s.Packs), formatCount(s.Blobs), formatBytes(s.Bytes))
	var read []string
	if s.Attachments > 0 {
		read = append(read, fmt.Sprintf("%s attachments of %s", formatCount(s.Attachments), formatBytes(s.AttachmentBytes)))
	}
	if s.Indexes > 0 {
		read = append(read, fmt.Sprintf("%s indexes", formatCount(int64(s.Indexes))))
	}
	if s.PacksRead > 0 {
		read = append(read, fmt.Sprintf("%s packs of %s", formatCount(s.PacksRead), formatBytes(s.BytesRead)))
	}
	if len(read) > 0 {
		text += "; read: " + strings.Join(read, ", ")
	}
	return text + "; in " + formatDuration(time.Duration(s.Seconds*float64(time.Second)))
}

// foundError says how much is damaged, and what to do next.
func foundError(sum checkJSON) error {
	objects, snapshots := map[string]bool{}, map[string]bool{}
	for _, f := range sum.Findings {
		if f.Damage {
			objects[f.Object] = true
		}
	}
	for _, problem := range sum.Problems {
		snapshots[problem.Snapshot] = true
	}
	return hint(fmt.Errorf("%d objects and %d snapshots are damaged: %w", len(objects), len(snapshots), repo.ErrCorrupt), "%s", afterDamage)
}

// afterDamage is what a person does next.
const afterDamage = "delete nothing, here or on the Orthanc, which may still have what is damaged, and run orthokeep repair: then the next backup stores it again"

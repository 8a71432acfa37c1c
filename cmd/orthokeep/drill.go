package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/spf13/cobra"

	"github.com/orthokeep/orthokeep/orthanc"
	"github.com/orthokeep/orthokeep/repo/storage"
	"github.com/orthokeep/orthokeep/snapshot"
)

// drillFlags are the flags of drill.
type drillFlags struct {
	binary, scratch, sample, server string
	keep                            bool
}

func (p *program) drillCommand() *cobra.Command {
	var f drillFlags
	c := p.command(&cobra.Command{
		Use:   "drill [SNAPSHOT]",
		Short: "Prove that a snapshot can be restored: start an Orthanc on it and compare",
		Long: "drill restores a snapshot (default: latest) to scratch space, starts the installed Orthanc on it and compares what it serves\n" +
			"with the snapshot: the counts of patients, studies, series and instances, and the MD5 of every attachment, or of a sample. Then it\n" +
			"stops Orthanc and removes all that it has restored. That Orthanc has a configuration of its own: no plug-ins, scripts, jobs, peers or DICOM\n" +
			"server, and as root a network of its own; else its port is open on this machine, behind a password for one time. The exit code is 0 when\n" +
			"all is equal, 12 when something differs or is damaged, 1 when it could not be tried.",
		Args: func(c *cobra.Command, args []string) error { return noArgs(c, args[min(1, len(args)):]) },
	}, func(ctx context.Context, args []string) error { return p.drill(ctx, append(args, "latest")[0], f) })
	c.Flags().StringVar(&f.sample, "sample", "100%", "compare a random `share` of the attachments, such as 5%")
	c.Flags().StringVar(&f.binary, "orthanc-binary", "", "`program` of Orthanc (default: Orthanc in PATH or /usr/sbin)")
	c.Flags().StringVar(&f.scratch, "scratch", "", "restore below this `folder`, in a private one that is removed afterwards (default: that for temporary files)")
	c.Flags().StringVar(&f.server, "server", "", "look at the snapshots of this `name` only")
	c.Flags().BoolVar(&f.keep, "keep", false, "leave the restored server behind, patient data in clear")
	return c
}

// A drillJSON is the summary of a drill, OUTPUT.md.
type drillJSON struct {
	Type         string                `json:"type"`
	Snapshot     string                `json:"snapshot"`
	Orthanc      string                `json:"orthanc"`
	Alone        bool                  `json:"alone"`
	Patients     int64                 `json:"patients"`
	Studies      int64                 `json:"studies"`
	Series       int64                 `json:"series"`
	Instances    int64                 `json:"instances"`
	Attachments  int64                 `json:"attachments"`
	Compared     int64                 `json:"compared"`
	Bytes        int64                 `json:"bytes"`
	Damaged      int64                 `json:"damaged"`
	Differing    int64                 `json:"differing"`
	Differences  []drillDifferenceJSON `json:"differences"`
	Equal        bool                  `json:"equal"`
	Folder       string                `json:"folder"`
	Notes        []string              `json:"notes"`
	SecondsStart float64               `json:"seconds_start"`
	Seconds      float64               `json:"seconds"`
}

type drillDifferenceJSON struct {
	Attachment string `json:"attachment"`
	Resource   string `json:"resource"`
	Detail     string `json:"detail"`
}

func (p *program) drill(ctx context.Context, what string, f drillFlags) error {
	sample, err := parseShare("sample", f.sample)
	if err != nil {
		return err
	}
	binary, err := orthanc.FindOrthanc(f.binary) // before a passphrase is asked for
	if err != nil {
		return err
	}
	r, root, err := p.openSnapshot(ctx, what, f.server)
	if err != nil {
		return err
	}
	o := orthanc.DrillOptions{Binary: binary, Scratch: f.scratch, Sample: sample, Seed: rand.Uint64(), Keep: f.keep}
	end, err := p.reading(ctx, r.Repository, root, "drill")
	if err != nil {
		return err
	}
	defer end()
	res, err := orthanc.Drill(ctx, r.Repository, root, o, &p.progress)
	p.progress.Done()
	p.sayHealed(r.Repository)
	if errors.Is(err, storage.ErrNoSpace) {
		err = hint(err, "name a folder on a larger disk with --scratch")
	}
	if res == nil {
		return err
	}
	return errors.Join(p.printDrill(root, res, f.keep), err)
}

func (p *program) printDrill(root *snapshot.Root, res *orthanc.DrillResult, keep bool) error {
	c := res.Counts
	if p.json {
		out := drillJSON{Type: "summary", Snapshot: root.ID, Orthanc: res.Orthanc, Alone: res.Alone,
			Patients: c.Patients, Studies: c.Studies, Series: c.Series, Instances: c.Instances, Attachments: root.Counts.Attachments,
			Compared: c.Attachments, Bytes: c.Bytes, Damaged: res.Damaged, Differing: res.Differing, Differences: []drillDifferenceJSON{},
			Equal: res.Damaged+res.Differing == 0, Notes: append([]string{}, res.Notes...), SecondsStart: res.Start.Seconds(), Seconds: res.Total.Seconds()}
		for _, d := range res.Differences {
			out.Differences = append(out.Differences, drillDifferenceJSON(d))
		}
		if keep {
			out.Folder = res.Folder
		}
		return p.printJSON(out)
	}
	var out strings.Builder
	fmt.Fprintf(&out, "snapshot   %s of %s, %s\n", root.Short(), printable(root.Server), formatTime(root.Time))
	network := "on a port of this machine, behind a password"
	if res.Alone {
		network = "in a network of its own"
	}
	fmt.Fprintf(&out, "orthanc    %s, started in %s, %s\n", res.Orthanc, formatDuration(res.Start), network)
	fmt.Fprintf(&out, "counts     %s patients, %s studies, %s series, %s instances\n", formatCount(c.Patients), formatCount(c.Studies), formatCount(c.Series), formatCount(c.Instances))
	fmt.Fprintf(&out, "compared   %s of %s attachments, %s\n", formatCount(c.Attachments), formatCount(root.Counts.Attachments), formatBytes(c.Bytes))
	for _, line := range res.Notes {
		fmt.Fprintf(&out, "note       %s\n", printable(line))
	}
	if keep {
		fmt.Fprintf(&out, "kept       %s\n", printable(res.Folder))
	}
	for _, d := range res.Differences {
		fmt.Fprintf(&out, "differs    %s\n", printable(d.String()))
	}
	if n := res.Differing - int64(len(res.Differences)); n > 0 {
		fmt.Fprintf(&out, "differs    and %s more\n", formatCount(n))
	}
	verdict := "equal      all that was compared"
	if res.Damaged+res.Differing > 0 {
		verdict = fmt.Sprintf("not equal  %s differences, %s attachments damaged in the repository", formatCount(res.Differing), formatCount(res.Damaged))
	}
	fmt.Fprintf(&out, "%s, in %s\n", verdict, formatDuration(res.Total))
	return p.printf("%s", out.String())
}

package main

import (
	"bufio"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/orthokeep/orthokeep/orthanc"
	"github.com/orthokeep/orthokeep/snapshot"
)

// lsFlags are the flags of ls. At most one of the switches is set.
type lsFlags struct {
	server                                        string
	patients, studies, series, attachments, files bool
}

func (p *program) lsCommand() *cobra.Command {
	var f lsFlags
	c := p.command(&cobra.Command{
		Use:   "ls SNAPSHOT",
		Short: "List what a snapshot holds",
		Long: "ls lists the studies of a snapshot, or what the flag names. It prints patient data, to standard output alone. The index\n" +
			"of the snapshot lies in a private temporary folder (TMPDIR) meanwhile.",
		Args: oneSnapshot,
	}, func(ctx context.Context, args []string) error { return p.ls(ctx, args[0], f) })
	c.Flags().BoolVar(&f.patients, "patients", false, "list patients")
	c.Flags().BoolVar(&f.studies, "studies", false, "list studies (default)")
	c.Flags().BoolVar(&f.series, "series", false, "list series")
	c.Flags().BoolVar(&f.attachments, "attachments", false, "list attachments, with their sizes and MD5s as Orthanc stores them")
	c.Flags().BoolVar(&f.files, "files", false, "list configuration files, scripts and certificates")
	c.Flags().StringVar(&f.server, "server", "", "look at the snapshots of this `name` only")
	return c
}

func (p *program) ls(ctx context.Context, what string, f lsFlags) error {
	asked := 0
	for _, flag := range []bool{f.patients, f.studies, f.series, f.attachments, f.files} {
		if flag {
			asked++
		}
	}
	if asked > 1 {
		return usageError("--patients, --studies, --series, --attachments, --files: one of them is wanted")
	}
	r, root, err := p.openSnapshot(ctx, what, f.server)
	if err != nil {
		return err
	}
	if f.files {
		files, err := snapshot.ReadFiles(ctx, r.Repository, root)
		if err != nil {
			return err
		}
		return p.listFiles(files)
	}
	signal.Ignore(syscall.SIGPIPE) // a reader that has seen enough is an error of a write: the view below has to be removed
	view, err := orthanc.OpenView(ctx, r.Repository, root, "")
	if err != nil {
		return err
	}
	err = p.listIndex(ctx, view.Index, f)
	if errors.Is(err, syscall.EPIPE) {
		err = nil
	}
	return errors.Join(err, view.Close())
}

func (p *program) listIndex(ctx context.Context, x *orthanc.Index, f lsFlags) error {
	switch {
	case f.patients:
		return printList(p, x.Patients(ctx), patientRow, "PATIENT ID", "NAME", "BORN", "SEX", ">STUDIES", ">INSTANCES", "ID")
	case f.series:
		return printList(p, x.Series(ctx), seriesRow, "MODALITY", ">NUMBER", "DESCRIPTION", ">INSTANCES", "SERIES INSTANCE UID", "STUDY INSTANCE UID")
	case f.attachments:
		return p.listAttachments(x.Attachments(ctx))
	}
	return printList(p, x.Studies(ctx), studyRow, "DATE", "PATIENT ID", "PATIENT", "DESCRIPTION", "ACCESSION", ">SERIES", ">INSTANCES", "STUDY INSTANCE UID")
}

// A row is a line of a list: as JSON, OUTPUT.md, and as the cells of a table.
type row struct {
	json  any
	cells []string
}

type patientJSON struct {
	ID        string `json:"id"`
	PatientID string `json:"patient_id"`
	Name      string `json:"name"`
	BirthDate string `json:"birth_date"`
	Sex       string `json:"sex"`
	Studies   int64  `json:"studies"`
	Instances int64  `json:"instances"`
}

func patientRow(x orthanc.Patient) row {
	return row{patientJSON(x), []string{x.PatientID, x.Name, x.BirthDate, x.Sex, formatCount(x.Studies), formatCount(x.Instances), x.ID}}
}

type studyJSON struct {
	ID               string `json:"id"`
	PatientID        string `json:"patient_id"`
	PatientName      string `json:"patient_name"`
	StudyInstanceUID string `json:"study_instance_uid"`
	Date             string `json:"date"`
	Description      string `json:"description"`
	AccessionNumber  string `json:"accession_number"`
	Series           int64  `json:"series"`
	Instances        int64  `json:"instances"`
}

func studyRow(x orthanc.Study) row {
	return row{studyJSON(x), []string{x.Date, x.PatientID, x.PatientName, x.Description, x.AccessionNumber, formatCount(x.Series), formatCount(x.Instances), x.StudyInstanceUID}}
}

type seriesJSON struct {
	ID                string `json:"id"`
	StudyInstanceUID  string `json:"study_instance_uid"`
	SeriesInstanceUID string `json:"series_instance_uid"`
	Modality          string `json:"modality"`
	Number            string `json:"number"`
	Description       string `json:"description"`
	Instances         int64  `json:"instances"`
}

func seriesRow(x orthanc.Series) row {
	return row{seriesJSON(x), []string{x.Modality, x.Number, x.Description, formatCount(x.Instances), x.SeriesInstanceUID, x.StudyInstanceUID}}
}

type attachmentJSON struct {
	UUID             string `json:"uuid"`
	Resource         int64  `json:"resource"`
	FileType         int    `json:"file_type"`
	Compression      int    `json:"compression"`
	Size             int64  `json:"size"`
	UncompressedSize int64  `json:"uncompressed_size"`
	MD5              string `json:"md5,omitempty"`
}

func attachmentRow(x orthanc.Attachment) attachmentJSON {
	out := attachmentJSON{UUID: x.UUID.String(), Resource: x.ResourceID, FileType: x.FileType, Compression: x.Compression, Size: x.CompressedSize,
		UncompressedSize: x.UncompressedSize}
	if x.HasMD5 {
		out.MD5 = hex.EncodeToString(x.CompressedMD5[:])
	}
	return out
}

type fileJSON struct {
	Path     string    `json:"path"`
	Kind     string    `json:"kind"`
	Key      string    `json:"key"`
	Mode     string    `json:"mode"` // octal
	UID      int       `json:"uid"`
	GID      int       `json:"gid"`
	User     string    `json:"user"`
	Group    string    `json:"group"`
	Modified time.Time `json:"modified"`
	Size     int64     `json:"size"`
	Link     string    `json:"link,omitempty"`
}

func (p *program) listFiles(files snapshot.Files) error {
	seq := func(yield func(snapshot.ExtraFile, error) bool) {
		for _, f := range files.Files {
			if !yield(f, nil) {
				return
			}
		}
	}
	return printList(p, seq, func(f snapshot.ExtraFile) row {
		mode := fmt.Sprintf("%04o", f.Mode)
		return row{fileJSON{f.Path, f.Kind, f.Key, mode, f.UID, f.GID, f.User, f.Group, f.Modified.UTC(), f.Size, f.Link},
			[]string{mode, f.User + ":" + f.Group, formatBytes(f.Size), formatTime(f.Modified), f.Kind, f.Path}}
	}, "MODE", "OWNER", ">SIZE", "MODIFIED", "KIND", "PATH")
}

// printList prints a list as a table, or as a JSON array.
func printList[T any](p *program, list iter.Seq2[T, error], of func(T) row, heads ...string) error {
	array := jsonArray{w: p.stdout}
	t := newTable(heads...)
	for x, err := range list {
		if err != nil {
			return err
		}
		if r := of(x); p.json {
			err = array.add(r.json)
		} else {
			t.add(r.cells...)
		}
		if err != nil {
			return err
		}
	}
	if p.json {
		return array.end()
	}
	return t.print(p.stdout)
}

// listAttachments prints line by line, since there can be millions.
func (p *program) listAttachments(list iter.Seq2[orthanc.Attachment, error]) (err error) {
	out := bufio.NewWriter(p.stdout)
	defer func() { err = errors.Join(err, out.Flush()) }()
	array := jsonArray{w: out}
	if !p.json {
		fmt.Fprintf(out, "%-36s  %4s  %12s  %s\n", "UUID", "TYPE", "BYTES", "MD5")
	}
	for x, err := range list {
		if err != nil {
			return err
		}
		a := attachmentRow(x)
		if p.json {
			err = array.add(a)
		} else {
			_, err = fmt.Fprintf(out, "%s  %4d  %12d  %s\n", a.UUID, a.FileType, a.Size, a.MD5)
		}
		if err != nil {
			return err
		}
	}
	if p.json {
		return array.end()
	}
	return nil
}

// A jsonArray writes a document of any length on one line, element by element.
type jsonArray struct {
	w     io.Writer
	begun bool
}

func (a *jsonArray) add(v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	before := "["
	if a.begun {
		before = ","
	}
	a.begun = true
	_, err = a.w.Write(append([]byte(before), text...))
	return err
}

func (a *jsonArray) end() error {
	text := "]\n"
	if !a.begun {
		text = "[]\n"
	}
	_, err := io.WriteString(a.w, text)
	return err
}

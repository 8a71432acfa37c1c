package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/orthokeep/orthokeep/chunk/dicomtest"
	"github.com/orthokeep/orthokeep/orthanc/orthanctest"
)

const (
	settingsName = "orthokeep.toml"
	settings     = `repo = "backup"                  # the repository
passphrase-file = "passphrase"   # of the recovery key; in real life kept elsewhere
writer-key = "writer.key"
cache-dir = "cache"

[backup]
orthanc = "hospital/orthanc.json"
`
)

// A demo is one demonstration in one folder.
type demo struct {
	dir                string
	shell              shell
	original, restored *orthanctest.Server // nil until they run
}

func (d *demo) say(format string, args ...any) { fmt.Printf("\n# "+format+"\n", args...) }

// stop stops both servers.
func (d *demo) stop() error {
	var g errgroup.Group
	for _, s := range []*orthanctest.Server{d.restored, d.original} {
		if s != nil {
			g.Go(s.Stop)
		}
	}
	return g.Wait()
}

// show is the demonstration.
func (d *demo) show(ctx context.Context) error {
	for _, step := range []func(context.Context) error{d.open, d.firstNight, d.secondNight, d.thirdNight, d.look, d.restore, d.compare} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// open writes the settings and starts the Orthanc to be backed up.
func (d *demo) open(ctx context.Context) (err error) {
	if d.original, err = orthanctest.Run(ctx, orthanctest.Options{Dir: filepath.Join(d.dir, "hospital"), Settings: map[string]any{"Name": "Hospital", "HttpCompressionEnabled": false}}); err != nil {
		return err
	}
	system, err := d.original.System()
	if err != nil {
		return err
	}
	d.say("A real Orthanc %s runs at %s, all its files in %s.", system.Version, d.original.URL(), d.dir)
	for name, text := range map[string]string{settingsName: settings, "passphrase": "correct horse battery staple\n"} {
		if err := os.WriteFile(filepath.Join(d.dir, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	fmt.Printf("\n$ cd %s; export ORTHOKEEP_CONFIG=%s; cat %s\n%s", d.dir, settingsName, settingsName, settings)
	return d.send(ctx, "The hospital sends", firstDay)
}

func (d *demo) send(ctx context.Context, who string, studies []dicomtest.Config) error {
	n, size, err := upload(ctx, d.original, studies)
	if err != nil {
		return err
	}
	d.say("%s %d generated instances in %d studies, %s.", who, n, len(studies), megabytes(size))
	return nil
}

func (d *demo) firstNight(ctx context.Context) error {
	for _, args := range [][]string{{"init"}, {"backup", "--dry-run"}, {"backup"}} {
		if _, err := d.shell.run(ctx, args...); err != nil {
			return err
		}
	}
	return nil
}

func (d *demo) secondNight(ctx context.Context) error {
	if err := d.send(ctx, "The next day the hospital sends", secondDay); err != nil {
		return err
	}
	deleted, err := deleteSome(d.original)
	if err != nil {
		return err
	}
	d.say("It deletes %d instances.", deleted)
	_, err = d.shell.run(ctx, "backup", "--tag", "nightly")
	return err
}

func (d *demo) thirdNight(ctx context.Context) error {
	copied, err := anonymize(d.original)
	if err != nil {
		return err
	}
	d.say("The third day it lets Orthanc make an anonymised copy of %d instances: other headers, the same images.", copied)
	_, err = d.shell.run(ctx, "backup", "--tag", "nightly")
	return err
}

func (d *demo) look(ctx context.Context) error {
	for _, args := range [][]string{{"snapshots"}, {"ls", "latest"}, {"stats"}, {"check", "--read-data"}} {
		if _, err := d.shell.run(ctx, args...); err != nil {
			return err
		}
	}
	return nil
}

// restore brings the newest snapshot back and starts an Orthanc on it.
func (d *demo) restore(ctx context.Context) error {
	out, err := d.shell.run(ctx, "restore", "latest", "--target", "restored", "--rewrite-configuration")
	if err != nil {
		return err
	}
	config, err := d.otherPorts(out)
	if err != nil {
		return err
	}
	d.say("A second Orthanc starts on what was restored, since the first still runs: with other ports, and with --no-jobs,\n" +
		"# so that it does not take up again the jobs that the index names, such as the anonymisation.")
	o := orthanctest.Options{Dir: filepath.Join(d.dir, "second"), Config: config.path, Port: config.port, Args: []string{"--no-jobs"}}
	d.restored, err = orthanctest.Run(ctx, o)
	return err
}

// compare reads everything from both servers.
func (d *demo) compare(ctx context.Context) error {
	if err := orthanctest.Compare(ctx, d.original, d.restored); err != nil {
		return fmt.Errorf("the restored server differs: %w", err)
	}
	have, err := d.restored.Statistics()
	if err != nil {
		return err
	}
	d.say("Compared over HTTP, all patients, studies, series and instances: the same identifiers, and every attachment the same\n"+
		"# bytes with the MD5 that the index says: %d patients, %d studies, %d series, %d instances, %s.",
		have.CountPatients, have.CountStudies, have.CountSeries, have.CountInstances, megabytes(have.TotalDiskSize))
	stored, err := folderSize(filepath.Join(d.dir, "backup"))
	if err != nil {
		return err
	}
	d.say("Measured here: the server holds %s now; the repository, with all snapshots and what was deleted between them,\n"+
		"# takes %s, %.2f of it.", megabytes(have.TotalDiskSize), megabytes(stored), float64(stored)/float64(have.TotalDiskSize))
	return nil
}

type startable struct {
	path string
	port int
}

// otherPorts writes the configuration that the last line of a restore names once more, with other ports.
func (d *demo) otherPorts(out string) (startable, error) {
	words := strings.Fields(out)
	if len(words) == 0 {
		return startable{}, errors.New("restore printed nothing")
	}
	path := words[len(words)-1]
	if !filepath.IsAbs(path) {
		path = filepath.Join(d.dir, path)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return startable{}, err
	}
	var config map[string]any
	if err := json.Unmarshal(raw, &config); err != nil {
		return startable{}, fmt.Errorf("read %s: %w", path, err)
	}
	port, err := orthanctest.FreePort()
	if err != nil {
		return startable{}, err
	}
	config["HttpPort"], config["DicomServerEnabled"] = port, false
	if raw, err = json.MarshalIndent(config, "", "  "); err != nil {
		return startable{}, err
	}
	changed := filepath.Join(d.dir, "second.json")
	return startable{changed, port}, os.WriteFile(changed, raw, 0o600)
}

func megabytes(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

// folderSize adds up the files below a folder.
func folderSize(dir string) (size int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		size += info.Size()
		return nil
	})
	return size, err
}

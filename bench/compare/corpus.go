package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/orthokeep/orthokeep/orthanc/orthanctest"
)

// A corpus is a storage area with its index as Orthanc left it after each of three days. Its folder Orthanc/storage is made to be any of
// these by show.
type corpus struct {
	Name    string
	Orthanc string // its version
	Config  string // its configuration file
	Storage string // its storage area, with the index in it
	Pool    string // every attachment of any day once more, as a hard link
	Days    []day

	shown int // the day that the storage area shows, counted from one; 0 is not known
}

// A day is what the storage area held in its evening.
type day struct {
	Instances, Series, Studies int64
	Files                      []string // names of the attachments
	Bytes                      int64    // of these
	Index                      string   // a copy
	IndexBytes                 int64
	NewBytes                   int64 // of attachments that the day before did not have
}

const corpusFile = "corpus.json"

func openCorpus(dir string) (*corpus, error) {
	text, err := os.ReadFile(filepath.Join(dir, corpusFile))
	if err != nil {
		return nil, err
	}
	c := new(corpus)
	return c, json.Unmarshal(text, c)
}

// makeCorpus lets a real Orthanc live through three days.
func makeCorpus(ctx context.Context, o options) (err error) {
	src := generated(o.megabytes)
	if o.corpus != "" {
		if src, err = folderSource(o.corpus); err != nil {
			return err
		}
	}
	home := filepath.Join(o.dir, "orthanc")
	server, err := orthanctest.Run(ctx, orthanctest.Options{Dir: home, Settings: map[string]any{"Name": "Compare", "KeepAlive": false}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	system, err := server.System()
	if err != nil {
		return err
	}
	c := &corpus{Name: src.name, Orthanc: system.Version, Config: server.ConfigPath(), Storage: server.StorageDir(), Pool: filepath.Join(o.dir, "pool")}
	if err := os.MkdirAll(c.Pool, 0o755); err != nil {
		return err
	}
	for i, pass := range []func() error{
		func() error { return upload(ctx, server, src.first) },
		func() error { return errors.Join(upload(ctx, server, src.second), deleteSome(server)) },
		func() error { return copySome(server) },
	} {
		fmt.Fprintf(os.Stderr, "making the corpus, day %d of 3\n", i+1)
		if i > 0 {
			if err := server.Restart(ctx); err != nil {
				return err
			}
		}
		if err := pass(); err != nil {
			return err
		}
		have, err := server.Statistics()
		if err != nil {
			return err
		}
		if err := server.Stop(); err != nil {
			return err
		}
		d := day{Instances: have.CountInstances, Series: have.CountSeries, Studies: have.CountStudies}
		if err := c.keep(d); err != nil {
			return err
		}
	}
	text, err := json.Marshal(c)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(o.dir, corpusFile), text, 0o644)
}

func upload(ctx context.Context, s *orthanctest.Server, files iter.Seq2[[]byte, error]) error {
	g, going := errgroup.WithContext(ctx)
	g.SetLimit(4)
	for data, err := range files {
		if err != nil || going.Err() != nil {
			return errors.Join(err, g.Wait(), ctx.Err())
		}
		g.Go(func() error {
			_, err := s.Upload(data)
			return err
		})
	}
	return errors.Join(g.Wait(), ctx.Err())
}

// deleteSome deletes instances all over the archive.
func deleteSome(s *orthanctest.Server) error {
	all, err := s.Instances()
	if err != nil {
		return err
	}
	slices.Sort(all)
	n := shareOf(len(all), deletedShare)
	for i := range n {
		if err := s.Delete(all[i*len(all)/n]); err != nil {
			return err
		}
	}
	return nil
}

type seriesAnswer struct {
	ID        string
	Instances []string
}

// copySome lets Orthanc make copies of whole series, one anonymised, one modified: other headers, the same pixels.
func copySome(s *orthanctest.Server) error {
	answer, err := s.Do(http.MethodGet, "/series?expand", nil)
	if err != nil {
		return err
	}
	var series []seriesAnswer
	if err := json.Unmarshal(answer, &series); err != nil {
		return fmt.Errorf("list series: %w", err)
	}
	slices.SortFunc(series, func(a, b seriesAnswer) int { return cmp.Compare(a.ID, b.ID) }) // they are hashes
	total := 0
	for _, one := range series {
		total += len(one.Instances)
	}
	left := shareOf(total, copiedShare)
	for i := 0; left > 0 && i < len(series); i++ {
		left -= len(series[i].Instances)
		route, body := "anonymize", `{}`
		if i%2 == 1 {
			route, body = "modify", `{"Replace":{"SeriesDescription":"A COPY"}}`
		}
		if _, err := s.Do(http.MethodPost, "/series/"+series[i].ID+"/"+route, []byte(body)); err != nil {
			return err
		}
	}
	return nil
}

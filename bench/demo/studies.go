package main

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"

	"golang.org/x/sync/errgroup"

	"github.com/orthokeep/orthokeep/chunk/dicomtest"
	"github.com/orthokeep/orthokeep/orthanc/orthanctest"
)

// firstDay and secondDay are what the hospital sends: full-size images, generated from a seed.
var (
	firstDay = []dicomtest.Config{
		{Seed: 1, Kind: dicomtest.CT, Series: 2, Instances: 40},
		{Seed: 2, Kind: dicomtest.CTSharp, Instances: 40},
		{Seed: 3, Kind: dicomtest.MR, Series: 2, Instances: 25},
		{Seed: 4, Kind: dicomtest.CR, Instances: 4},
		{Seed: 5, Kind: dicomtest.US, Instances: 3},
		{Seed: 6, Kind: dicomtest.JPEG2000, Instances: 6},
		{Seed: 1, Kind: dicomtest.SR, Instances: 1},
	}
	secondDay = []dicomtest.Config{
		{Seed: 7, Kind: dicomtest.CT, Instances: 12},
		{Seed: 8, Kind: dicomtest.CR, Instances: 1},
	}
)

// upload sends studies to a server and returns how many instances and bytes these are.
func upload(ctx context.Context, s *orthanctest.Server, studies []dicomtest.Config) (instances int, bytes int64, err error) {
	g, going := errgroup.WithContext(ctx)
	g.SetLimit(4)
	for instance := range all(studies) {
		if going.Err() != nil {
			break
		}
		instances++
		bytes += int64(len(instance.Data))
		g.Go(func() error {
			_, err := s.Upload(instance.Data)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return 0, 0, err
	}
	return instances, bytes, ctx.Err()
}

func all(studies []dicomtest.Config) iter.Seq[dicomtest.Instance] {
	return func(yield func(dicomtest.Instance) bool) {
		for _, c := range studies {
			for instance := range dicomtest.Study(c) {
				if !yield(instance) {
					return
				}
			}
		}
	}
}

// series returns the Orthanc IDs of the series of a modality, with their instances.
func series(s *orthanctest.Server, modality string) (map[string][]string, error) {
	answer, err := s.Do(http.MethodGet, "/series?expand", nil)
	if err != nil {
		return nil, err
	}
	var all []struct {
		ID            string
		Instances     []string
		MainDicomTags struct{ Modality string }
	}
	if err := json.Unmarshal(answer, &all); err != nil {
		return nil, fmt.Errorf("list series: %w", err)
	}
	found := map[string][]string{}
	for _, one := range all {
		if one.MainDicomTags.Modality == modality {
			found[one.ID] = one.Instances
		}
	}
	return found, nil
}

// deleteSome deletes three instances of every series of MR.
func deleteSome(s *orthanctest.Server) (deleted int, err error) {
	found, err := series(s, "MR")
	if err != nil {
		return 0, err
	}
	for _, instances := range found {
		for _, id := range instances[:min(3, len(instances))] {
			if err := s.Delete(id); err != nil {
				return deleted, err
			}
			deleted++
		}
	}
	return deleted, nil
}

// anonymize lets Orthanc make an anonymised copy of one series of CT: new headers, the same pixel data.
func anonymize(s *orthanctest.Server) (instances int, err error) {
	found, err := series(s, "CT")
	if err != nil {
		return 0, err
	}
	for id, list := range found {
		if len(list) < 40 {
			continue // of the second day
		}
		_, err := s.Do(http.MethodPost, "/series/"+id+"/anonymize", []byte("{}"))
		return len(list), err
	}
	return 0, fmt.Errorf("no series of CT to anonymise")
}

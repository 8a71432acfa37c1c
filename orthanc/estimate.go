package orthanc

import (
	"context"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"runtime"
	"time"

	"github.com/orthokeep/orthokeep/repo"
	"github.com/orthokeep/orthokeep/snapshot"
)

// Estimate is about what a backup would take. All of it comes from a sample of the files that lie in the storage area.
type Estimate struct {
	Attachments int64         // files in the storage area
	Bytes       int64         // of these, about
	New         int64         // attachments that the last snapshot has not, about
	Stored      int64         // bytes that the repository would grow by, about
	Time        time.Duration // about
	Staging     int64         // bytes of staging space: the index and its log twice
	Sampled     int           // files that were read
}

const (
	sampleSize = 200             // files that are read
	sampleTime = 2 * time.Second // at most
)

// Estimate reads a random sample of the storage area, chosen by seed, for two seconds at most. known is the number of
// attachments of the last snapshot, 0 for a first backup.
func (s *Site) Estimate(ctx context.Context, r *repo.Repository, known int64, seed uint64) (Estimate, error) {
	e := Estimate{Staging: s.stagingNeed()}
	area := storedFiles{StorageArea: StorageArea{s.Layout.Storage}}
	sample, err := e.sample(ctx, area.StorageArea, rand.New(rand.NewPCG(seed, 0)))
	if err != nil || len(sample) == 0 {
		return e, err
	}
	sizer, began := snapshot.NewSizer(r), time.Now()
	var bytes int64
	for _, u := range sample {
		n, err := sizer.Add(ctx, area, u)
		if err != nil {
			return e, err
		}
		bytes += n
		if e.Sampled++; time.Since(began) > sampleTime {
			break
		}
	}
	mean := float64(bytes) / float64(e.Sampled)
	e.Bytes = int64(mean * float64(e.Attachments))
	e.New = max(0, e.Attachments-known)
	scale := float64(e.New) / float64(e.Sampled)
	e.Stored = int64(float64(sizer.Stored()) * scale)
	e.Time = time.Duration(float64(time.Since(began)) * scale / float64(runtime.GOMAXPROCS(0)))
	return e, nil
}

// sample lists the storage area, counts it, and keeps a random part of fixed size (Vitter's algorithm R).
func (e *Estimate) sample(ctx context.Context, area StorageArea, rnd *rand.Rand) ([]UUID, error) {
	var keep []UUID
	for u, err := range area.List(ctx, nil) {
		if err != nil {
			return nil, err
		}
		e.Attachments++
		if len(keep) < sampleSize {
			keep = append(keep, u)
		} else if k := rnd.Int64N(e.Attachments); k < sampleSize {
			keep[k] = u
		}
	}
	return keep, nil
}

func (s *Site) stagingNeed() (n int64) {
	for _, suffix := range []string{"", "-wal"} {
		info, err := os.Stat(s.Layout.Index + suffix)
		if errors.Is(err, fs.ErrNotExist) || err != nil {
			continue
		}
		n += 2 * info.Size()
	}
	return n
}

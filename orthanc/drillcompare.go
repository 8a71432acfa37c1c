package orthanc

import (
	"context"
	"crypto/md5"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"net/http"
	"regexp"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/orthokeep/orthokeep/repo"
	"github.com/orthokeep/orthokeep/snapshot"
)

// drillWorkers is how many attachments are compared at once.
const drillWorkers = 4

// compare compares what Orthanc serves with the snapshot. An error is one of the machine, or of the snapshot as a whole; what
// differs is in the result.
func (d *drill) compare(ctx context.Context, p Progress) error {
	if err := d.compareCounts(ctx); err != nil {
		return err
	}
	sample := newSample(d.o.Sample, d.o.Seed, d.root.Counts.Attachments)
	bytes := d.root.Counts.Bytes
	if sample.wanted < sample.left {
		bytes = 0 // not known
	}
	p.Phase("compare with Orthanc", "attachments", sample.wanted, bytes)
	var mu sync.Mutex
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(drillWorkers)
	var listErr error
	for a, err := range d.attachments(gctx) {
		if listErr = err; err != nil || gctx.Err() != nil {
			break
		}
		taken := sample.take()
		if slices.Contains(d.damaged, a.UUID) {
			mu.Lock()
			d.differ(DrillDifference{a.UUID.String(), a.resource(), "damaged in the repository and not restored"})
			mu.Unlock()
			continue
		}
		if !taken {
			continue
		}
		g.Go(func() error {
			detail, n, err := d.compareAttachment(gctx, a)
			if err != nil {
				return err
			}
			p.Add(1, n)
			mu.Lock()
			defer mu.Unlock()
			d.res.Counts.Attachments++
			d.res.Counts.Bytes += n
			if detail != "" {
				d.differ(DrillDifference{a.UUID.String(), a.resource(), detail})
			}
			return nil
		})
	}
	err := g.Wait()
	if err == nil {
		err = listErr
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return fmt.Errorf("compare with Orthanc: %w", err)
	}
	if sample.left != 0 {
		return fmt.Errorf("compare with Orthanc: the snapshot counts %d attachments and lists another number: %w", d.root.Counts.Attachments, repo.ErrCorrupt)
	}
	return nil
}

func (d *drill) differ(x DrillDifference) {
	if d.res.Differing++; len(d.res.Differences) < drillNamed {
		d.res.Differences = append(d.res.Differences, x)
	}
}

func (d *drill) compareCounts(ctx context.Context) error {
	got, err := d.server.statistics(ctx)
	if err != nil {
		return err
	}
	want, have := d.root.Counts, &d.res.Counts
	have.Patients, have.Studies, have.Series, have.Instances = got.CountPatients, got.CountStudies, got.CountSeries, got.CountInstances
	for _, c := range []struct {
		what      string
		got, want int64
	}{{"patients", have.Patients, want.Patients}, {"studies", have.Studies, want.Studies}, {"series", have.Series, want.Series},
		{"instances", have.Instances, want.Instances}} {
		if c.got != c.want {
			d.differ(DrillDifference{Detail: fmt.Sprintf("%d %s instead of %d", c.got, c.what, c.want)})
		}
	}
	return nil
}

// compareAttachment reads one attachment from Orthanc and returns how it differs, "" when it does not, and its bytes.
func (d *drill) compareAttachment(ctx context.Context, a servedAttachment) (difference string, n int64, err error) {
	if a.level() == "" || !publicID.MatchString(a.publicID) {
		return "belongs to no resource that Orthanc can name", 0, nil
	}
	ctx, cancel := context.WithTimeout(ctx, drillRequestBound*time.Duration(1+a.CompressedSize>>26))
	defer cancel()
	response, err := d.server.get(ctx, fmt.Sprintf("/%s/attachments/%d/compressed-data", a.resource(), a.FileType))
	if err != nil {
		return "", 0, d.alive(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Sprintf("Orthanc answers with status %d", response.StatusCode), 0, nil
	}
	hash := md5.New()
	n, err = io.Copy(hash, io.LimitReader(response.Body, a.CompressedSize+1))
	if err != nil {
		if err = d.alive(err); errors.Is(err, io.ErrUnexpectedEOF) {
			return fmt.Sprintf("Orthanc breaks off after %d of %d bytes", n, a.CompressedSize), n, nil
		}
		return "", n, err
	}
	switch sum := [16]byte(hash.Sum(nil)); {
	case n > a.CompressedSize:
		return fmt.Sprintf("more than %d bytes", a.CompressedSize), n, nil
	case n < a.CompressedSize:
		return fmt.Sprintf("%d bytes instead of %d", n, a.CompressedSize), n, nil
	case a.HasMD5 && sum != a.CompressedMD5:
		return "its MD5 is not the one in the index", n, nil
	case d.repo.HashMD5(sum) != a.stored:
		return "its MD5 is not that of the backup", n, nil
	}
	return "", n, nil
}

// alive makes the error of a request that of the server, when the server has ended.
func (d *drill) alive(err error) error {
	select {
	case <-d.server.done:
		return d.server.gone()
	case <-time.After(200 * time.Millisecond): // the connection breaks before the process is gone
		return err
	}
}

// servedAttachment is an attachment with the resource that it is asked for by.
type servedAttachment struct {
	Attachment
	resourceType int
	publicID     string
	stored       [16]byte // repo.HashMD5 of what was backed up
}

var publicID = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{8}){4}$`)

// level is the part of the REST API that serves a type of resource.
func (a servedAttachment) level() string {
	return map[int]string{1: "patients", 2: "studies", 3: "series", 4: "instances"}[a.resourceType]
}

func (a servedAttachment) resource() string {
	if !publicID.MatchString(a.publicID) {
		return fmt.Sprintf("resource %d", a.ResourceID)
	}
	return a.level() + "/" + a.publicID
}

// attachments lists what the snapshot says of its attachments: the index, and side by side with it the manifest.
func (d *drill) attachments(ctx context.Context) iter.Seq2[servedAttachment, error] {
	return func(yield func(servedAttachment, error) bool) {
		next, stop := iter.Pull2(snapshot.ListAttachments(ctx, d.repo, d.root))
		defer stop()
		for a, err := range d.view.served(ctx) {
			if err == nil {
				e, listErr, ok := next()
				if err = listErr; err == nil && (!ok || e.UUID != a.UUID || e.Size != a.CompressedSize) {
					err = fmt.Errorf("attachment %s: index and manifest of the snapshot differ: %w", a.UUID, repo.ErrCorrupt)
				}
				a.stored = e.MD5
			}
			if !yield(a, err) || err != nil {
				return
			}
		}
	}
}

// served lists attachments, as Attachments does, with their resources.
func (x *Index) served(ctx context.Context) iter.Seq2[servedAttachment, error] {
	return func(yield func(servedAttachment, error) bool) {
		query, err := x.db.PrepareContext(ctx, "SELECT resourceType, substr(publicId, 1, 100) FROM Resources WHERE internalId = ?")
		if err != nil {
			yield(servedAttachment{}, indexError(ctx, "list resources", err))
			return
		}
		defer query.Close()
		for a, err := range x.Attachments(ctx) {
			out := servedAttachment{Attachment: a}
			if err == nil {
				// A resource that is missing or not well formed is one that Orthanc cannot name.
				if row := query.QueryRowContext(ctx, a.ResourceID); row.Scan(&out.resourceType, &out.publicID) != nil && ctx.Err() != nil {
					err = context.Cause(ctx)
				}
			}
			if !yield(out, err) || err != nil {
				return
			}
		}
	}
}

// sample takes a given number of the items of a list, each with the same probability (Knuth, TAOCP volume 2, algorithm S).
type sample struct {
	wanted, left int64
	random       *rand.Rand
}

func newSample(share float64, seed uint64, items int64) *sample {
	s := &sample{wanted: items, left: items, random: rand.New(rand.NewPCG(seed, 0))}
	if share > 0 && share < 1 {
		s.wanted = min(items, int64(share*float64(items))+1)
	}
	return s
}

// take says whether the next item is taken.
func (s *sample) take() bool {
	taken := s.left > 0 && s.random.Int64N(s.left) < s.wanted
	if s.left--; taken {
		s.wanted--
	}
	return taken
}

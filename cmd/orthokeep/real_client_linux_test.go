package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/orthokeep/orthokeep/chunk/dicomtest"
	"github.com/orthokeep/orthokeep/orthanc/orthanctest"
)

// small yields n instances of some 13 KB in series of perSeries.
func small(seed uint64, n, perSeries int) iter.Seq[dicomtest.Instance] {
	return func(yield func(dicomtest.Instance) bool) {
		for made := 0; made < n; made += perSeries {
			c := dicomtest.Config{Seed: seed + uint64(made), Kind: dicomtest.Kind(made / perSeries % 3), Instances: min(perSeries, n-made), Columns: 64}
			for i := range dicomtest.Study(c) {
				if !yield(i) {
					return
				}
			}
		}
	}
}

// upload stores instances over several connections.
func upload(t *testing.T, s *orthanctest.Server, instances iter.Seq[dicomtest.Instance]) {
	t.Helper()
	g, ctx := errgroup.WithContext(t.Context())
	g.SetLimit(4)
	for i := range instances {
		if ctx.Err() != nil {
			break
		}
		g.Go(func() error { _, err := s.Upload(i.Data); return err })
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
}

// client is a busy department: four connections that together upload 40 instances a second (20 where Orthanc is stopped now
// and then) and delete every tenth.
type client struct {
	server  *orthanctest.Server
	patient bool // a stopped server is no error: it is asked again until it answers
	keep    int  // of each connection: beyond that many instances it deletes as many as it uploads
	cancel  context.CancelFunc
	workers sync.WaitGroup

	mu       sync.Mutex
	stored   map[string]bool // acknowledged, and not asked to be deleted
	uploads  int
	deletes  int
	failures []error
}

const (
	connections = 4
	pace        = 100 * time.Millisecond // of each connection
)

func startClient(t *testing.T, s *orthanctest.Server, seed uint64, keep int, patient bool) *client {
	t.Helper()
	ids, err := s.Instances()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	c := &client{server: s, keep: keep, patient: patient, cancel: cancel, stored: map[string]bool{}}
	for _, id := range ids {
		c.stored[id] = true
	}
	for n := range uint64(connections) {
		c.workers.Go(func() { c.work(ctx, seed+n) })
	}
	return c
}

func (c *client) work(ctx context.Context, seed uint64) {
	rnd := rand.New(rand.NewPCG(seed, 7))
	every := pace
	if c.patient {
		// Told to stop, Orthanc 1.10 waits for the end of its queue of events: for 100 ms in which nothing was stored. The
		// connections tick together, so that there are such moments.
		every = 2 * pace
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	var mine []string
	for i := range small(seed<<32, 1<<20, 50) {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		var id string
		if !c.do(ctx, func() (err error) { id, err = c.server.Upload(i.Data); return err }) {
			return
		}
		c.mu.Lock()
		c.stored[id] = true
		c.uploads++
		c.mu.Unlock()
		mine = append(mine, id)
		if len(mine) <= c.keep && rnd.IntN(10) > 0 {
			continue
		}
		k := rnd.IntN(len(mine))
		id, mine[k] = mine[k], mine[len(mine)-1]
		mine = mine[:len(mine)-1]
		c.mu.Lock()
		delete(c.stored, id) // from here on it may be gone
		c.deletes++
		c.mu.Unlock()
		if !c.do(ctx, func() error { return gone(c.server.Delete(id)) }) {
			return
		}
	}
}

// do asks once, or, of a server that is stopped now and then, until it answers.
func (c *client) do(ctx context.Context, ask func() error) bool {
	for {
		err := ask()
		if err == nil {
			return true
		}
		if !c.patient {
			c.mu.Lock()
			c.failures = append(c.failures, err)
			c.mu.Unlock()
			return false
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(30 * time.Millisecond):
		}
	}
}

// gone takes it that what was deleted already is deleted.
func gone(err error) error {
	if status := orthanctest.StatusError(0); errors.As(err, &status) && status == http.StatusNotFound {
		return nil
	}
	return err
}

// acknowledged is what the client may rely on now.
func (c *client) acknowledged() map[string]bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	ids := make(map[string]bool, len(c.stored))
	for id := range c.stored {
		ids[id] = true
	}
	return ids
}

// end stops the client. It is an error if it ever saw one.
func (c *client) end(t *testing.T) {
	t.Helper()
	c.cancel()
	c.workers.Wait()
	for _, err := range c.failures {
		t.Errorf("a client saw %v", err)
	}
	t.Logf("the client uploaded %d and deleted %d", c.uploads, c.deletes)
}

// patients returns the names and IDs of all patients of a server.
func patients(t *testing.T, s *orthanctest.Server) (words []string) {
	t.Helper()
	text, err := s.Do(http.MethodGet, "/patients?expand", nil)
	if err != nil {
		t.Fatal(err)
	}
	var list []struct {
		MainDicomTags struct{ PatientID, PatientName string }
	}
	if err := json.Unmarshal(text, &list); err != nil {
		t.Fatal(err)
	}
	for _, p := range list {
		for _, w := range append(strings.FieldsFunc(p.MainDicomTags.PatientName, func(r rune) bool { return r == '^' || r == '=' }),
			p.MainDicomTags.PatientName, p.MainDicomTags.PatientID) {
			if len(w) >= 6 { // shorter ones are in any megabyte by chance
				words = append(words, w)
			}
		}
	}
	return words
}

// awaitAnswer returns how long the server takes to answer from a moment on.
func awaitAnswer(s *orthanctest.Server, from time.Time) (time.Duration, error) {
	for {
		_, err := s.System()
		took := time.Since(from)
		if err == nil || took > 30*time.Second {
			if err != nil {
				err = fmt.Errorf("no answer within %v: %w", took, err)
			}
			return took, err
		}
		time.Sleep(5 * time.Millisecond)
	}
}

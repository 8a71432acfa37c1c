package snapshot

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/orthokeep/orthokeep/repo"
	"github.com/orthokeep/orthokeep/repo/storage"
	"github.com/orthokeep/orthokeep/repo/storage/faulty"
)

// model drives two hosts, each with a server, and prunes, against what must exist: every snapshot that was acknowledged, until a
// policy may remove it.
type model struct {
	t     *testing.T
	rnd   *rand.Rand
	inner storage.Storage
	hosts []*world
	tried map[string]map[time.Time]state // by server: of each backup that was begun, what it would be a snapshot of
	acked map[string][]time.Time         // by server, in the order in which they were acknowledged
	busy  map[*world]bool                // a backup of it is under way: its server does not change
	log   []string
	depth int
}

const modelKeep = 3 // snapshots of each server, by every prune

func newModel(t *testing.T, seed uint64) *model {
	w := newMemoryWorld(t, testKeys(t))
	m := &model{t: t, rnd: rand.New(rand.NewPCG(seed, 1)), inner: w.st, tried: map[string]map[time.Time]state{}, acked: map[string][]time.Time{}, busy: map[*world]bool{}}
	m.hosts = []*world{w, w.second()}
	w.add(20, 900)
	w.add(2, 550_000)
	w.copyTo(m.hosts[1])
	for _, h := range m.hosts {
		h.rnd = m.rnd
		m.tried[h.server] = map[time.Time]state{}
	}
	return m
}

func (m *model) say(format string, args ...any) {
	m.log = append(m.log, strings.Repeat("  ", m.depth)+fmt.Sprintf(format, args...))
}

// step does one thing, in the midst of which others may be done, or a crash may come.
func (m *model) step() {
	host := m.hosts[m.rnd.IntN(len(m.hosts))]
	var what func() error
	switch k := m.rnd.IntN(10); {
	case k < 5:
		what = func() error { return m.backup(host) }
	case k < 9:
		what = func() error { return m.prune(host, k == 8) }
	default:
		what = func() error { return m.restore(host) }
	}
	host.st = m.spoiled()
	err := what()
	host.st = m.inner
	if err != nil {
		m.say("→ %v", err)
	}
	for _, allowed := range []error{faulty.ErrCrashed, repo.ErrPruning, repo.ErrExpired, ErrLocked} {
		if err == nil || errors.Is(err, allowed) {
			return
		}
	}
	m.t.Fatalf("%v", err)
}

// spoiled is the storage as an operation sees it: before one of the requests other things happen, or it crashes there.
func (m *model) spoiled() storage.Storage {
	var left atomic.Int64 // several goroutines make requests
	left.Store(int64(m.rnd.IntN(90)))
	crash := m.rnd.IntN(4) == 0
	how := []faulty.Fault{faulty.CrashNotStored, faulty.CrashStored}[m.rnd.IntN(2)]
	inside := m.rnd.IntN(4)
	crashing := faulty.Wrap(m.inner)
	return &hooked{crashing, func(operation, name string) {
		if left.Add(-1) != 0 {
			return
		}
		if crash {
			m.say("crash before %s %.20s", operation, name)
			crashing.FailChange(crashing.Changes(), how)
			return
		}
		if m.depth++; m.depth < 3 {
			m.say("before %s %.20s:", operation, name)
			for range inside {
				m.step()
			}
		}
		m.depth--
	}}
}

// backup changes the server a little and takes a snapshot. Now and then the clock jumps.
func (m *model) backup(h *world) error {
	if m.busy[h] {
		return nil
	}
	m.busy[h] = true
	defer delete(m.busy, h)
	if m.rnd.IntN(3) > 0 {
		h.add(1+m.rnd.IntN(4), 900)
		if m.rnd.IntN(3) == 0 {
			h.add(1, 550_000)
		}
		for range m.rnd.IntN(6) {
			if len(h.list) > 5 {
				h.remove(m.rnd.IntN(len(h.list)))
			}
		}
	}
	if other := m.hosts[0]; h != other && m.rnd.IntN(2) == 0 && len(other.list) > 0 { // the same bytes as on the other host
		h.addFile(other.files[other.list[m.rnd.IntN(len(other.list))].UUID])
	}
	if m.rnd.IntN(8) == 0 {
		h.nights = max(0, h.nights+m.rnd.IntN(60)-30)
	}
	for { // no two at the same time
		at := now.AddDate(0, 0, h.nights+1)
		if _, known := m.tried[h.server][at]; !known {
			break
		}
		h.nights++
	}
	at := now.AddDate(0, 0, h.nights+1)
	m.say("backup %s at %s", h.server, at.Format("01-02"))
	m.tried[h.server][at] = h.state(nil)
	root, err := h.backup()
	if err == nil {
		m.acked[h.server] = append(m.acked[h.server], root.Time)
	}
	return err
}

func (m *model) prune(h *world, expire bool) error {
	m.say("prune by %s, expire %v", h.server, expire)
	_, err := h.pruneWith(PruneOptions{Policy: Policy{Last: modelKeep}, Expire: expire,
		TakeOver: func(repo.PruneHolder) repo.Takeover { return repo.Takeover(m.rnd.IntN(2)) }})
	return err
}

// restore reads a snapshot as a restore does, while others go on.
func (m *model) restore(h *world) error {
	r, err := repo.Open(m.t.Context(), h.st, repo.Credentials{Recovery: h.keys.Recovery}, h.cache)
	if err != nil {
		return err
	}
	roots, err := Roots(m.t.Context(), r)
	if err != nil || len(roots) == 0 {
		return err
	}
	root := roots[m.rnd.IntN(len(roots))]
	m.say("restore %s of %s", root.Time.Format("01-02"), root.Server)
	x, err := r.BeginReading(m.t.Context(), repo.RunInfo{Kind: "restore", Parent: root.Name(), Started: now})
	if err != nil {
		return err
	}
	if _, err := ReadRoot(m.t.Context(), r, root.Name()); errors.Is(err, repo.ErrNoObject) {
		return x.End(m.t.Context(), now) // removed just before
	}
	to := Destination{Dir: memoryDir(m.t), Place: UUID.String, Mode: 0o600}
	_, err = RestoreAttachments(m.t.Context(), r, root, to, NoProgress{})
	if errors.Is(err, repo.ErrCorrupt) || errors.Is(err, repo.ErrNotFound) {
		if m.expired(x) {
			return x.End(m.t.Context(), now)
		}
	}
	return errors.Join(err, x.End(m.t.Context(), now))
}

// expired reports whether a restore was given up, after which nobody waits for it.
func (m *model) expired(x *repo.Reading) bool {
	runs, err := m.hosts[0].writer().Runs(m.t.Context())
	if err != nil {
		m.t.Fatal(err)
	}
	for _, run := range runs {
		if run.Name == x.Name() {
			return run.Expired
		}
	}
	return false
}

// verify sees that all that must exist does, and that all that exists restores.
func (m *model) verify() {
	m.t.Helper()
	h := m.hosts[0]
	ctx := m.t.Context()
	roots, err := Roots(ctx, h.writer())
	if err != nil {
		m.t.Fatal(err)
	}
	there := map[string]map[time.Time]*Root{}
	for _, other := range m.hosts {
		there[other.server] = map[time.Time]*Root{}
	}
	for _, root := range roots {
		there[root.Server][root.Time] = root
	}
	for server, acked := range m.acked {
		newest := append([]time.Time(nil), acked...)
		// The last ones by their time stay, and the very last one whatever its time.
		for range modelKeep {
			best := -1
			for i, at := range newest {
				if best < 0 || at.After(newest[best]) {
					best = i
				}
			}
			if best < 0 {
				break
			}
			at := newest[best]
			newest = append(newest[:best], newest[best+1:]...)
			if there[server][at] == nil && !m.replaced(roots, server, at) {
				m.t.Fatalf("snapshot %s of %s is gone", at, server)
			}
		}
		if n := len(acked); n > 0 && there[server][acked[n-1]] == nil && !m.later(roots, server, acked[n-1]) {
			m.t.Fatalf("the last snapshot of %s is gone", server)
		}
	}
	for _, root := range roots {
		want := m.tried[root.Server][root.Time]
		want.root = root
		h.verify(want)
	}
	if problems, err := Check(ctx, h.writer(), roots); err != nil || len(problems) > 0 {
		m.t.Fatalf("check: %v %v", problems, err)
	}
	report, err := h.reader().Check(ctx, repo.CheckOptions{ReadPacks: repo.All()}, NoProgress{})
	if err != nil || report.Damaged() {
		m.t.Fatalf("check of the packs: %+v %v", report, err)
	}
}

// replaced reports whether as many snapshots that nobody acknowledged, of backups that crashed when they had published, are newer: the policy
// counts them too.
func (m *model) replaced(roots []*Root, server string, at time.Time) bool {
	n := 0
	for _, root := range roots {
		if root.Server == server && root.Time.After(at) {
			n++
		}
	}
	return n >= modelKeep
}

// later reports whether the server has a snapshot that was published after the one of a time: of a backup that crashed.
func (m *model) later(roots []*Root, server string, at time.Time) bool {
	for _, root := range roots {
		if root.Server == server && root.Time != at {
			return true
		}
	}
	return false
}

// TestModel does random things in random order, each in the midst of others. ORTHOKEEP_MODEL says how many seeds to try, new ones each time;
// ORTHOKEEP_SEED repeats one, though identifiers, and with them some orders, are others each time.
func TestModel(t *testing.T) {
	first, seeds, steps := uint64(1), 6, 12
	if raceEnabled || testing.Short() {
		seeds = 2
	}
	if n, err := strconv.Atoi(os.Getenv("ORTHOKEEP_MODEL")); err == nil {
		first, seeds, steps = uint64(time.Now().UnixNano()), n, 40
	}
	if n, err := strconv.ParseUint(os.Getenv("ORTHOKEEP_SEED"), 10, 64); err == nil {
		first, seeds = n, 1
	}
	for i := range uint64(seeds) {
		seed := first + i
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			m := newModel(t, seed)
			defer func() {
				if t.Failed() {
					t.Logf("ORTHOKEEP_SEED=%d:\n%s", seed, strings.Join(m.log, "\n"))
				}
			}()
			for range steps {
				m.step()
				m.verify()
			}
		})
	}
}

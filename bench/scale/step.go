package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/orthokeep/orthokeep/bench/cpu"
	"github.com/orthokeep/orthokeep/orthanc"
	"github.com/orthokeep/orthokeep/repo"
	"github.com/orthokeep/orthokeep/repo/storage"
	"github.com/orthokeep/orthokeep/snapshot"
)

// runStep is one step in a process of its own. It prints what it found as JSON. Keep is how many snapshots a prune keeps.
func runStep(ctx context.Context, step, dir string, keep int) error {
	switch step {
	case "init":
		return initRepository(ctx, dir)
	case "backup":
		return backup(ctx, dir)
	case "read":
		return readOne(ctx, dir)
	case "check":
		return checkIndex(ctx, dir)
	case "prune":
		return prune(ctx, dir, keep)
	}
	return fmt.Errorf("unknown step %q", step)
}

func print(v any) error { return json.NewEncoder(os.Stdout).Encode(v) }

// The writer key lies beside the repository, and so does the recovery key, which nobody needs to keep secret here.
func writerKeyFile(dir string) string   { return filepath.Join(dir, "writer.key") }
func recoveryKeyFile(dir string) string { return filepath.Join(dir, "recovery.key") }

func initRepository(ctx context.Context, dir string) error {
	st, err := storage.Create(filepath.Join(dir, "repository"))
	if err != nil {
		return err
	}
	keys, err := repo.NewKeys()
	if err != nil {
		return err
	}
	return errors.Join(
		repo.Init(ctx, st, keys, repo.InitOptions{Created: time.Now()}),
		os.WriteFile(writerKeyFile(dir), keys.Writer.Marshal(), 0o600),
		os.WriteFile(recoveryKeyFile(dir), []byte(keys.Recovery.String()), 0o600))
}

// open opens the repository with the writer key alone, or with the recovery key too.
func open(ctx context.Context, st storage.Storage, dir string, recovery bool) (*repo.Repository, error) {
	text, err := os.ReadFile(writerKeyFile(dir))
	if err != nil {
		return nil, err
	}
	var with repo.Credentials
	if with.Writer, err = repo.ParseWriterKey(text); err != nil {
		return nil, err
	}
	if recovery {
		if text, err = os.ReadFile(recoveryKeyFile(dir)); err != nil {
			return nil, err
		}
		if with.Recovery, err = repo.ParseRecoveryKey(text); err != nil {
			return nil, err
		}
	}
	return repo.Open(ctx, st, with, filepath.Join(dir, "cache"))
}

// A phase is a part of a backup.
type phase struct {
	Name string
	CPU  time.Duration
	Wall time.Duration
}

// meter takes the time of the phases of a backup.
type meter struct {
	orthanc.NoProgress
	phases []phase
	cpu    time.Duration // when the last one began
	clock  time.Time
}

func newMeter() *meter {
	return &meter{phases: []phase{{Name: "open"}}, clock: time.Now()} // all that the process has used until now is of this phase
}

// Phase implements orthanc.Progress.
func (m *meter) Phase(name, _ string, _, _ int64) {
	m.end()
	m.phases = append(m.phases, phase{Name: name})
}

func (m *meter) end() {
	used, now := cpu.Used(), time.Now()
	last := &m.phases[len(m.phases)-1]
	last.CPU, last.Wall = used-m.cpu, now.Sub(m.clock)
	m.cpu, m.clock = used, now
}

// stepResult is what a backup cost.
type stepResult struct {
	Phases   []phase
	Memory   int64 // bytes, the most that the process had in memory
	Added    snapshot.Added
	Stored   int64 // bytes by which the repository grew
	Index    int64 // bytes of the index
	Pages    int64 // of the index, changed
	Manifest int64 // bytes of the new entries of the manifest, plain
}

func backup(ctx context.Context, dir string) error {
	m := newMeter()
	st, err := storage.Open(filepath.Join(dir, "repository"))
	if err != nil {
		return err
	}
	r, err := open(ctx, st, dir, false)
	if err != nil {
		return err
	}
	before, err := r.Stats(ctx)
	if err != nil {
		return err
	}
	m.Phase("survey", "", 0, 0)
	site, err := orthanc.Survey(orthanc.SiteOptions{Configuration: filepath.Join(dir, "orthanc.json"), Window: orthanc.ModeNone, StateDir: filepath.Join(dir, "state")})
	if err != nil {
		return err
	}
	s, err := orthanc.Backup(ctx, site, r, orthanc.BackupOptions{Server: "scale", Host: "scale", CacheDir: filepath.Join(dir, "cache"),
		Bound: orthanc.DefaultBound, Clock: time.Now}, m)
	if err != nil {
		return err
	}
	m.end()
	after, err := r.Stats(ctx)
	if err != nil {
		return err
	}
	out := stepResult{Phases: m.phases, Memory: peakMemory(), Added: s.Root.Added, Stored: after.Stored - before.Stored,
		Index: s.Root.Index.Size, Pages: s.Index.Changed}
	if layers := s.Root.Manifest.Layers; s.Difference.New > 0 {
		out.Manifest = layers[len(layers)-1].Bytes()
	}
	return print(out)
}

// checkIndex measures SQLite's own check of the index, on a copy.
func checkIndex(ctx context.Context, dir string) error {
	scratch := filepath.Join(dir, "check")
	if err := os.Mkdir(scratch, 0o700); err != nil {
		return err
	}
	if err := copyFile(filepath.Join(scratch, "index"), filepath.Join(dir, "storage", "index")); err != nil {
		return err
	}
	before := cpu.Used()
	x, err := orthanc.OpenIndexCopy(ctx, scratch, orthanc.CheckQuick)
	if err != nil {
		return err
	}
	took := cpu.Used() - before
	return errors.Join(x.Close(), os.RemoveAll(scratch), print(took))
}

// oneResult is what it costs to read one attachment back.
type oneResult struct {
	Open, Read time.Duration // of the clock
	Packs      int           // that were read from
}

// packCounter notes the packs that blobs are read from.
type packCounter struct {
	storage.Storage
	packs map[string]bool
}

// ReadAt implements storage.Storage.
func (s *packCounter) ReadAt(ctx context.Context, name string, p []byte, off int64) error {
	s.packs[name] = true
	return s.Storage.ReadAt(ctx, name, p, off)
}

func readOne(ctx context.Context, dir string) error {
	local, err := storage.Open(filepath.Join(dir, "repository"))
	if err != nil {
		return err
	}
	st := &packCounter{Storage: local, packs: map[string]bool{}}
	began := time.Now()
	r, err := open(ctx, st, dir, true)
	if err != nil {
		return err
	}
	var out oneResult
	out.Open = time.Since(began)
	began = time.Now()
	roots, err := snapshot.Roots(ctx, r)
	if err != nil {
		return err
	}
	root := roots[len(roots)-1]
	var read countingWriter
	key := snapshot.Key{ID: patternSecond + root.Counts.Attachments*3/4, FileType: 1} // neither in the first block nor in the last one
	err = snapshot.CopyAttachment(ctx, r, root, key, &read)
	for errors.Is(err, snapshot.ErrNoAttachment) { // a series, or one that was deleted
		key.ID++
		err = snapshot.CopyAttachment(ctx, r, root, key, &read)
	}
	if err != nil {
		return err
	}
	if read.n != fileSize {
		return fmt.Errorf("attachment %v has %d bytes", key, read.n)
	}
	out.Read, out.Packs = time.Since(began), len(st.packs)
	return print(out)
}

package snapshot

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gofrs/flock"
	"github.com/zeebo/blake3"

	"github.com/orthokeep/orthokeep/repo"
	"github.com/orthokeep/orthokeep/repo/storage"
)

// Journal is what one server's backups keep on this host between runs (FORMAT.md section 6): what has been stored of attachments
// that no manifest names yet, the run under way, and the last root published. It is derived and may be deleted. An open Journal is
// also the lock that keeps a second backup of the same server out.
type Journal struct {
	path  string
	fs    storage.FS // that path is written on
	lock  *flock.Flock
	state journalState
	log   *entryLog // nil before it is open
}

// journalState is what the file of a journal says.
type journalState struct {
	Run   string    `json:"run,omitempty"` // that this journal's backup has not ended
	Last  *lastRoot `json:"last,omitempty"`
	Seed  uint32    `json:"seed"` // of the log
	End   int64     `json:"end"`  // bytes of the log that count
	Heads []headRef `json:"heads,omitempty"`
}

// lastRoot is the server's last root that this host knows of.
type lastRoot struct {
	Repository string `json:"repository"`
	Name       string `json:"name"`
	Counter    int64  `json:"counter"`
}

// OpenJournal opens or makes the journal at path. The error matches ErrLocked when another backup holds it. A journal
// that is damaged is made anew.
func OpenJournal(path string) (*Journal, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("make the cache folder: %w", err)
	}
	base := strings.TrimSuffix(path, filepath.Ext(path))
	j := &Journal{path: path, fs: storage.OS, lock: flock.New(base + ".lock")}
	if ok, err := j.lock.TryLock(); err != nil {
		return nil, fmt.Errorf("open journal %s: %w", path, err)
	} else if !ok {
		return nil, ErrLocked
	}
	if err := j.open(base + ".log"); err != nil {
		return nil, errors.Join(fmt.Errorf("open journal %s: %w", path, err), j.Close())
	}
	return j, nil
}

// open reads the state and opens the log. One that is damaged is forgotten, and so is one that was written by another journal, or whose head
// chunks are not all there.
func (j *Journal) open(log string) error {
	data, err := os.ReadFile(j.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if j.state, err = parseJournal(data); err != nil {
		j.state = journalState{Seed: rand.Uint32()}
	}
	storage.SweepFile(j.path)
	file, err := os.OpenFile(log, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	j.log = &entryLog{file: file, seed: j.state.Seed, end: j.state.End}
	err = j.log.load(j.state.Heads)
	if errors.Is(err, repo.ErrCorrupt) {
		return j.clear()
	}
	return err
}

// Close releases the lock.
func (j *Journal) Close() error {
	if j.log == nil {
		return j.lock.Close()
	}
	return errors.Join(j.log.close(), j.lock.Close())
}

// parseJournal reads the file of a journal: a line with the BLAKE3-256 of what follows, and JSON.
func parseJournal(data []byte) (s journalState, err error) {
	sum, body, _ := bytes.Cut(data, []byte("\n"))
	if want := blake3.Sum256(body); string(sum) != hex.EncodeToString(want[:]) {
		return s, fmt.Errorf("journal: %w", repo.ErrCorrupt)
	}
	return s, json.Unmarshal(body, &s)
}

func (s journalState) marshal() []byte {
	body, err := json.Marshal(s)
	if err != nil {
		panic("snapshot: " + err.Error()) // plain fields
	}
	sum := blake3.Sum256(body)
	return append(append(hex.AppendEncode(nil, sum[:]), '\n'), body...)
}

// write replaces the state. From its return on the new one counts; after an error it may be either.
func (j *Journal) write(s journalState) error {
	if err := storage.WriteFileOn(j.fs, j.path, s.marshal(), 0o600); err != nil {
		return err
	}
	j.state = s
	return nil
}

// commit adds entries whose blobs are durable, and the head chunks that follow those which are there. After an error it may be tried again, with
// what has been added since.
func (j *Journal) commit(heads []headRef, entries []Entry) error {
	end, err := j.log.append(entries)
	if err != nil {
		return err
	}
	next := j.state
	next.Heads, next.End = slices.Concat(next.Heads, heads), end
	if err := j.write(next); err != nil {
		return err
	}
	return j.log.accept(end)
}

// heads returns the head chunks, by number.
func (j *Journal) heads() []headRef { return j.state.Heads }

// get returns what is stored of an attachment.
func (j *Journal) get(u UUID) (e Entry, ok bool) { return j.log.get(u) }

// last returns the last root published; nil when none is known.
func (j *Journal) last() *lastRoot { return j.state.Last }

// run returns the run that this journal's backup has not ended; empty when there is none.
func (j *Journal) run() (name string) { return j.state.Run }

func (j *Journal) setRun(name string) error {
	next := j.state
	next.Run = name
	return j.write(next)
}

// published forgets the provisional entries: the manifest of the root has what it needs of them.
func (j *Journal) published(l lastRoot) error {
	next := j.state
	next.Last = &l
	return j.forget(next)
}

// clear forgets the provisional entries.
func (j *Journal) clear() error { return j.forget(j.state) }

// forget makes next the state, without provisional entries.
func (j *Journal) forget(next journalState) error {
	next.Seed, next.End, next.Heads = rand.Uint32(), 0, nil
	if err := j.write(next); err != nil {
		return err
	}
	return j.log.reset(next.Seed)
}

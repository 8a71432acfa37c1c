package repo

import (
	"context"
	"fmt"
	"sync"
)

// CheckOptions say how deep Check looks. Its zero value looks at structure alone.
type CheckOptions struct {
	ReadPacks Arc // packs, by their names, whose bytes are compared with them; needs no recovery key
	ReadData  Arc // packs whose blobs are decrypted, decoded and compared with their ID as well
}

// Finding is one thing that Check found wrong.
type Finding struct {
	Object string `json:"object"`
	Detail string `json:"detail"`
	Damage bool   `json:"damage"` // something is lost or no longer protected; false for what is merely left over
	Healed bool   `json:"healed"` // it was damaged, and was put right
}

// CheckReport is what Check has looked at and found.
type CheckReport struct {
	Packs     int64     `json:"packs"`
	Blobs     int64     `json:"blobs"`
	Bytes     int64     `json:"bytes"` // of packs
	PacksRead int64     `json:"packs_read"`
	Read      int64     `json:"read"` // bytes of packs read
	Objects   int64     `json:"objects"`
	Findings  []Finding `json:"findings"`
	BadBlobs  []ID      `json:"-"` // listed, and not readable from any pack that was read
	Unchecked int64     `json:"-"` // objects of no known name
	More      int64     `json:"-"` // findings beyond the first hundred thousand

	moreDamage bool // among these

	unreadable []string // objects, no packs, that are damaged still
	givenUp    []string // those in quarantine that are
}

// Damaged reports whether something is lost.
func (c *CheckReport) Damaged() bool {
	if c.moreDamage {
		return true
	}
	for _, f := range c.Findings {
		if f.Damage {
			return true
		}
	}
	return false
}

// CheckProgress is told of the bytes of packs that have been read.
type CheckProgress interface{ Add(packs, bytes int64) }

// Check compares what the segments list with what is stored, every small object with its checksum, and as much of the
// packs as the options ask for. What is damaged and has parity it puts right. An error means that it could not look; what it found wrong is in the report.
func (r *Repository) Check(ctx context.Context, o CheckOptions, p CheckProgress) (*CheckReport, error) {
	c, err := r.BeginCheck(ctx)
	if err != nil {
		return nil, err
	}
	if err := c.ReadPacks(ctx, o, p); err != nil {
		return nil, err
	}
	return c.Report(), nil
}

// A Checking is a Check that is done in two steps, with other looks at the data between them.
type Checking struct{ *checker }

// BeginCheck does what needs no pack to be read. It reads the segments themselves, one at a time, never the catalogue, and holds some 60
// bytes for each pack.
func (r *Repository) BeginCheck(ctx context.Context) (*Checking, error) {
	c := &Checking{newChecker(r)}
	var err error
	if c.quarantine, err = r.readQuarantine(ctx); err != nil {
		return nil, err
	}
	if marks, err := r.readMarks(ctx); err == nil { // else the look at all objects finds what is wrong with them
		c.marked = markedPacks(marks)
	}
	if err := c.objects(ctx); err != nil {
		return nil, err
	}
	if err := c.packs(ctx); err != nil {
		return nil, err
	}
	if err := c.epochKeys(ctx); err != nil {
		return nil, err
	}
	return c, c.parity(ctx)
}

// Report is what has been looked at and found so far.
func (c *Checking) Report() *CheckReport { return c.report }

func newChecker(r *Repository) *checker {
	return &checker{r: r, report: &CheckReport{}, stored: map[packID]storedPack{}, small: map[string]bool{}, parities: map[string]bool{}, epochs: map[string]bool{},
		lostEpochs: map[[16]byte]bool{}, superseded: map[string]bool{}, bad: map[packID]badness{}}
}

type checker struct {
	r          *Repository
	marked     map[packID]bool // a prune may be deleting them
	mu         sync.Mutex
	report     *CheckReport
	stored     map[packID]storedPack
	small      map[string]bool // names of all other objects
	parities   map[string]bool // names of objects that have parity
	bad        map[packID]badness
	epochs     map[string]bool // names of good epoch objects
	needed     map[[16]byte]bool
	quarantine quarantine
	lostEpochs map[[16]byte]bool // whose keys are lost, of those
	decoded    *readCopies       // need not be decoded
	sample     int               // blobs of a pack that are compared, chosen at random; 0: all
	segments   []string          // names of good ones
	superseded map[string]bool   // names of segments that others supersede
}

// badness is what is wrong with a listed pack.
type badness int

const (
	packDamaged badness = iota + 1
	packMissing
)

// storedPack is a pack in the storage.
type storedPack struct {
	size   int64 // bytes
	listed bool  // in a segment
	read   bool
}

// maxFindings bounds what a report names: a segment that somebody made up may list a million packs that are not there.
const maxFindings = 100_000

func (c *checker) found(damage bool, object, format string, args ...any) {
	c.add(Finding{Object: object, Detail: fmt.Sprintf(format, args...), Damage: damage})
}

// foundHealed takes down what was damaged, and is not any more.
func (c *checker) foundHealed(object, detail string) {
	c.add(Finding{Object: object, Detail: detail, Healed: true})
}

func (c *checker) add(f Finding) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.report.Findings) >= maxFindings {
		c.report.More++
		c.report.moreDamage = c.report.moreDamage || f.Damage
		return
	}
	c.report.Findings = append(c.report.Findings, f)
}

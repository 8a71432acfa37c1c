package repo

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/orthokeep/orthokeep/chunk/pixel"
)

// RunInfo is what a run says of itself, so that prune and other hosts know about it.
type RunInfo struct {
	Kind    string    `json:"kind"` // backup, copy, restore, check, repair
	Server  string    `json:"server,omitempty"`
	Host    string    `json:"host,omitempty"`
	Parent  string    `json:"parent,omitempty"` // name of the root that it builds on
	Started time.Time `json:"started"`
}

// Run stores blobs. Put may be called by several goroutines at once; the other methods by one.
// Memory is bounded by two packs that are open or wait, those that are being written, one for each core and one fewer, and about 150 bytes
// for each blob that is new since the last Checkpoint.
type Run struct {
	r    *Repository
	name string // TIME-ID

	inPut  sync.RWMutex   // held for reading during Put, for writing by Checkpoint: so that a checkpoint covers what Put returned
	behind errgroup.Group // writes full packs
	turn   sync.Mutex     // of who adds to a pack, and has it written if it is full: while a pack waits for that, no other one is begun

	mu       sync.Mutex
	open     map[Class]*packBuilder
	spare    [][]byte     // buffers of packs that have been written
	pending  map[ID]bool  // put by this run, not yet in a segment
	written  []packRecord // durable, not yet in a segment
	sample   []packRecord // some of those that are durable, in a segment or not, each with the same chance
	packs    int          // durable ones
	epoch    *epoch       // of this run's content, made at the first content blob
	segments int
	bytes    int64 // of packs written
	put      int64 // of new blobs, sealed, with what a pack's table says of them
	failed   error // a pack could not be written: nothing may be published
}

const timeLayout = "20060102T150405Z"

// StampedName returns a new TIME-ID, the form of the names of runs, roots and marks.
func StampedName(at time.Time) string { return at.UTC().Format(timeLayout) + "-" + randomID() }

// Begin announces a run, and then imports what others have added and marks to be deleted (FORMAT.md section 10).
func (r *Repository) Begin(ctx context.Context, info RunInfo) (*Run, error) {
	return r.BeginNamed(ctx, StampedName(info.Started), info)
}

// BeginNamed is Begin for a caller that has noted the run's name, a StampedName, before: after an error the run may be announced
// all the same, and then EndStaleRun ends it.
func (r *Repository) BeginNamed(ctx context.Context, name string, info RunInfo) (*Run, error) {
	u := newRun(r, name)
	body, err := json.Marshal(info)
	if err != nil {
		panic("repo: " + err.Error()) // plain fields
	}
	if err := r.PutObject(ctx, KindRun, u.object(), body); err != nil {
		return nil, err
	}
	return u, r.Refresh(ctx)
}

func newRun(r *Repository, name string) *Run {
	u := &Run{r: r, name: name, open: map[Class]*packBuilder{}, pending: map[ID]bool{}}
	u.behind.SetLimit(max(1, runtime.GOMAXPROCS(0)-1))
	return u
}

// nextSegment is the name of the run's next segment.
func (u *Run) nextSegment() string {
	u.segments++
	return fmt.Sprintf("%s%s-%04d", segmentsPrefix, u.name, u.segments)
}

func (u *Run) object() string { return "runs/" + u.name }

// Name returns the run's name.
func (u *Run) Name() string { return u.name }

// BytesAdded is the length of all packs that the run has written.
func (u *Run) BytesAdded() int64 {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.bytes
}

// BytesPut is the length of what Put has added, whether or not its packs are written yet.
func (u *Run) BytesPut() int64 {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.put
}

// Put stores a blob unless it is known, and reports whether it was new. The layout describes plain where it is native
// pixel data. Plain is not kept. The blob is durable after the next Checkpoint.
func (u *Run) Put(ctx context.Context, class Class, plain []byte, layout pixel.Layout) (ID, bool, error) {
	if len(plain) > MaxBlob {
		panic(fmt.Sprintf("repo: a blob of %d bytes", len(plain)))
	}
	u.inPut.RLock()
	defer u.inPut.RUnlock()
	id := u.r.keys.blobID(class, plain)
	known, err := u.claim(ctx, id)
	if known || err != nil {
		return id, false, err
	}
	key, epochID, err := u.sealingKey(ctx, class)
	if err != nil {
		return id, false, u.fail(err)
	}
	buf := blobBuffers.Get().(*[]byte)
	defer blobBuffers.Put(buf)
	*buf = u.r.codec.encodeAndSeal((*buf)[:0], key, id, plain, layout)
	u.turn.Lock()
	defer u.turn.Unlock()
	if full := u.append(class, epochID, id, *buf, len(plain)); full != nil {
		u.writeBehind(ctx, full)
	}
	return id, true, nil
}

// claim reports whether a blob is stored already or being stored by this run; if not, it is the caller's to store. Blobs are looked
// up without the lock: a blob that is pending stays so until a Checkpoint, and no Checkpoint is under way.
func (u *Run) claim(ctx context.Context, id ID) (known bool, err error) {
	known, err = u.r.known(ctx, id)
	u.mu.Lock()
	defer u.mu.Unlock()
	if err = cmp.Or(u.failed, err); err != nil {
		return false, err
	}
	if known || u.pending[id] {
		return true, nil
	}
	u.pending[id] = true
	return false, nil
}

// Has reports whether a blob is stored and may be relied on. Where the catalogue turns out to be damaged and cannot be built
// anew, nothing is.
func (u *Run) Has(id ID) bool {
	u.mu.Lock()
	pending := u.pending[id]
	u.mu.Unlock()
	if pending {
		return true
	}
	known, err := u.r.known(context.Background(), id)
	return known && err == nil
}

func (u *Run) fail(err error) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.failed == nil {
		u.failed = err
	}
	return err
}

// sealingKey returns the key of a class; the epoch of content is made, and stored twice, when it is first needed.
func (u *Run) sealingKey(ctx context.Context, class Class) ([32]byte, *[16]byte, error) {
	if class == Structure {
		return u.r.keys.blobs, nil, nil
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.epoch == nil {
		e := newEpoch()
		for _, name := range epochNames(e.id) {
			raw, err := marshalEpoch(e, u.r.recipients)
			if err != nil {
				return [32]byte{}, nil, fmt.Errorf("encrypt epoch key: %w", err)
			}
			if err := u.r.st.Put(ctx, name, raw); err != nil {
				return [32]byte{}, nil, fmt.Errorf("write %s: %w", name, err)
			}
		}
		u.epoch = &e
		u.r.rememberEpoch(e)
	}
	return u.epoch.key, &u.epoch.id, nil
}

// append adds a sealed blob to the open pack of its class and returns that pack when it is full.
func (u *Run) append(class Class, epochID *[16]byte, id ID, sealed []byte, plain int) (full *packBuilder) {
	u.mu.Lock()
	defer u.mu.Unlock()
	b := u.open[class]
	if b == nil {
		b = newPackBuilder(class, u.buffer())
		u.open[class] = b
	}
	b.add(epochID, id, sealed, plain)
	u.put += int64(len(sealed)) + tableBlob
	if b.len() < u.r.cfg.PackSize {
		return nil
	}
	delete(u.open, class)
	return b
}

// buffer returns one for a pack, the last that was in use: memory that has been touched is quicker than new memory.
func (u *Run) buffer() []byte {
	if last := len(u.spare) - 1; last >= 0 {
		buf := u.spare[last]
		u.spare = u.spare[:last]
		return buf
	}
	return make([]byte, 0, u.r.cfg.PackSize+u.r.cfg.PackSize/8)
}

package repo

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/orthokeep/orthokeep/repo/storage"
)

const (
	quarantinePrefix = "quarantine/"
	maxQuarantined   = maxBody / 40 // packs, blobs and objects: each takes more bytes
)

// quarantine is what a repair found to be damaged for good (FORMAT.md section 7).
type quarantine struct {
	name    string          // TIME-ID; empty: there is none
	packs   map[packID]bool // listed, and missing or damaged: no run relies on them
	blobs   map[ID]bool     // whole in no pack, when it was written
	objects map[string]bool // unreadable
}

type quarantineBody struct {
	Made    time.Time `json:"made"`
	Packs   []string  `json:"packs"`
	Blobs   []string  `json:"blobs"`
	Objects []string  `json:"objects"`
}

func parseQuarantine(name string, body []byte) (q quarantine, err error) {
	var b quarantineBody
	if err := UnmarshalJSON(body, &b, maxQuarantined); err != nil {
		return q, corrupt(name, "not a quarantine")
	}
	q = quarantine{packs: map[packID]bool{}, blobs: map[ID]bool{}, objects: map[string]bool{}}
	hash := func(digits string) (h [32]byte) {
		if n, decodeErr := hex.Decode(h[:], []byte(digits[:min(len(digits), 64)])); decodeErr != nil || n != len(h) || len(digits) != 64 {
			err = corrupt(name, "a name that is none")
		}
		return h
	}
	for _, p := range b.Packs {
		q.packs[hash(p)] = true
	}
	for _, id := range b.Blobs {
		q.blobs[hash(id)] = true
	}
	for _, o := range b.Objects {
		q.objects[o] = true
	}
	return q, err
}

func (q quarantine) marshal(at time.Time) []byte {
	b := quarantineBody{Made: at.UTC(), Packs: []string{}, Blobs: []string{}, Objects: append([]string{}, slices.Sorted(maps.Keys(q.objects))...)}
	for p := range q.packs {
		b.Packs = append(b.Packs, hex.EncodeToString(p[:]))
	}
	for id := range q.blobs {
		b.Blobs = append(b.Blobs, hex.EncodeToString(id[:]))
	}
	slices.Sort(b.Packs)
	slices.Sort(b.Blobs)
	body, err := json.Marshal(b)
	if err != nil {
		panic("repo: " + err.Error()) // plain fields
	}
	return body
}

func (q quarantine) empty() bool { return len(q.packs)+len(q.blobs)+len(q.objects) == 0 }

// readQuarantine reads the newest quarantine that is readable.
func (r *Repository) readQuarantine(ctx context.Context) (quarantine, error) {
	names, err := r.listNames(ctx, quarantinePrefix)
	if err != nil {
		return quarantine{}, err
	}
	for _, name := range slices.Backward(slices.Sorted(maps.Keys(names))) {
		body, err := r.GetObject(ctx, KindQuarantine, name)
		var q quarantine
		if err == nil {
			q, err = parseQuarantine(name, body)
		}
		if errors.Is(err, ErrCorrupt) || errors.Is(err, storage.ErrNotFound) {
			continue // check names it; or prune has just deleted it
		}
		q.name = name[len(quarantinePrefix):]
		return q, err
	}
	return quarantine{}, nil
}

// putQuarantine publishes a quarantine. From here on no run that begins relies on these packs.
func (r *Repository) putQuarantine(ctx context.Context, q quarantine, at time.Time) error {
	body := q.marshal(at)
	if len(body) > maxBody {
		return fmt.Errorf("%d packs and %d blobs are damaged: more than one quarantine has room for", len(q.packs), len(q.blobs))
	}
	return r.PutObject(ctx, KindQuarantine, quarantinePrefix+StampedName(at), body)
}

// leaveQuarantine deletes the objects in quarantine, earlier quarantines, and the last one when nothing of it is left: its packs are listed no more, its blobs
// are stored again or not needed.
func (p *Prune) leaveQuarantine(ctx context.Context, q quarantine, n *needed) error {
	if q.name == "" {
		return nil
	}
	over := slices.Collect(maps.Keys(q.objects))
	names, err := p.r.listNames(ctx, quarantinePrefix)
	if err != nil {
		return err
	}
	for name := range names {
		if name != quarantinePrefix+q.name {
			over = append(over, name)
		}
	}
	left, err := p.stillQuarantined(ctx, q, n)
	if err != nil {
		return err
	}
	for _, name := range over {
		gone, err := p.Delete(ctx, name)
		if err != nil {
			return err
		}
		if !gone {
			p.report.Refused++
			left = true
		}
	}
	if left {
		return nil
	}
	_, err = p.Delete(ctx, quarantinePrefix+q.name)
	return err
}

// stillQuarantined reports whether any pack of a quarantine is listed, or any blob is needed and not stored again.
func (p *Prune) stillQuarantined(ctx context.Context, q quarantine, n *needed) (left bool, err error) {
	if n == nil {
		return !q.empty(), nil
	}
	if err := p.r.Refresh(ctx); err != nil {
		return false, err
	}
	err = p.r.search(ctx, func() error {
		return p.r.blobs.walkSome(func(c packCell) bool { left = left || q.packs[c.id]; return false }, blobsInto{&needed{}})
	})
	for id := range q.blobs {
		if left || err != nil {
			break
		}
		var known bool
		known, err = p.r.known(ctx, id)
		left = n.has(prefixOf(id)) && !known
	}
	return left, err
}

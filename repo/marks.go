package repo

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/orthokeep/orthokeep/repo/storage"
)

const (
	marksPrefix = "marks/"
	noteSuffix  = ".note"
	maxMarked   = maxBody / 80 // packs that one mark has room for
	markFields  = 8            // values beside these, at most
)

// mark is a list of packs that prune wants to delete (FORMAT.md section 10).
type mark struct {
	name  string // TIME-ID
	packs []packID
	noted bool
	runs  []string // that its note names
}

// readMarks reads all marks, the oldest first. What is deleted meanwhile is left out.
func (r *Repository) readMarks(ctx context.Context) ([]mark, error) {
	names, err := r.listNames(ctx, marksPrefix)
	if err != nil {
		return nil, err
	}
	var all []mark
	for name := range names {
		if strings.HasSuffix(name, noteSuffix) {
			continue
		}
		m := mark{name: strings.TrimPrefix(name, marksPrefix), noted: names[name+noteSuffix]}
		if m.packs, err = r.readMark(ctx, name); err == nil && m.noted {
			m.runs, err = r.readNote(ctx, name+noteSuffix)
		}
		if errors.Is(err, storage.ErrNotFound) {
			continue
		}
		if r.lenient && errors.Is(err, ErrCorrupt) {
			r.leaveOut(name)
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, m)
	}
	slices.SortFunc(all, func(a, b mark) int { return strings.Compare(a.name, b.name) })
	return all, nil
}

type markBody struct {
	Packs []string  `json:"packs"`
	Made  time.Time `json:"made"`
}

type noteBody struct {
	Runs []string `json:"runs"`
}

func (r *Repository) readMark(ctx context.Context, name string) ([]packID, error) {
	body, err := r.GetObject(ctx, KindMark, name)
	if err != nil {
		return nil, err
	}
	packs, err := parseMark(body)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return packs, nil
}

func parseMark(body []byte) ([]packID, error) {
	var m markBody
	if err := UnmarshalJSON(body, &m, maxMarked+markFields); err != nil {
		return nil, err
	}
	packs := make([]packID, len(m.Packs))
	for i, digits := range m.Packs {
		if len(digits) != 2*len(packs[i]) {
			return nil, fmt.Errorf("names no pack: %w", ErrCorrupt)
		}
		if _, err := hex.Decode(packs[i][:], []byte(digits)); err != nil {
			return nil, fmt.Errorf("names no pack: %w", ErrCorrupt)
		}
	}
	return packs, nil
}

func (r *Repository) readNote(ctx context.Context, name string) ([]string, error) {
	body, err := r.GetObject(ctx, KindNote, name)
	if err != nil {
		return nil, err
	}
	var n noteBody
	if err := UnmarshalJSON(body, &n, maxValues); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return n.Runs, nil
}

// putMark publishes a mark. From here on no run that begins relies on these packs.
func (r *Repository) putMark(ctx context.Context, name string, packs []packID, at time.Time) error {
	m := markBody{Packs: make([]string, len(packs)), Made: at.UTC()}
	for i, p := range packs {
		m.Packs[i] = p.String()
	}
	body, err := json.Marshal(m)
	if err != nil {
		panic("repo: " + err.Error()) // plain fields
	}
	return r.PutObject(ctx, KindMark, marksPrefix+name, body)
}

// putNote completes a mark. The runs under way have to be listed after the mark was published.
func (r *Repository) putNote(ctx context.Context, mark string, runs []string) error {
	body, err := json.Marshal(noteBody{append([]string{}, runs...)})
	if err != nil {
		panic("repo: " + err.Error()) // plain fields
	}
	return r.PutObject(ctx, KindNote, marksPrefix+mark+noteSuffix, body)
}

// ripe reports whether none of the runs that the note names is under way any more.
func (m mark) ripe(runs []RunState) bool {
	return m.noted && !slices.ContainsFunc(runs, func(s RunState) bool { return s.UnderWay() && slices.Contains(m.runs, s.Name) })
}

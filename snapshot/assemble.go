package snapshot

import (
	"context"
	"fmt"
	"iter"

	"github.com/orthokeep/orthokeep/repo"
)

// StoreManifest stores the manifest of a list of attachments, every one of which has to be in the parent or stored: otherwise
// the error matches ErrInconsistent. D is the difference that Missing found for the same list.
func (s *Session) StoreManifest(ctx context.Context, list iter.Seq2[Attachment, error], d Difference) (m Manifest, err error) {
	s.added.Attachments = d.New
	err = s.cost(&s.added.Manifest, func() error {
		m, err = s.storeManifest(ctx, list, d)
		return err
	})
	return m, err
}

func (s *Session) storeManifest(ctx context.Context, list iter.Seq2[Attachment, error], d Difference) (Manifest, error) {
	if s.parent != nil && d.New+d.Renewed+d.Deleted == 0 && s.carry.manifest {
		return s.parent.Manifest, nil
	}
	w, err := s.newAssembly(ctx, s.needsBase(d))
	if err != nil {
		return Manifest{}, err
	}
	for p, err := range s.merge(ctx, list) {
		if err != nil {
			return Manifest{}, err
		}
		if err := w.add(p); err != nil {
			return Manifest{}, err
		}
	}
	if w.missing > 0 {
		return Manifest{}, fmt.Errorf("%d of %d attachments to be stored are missing or differ from the index, the first is %s: %w", w.missing, d.New+d.Renewed, w.firstMissing, ErrInconsistent)
	}
	layer, err := w.out.finish()
	if err != nil {
		return Manifest{}, err
	}
	m := Manifest{Attachments: w.attachments, Layers: []Layer{layer}}
	if !w.base {
		m.Layers = append(append([]Layer(nil), s.parent.Manifest.Layers...), layer)
	}
	return m, nil
}

// needsBase applies the rule of FORMAT.md section 3.
func (s *Session) needsBase(d Difference) bool {
	if s.parent == nil || len(s.parent.Manifest.Layers) == 0 || !s.carry.manifest {
		return true
	}
	m := s.parent.Manifest
	return (m.deltaEntries()+d.New+d.Renewed+d.Deleted)*2 > m.Layers[0].Count
}

// assembly writes one layer.
type assembly struct {
	s            *Session
	base         bool
	out          *layerWriter
	renumber     []map[uint64]uint64 // in a base: by layer of the parent, its head chunks' new numbers
	headShift    uint64              // number in the layer of the journal's first head chunk
	attachments  int64
	missing      int64
	firstMissing UUID
}

func (s *Session) newAssembly(ctx context.Context, base bool) (*assembly, error) {
	w := &assembly{s: s, base: base, out: newLayerWriter(ctx, s.run, s.repo.Polynomial())}
	if base && s.parent != nil {
		if err := w.carryHeads(ctx); err != nil {
			return nil, err
		}
	}
	w.headShift = w.out.headCount
	for _, h := range s.journal.heads() {
		if _, err := w.out.head(h); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// carryHeads takes over the head chunks that entries of the parent use.
func (w *assembly) carryHeads(ctx context.Context) error {
	m := w.s.parent.Manifest
	used := make([][]bool, len(m.Layers))
	heads := make([][]headRef, len(m.Layers))
	w.renumber = make([]map[uint64]uint64, len(m.Layers))
	for i, l := range m.Layers {
		var err error
		if heads[i], err = readHeads(ctx, w.s.repo, l); err != nil {
			return err
		}
		used[i], w.renumber[i] = make([]bool, len(heads[i])), map[uint64]uint64{}
	}
	for e, err := range m.entries(ctx, w.s.repo) {
		if err != nil {
			return err
		}
		if !w.s.carry.entry(e) {
			continue
		}
		for part, err := range e.headParts(heads[e.layer]) {
			if err != nil {
				return fmt.Errorf("attachment %s: %w", e.UUID, err)
			}
			used[e.layer][part.chunk] = true
		}
	}
	for i := range heads {
		for n, h := range heads[i] {
			if !used[i][n] {
				continue
			}
			number, err := w.out.head(h)
			if err != nil {
				return err
			}
			w.renumber[i][uint64(n)] = number
		}
	}
	return nil
}

// add writes what a pair means for the layer.
func (w *assembly) add(p pair) error {
	if p.listed == nil {
		if w.base {
			return nil
		}
		return w.out.write(&Entry{Key: p.parent.Key, deleted: true})
	}
	w.attachments++
	if w.s.carried(p) {
		if !w.base {
			return nil
		}
		e := *p.parent.Entry
		if e.headLength > 0 {
			e.headChunk = w.renumber[p.parent.layer][e.headChunk]
		}
		return w.out.write(&e)
	}
	e, ok := w.s.provisional(p.listed)
	if !ok {
		if w.missing++; w.missing == 1 {
			w.firstMissing = p.listed.UUID
		}
		return nil
	}
	e.Key, e.Uncompressed, e.Compression, e.Stated = p.listed.Key(), p.listed.Uncompressed, p.listed.Compression, p.listed.HasMD5
	if e.headLength > 0 {
		e.headChunk += w.headShift
	}
	return w.out.write(&e)
}

// headPart is the part of a head that lies in one chunk.
type headPart struct {
	chunk        uint64
	offset, size int64
}

// headParts yields the parts of an entry's head in order, checked against its layer's head chunks.
func (e *Entry) headParts(heads []headRef) iter.Seq2[headPart, error] {
	return func(yield func(headPart, error) bool) {
		left, offset := e.headLength, e.headOffset
		for n := e.headChunk; left > 0; n++ {
			if n >= uint64(len(heads)) || offset >= int64(heads[n].length) {
				yield(headPart{}, fmt.Errorf("head lies outside of the head stream: %w", repo.ErrCorrupt))
				return
			}
			size := min(left, int64(heads[n].length)-offset)
			if !yield(headPart{n, offset, size}, nil) {
				return
			}
			left, offset = left-size, 0
		}
	}
}

package snapshot

import (
	"context"
	"iter"
)

// Difference is what a list of attachments has that the parent has not, and the other way round.
type Difference struct {
	Attachments int64 // in the list
	Bytes       int64 // of these, as Orthanc stores them
	New         int64 // in the list, not in the parent
	Renewed     int64 // in both, and stored again: see carry
	Deleted     int64 // in the parent, not in the list
	Missing     int64 // new, and not stored yet
	MissingSize int64 // bytes of these
	Unstated    int64 // new, without an MD5 in the index
}

// pair is a step of the merge of a list with the parent's manifest: an attachment, the parent's entry, or both.
type pair struct {
	listed *Attachment
	parent placed // its Entry is nil when the parent has none of that key
}

// merge walks a list and the parent's manifest side by side, in order of their keys. It yields one pair for each key;
// both parts are valid until the next step.
func (s *Session) merge(ctx context.Context, list iter.Seq2[Attachment, error]) iter.Seq2[pair, error] {
	return func(yield func(pair, error) bool) {
		var manifest Manifest
		if s.parent != nil {
			manifest = s.parent.Manifest
		}
		next, stop := iter.Pull2(manifest.entries(ctx, s.repo))
		defer stop()
		old, err, more := next()
		advance := func() { old, err, more = next() }
		for a, listErr := range list {
			if listErr != nil {
				yield(pair{}, listErr)
				return
			}
			for more && err == nil && old.Key.Compare(a.Key()) < 0 {
				if !yield(pair{parent: old}, nil) {
					return
				}
				advance()
			}
			if more && err != nil {
				yield(pair{}, err)
				return
			}
			p := pair{listed: &a}
			if more && old.Key == a.Key() {
				p.parent = old
			}
			if !yield(p, nil) {
				return
			}
			if p.parent.Entry != nil {
				advance()
			}
		}
		for ; more; advance() {
			if !yield(pair{parent: old}, err) || err != nil {
				return
			}
		}
	}
}

// matches reports whether an entry is the file that the index describes.
func (s *Session) matches(e *Entry, a *Attachment) bool {
	return e.UUID == a.UUID && e.Size == a.Size && (!a.HasMD5 || s.repo.HashMD5(a.MD5) == e.MD5)
}

// same reports whether the parent's entry is the attachment that is listed.
func (s *Session) same(p pair) bool {
	return p.listed != nil && p.parent.Entry != nil && s.matches(p.parent.Entry, p.listed) &&
		p.parent.Uncompressed == p.listed.Uncompressed && p.parent.Compression == p.listed.Compression
}

// carried reports whether the parent's entry is taken over as it is.
func (s *Session) carried(p pair) bool { return s.same(p) && s.carry.entry(p.parent) }

// provisional returns what is stored of an attachment, when it is what the index says and all its blobs are there.
func (s *Session) provisional(a *Attachment) (Entry, bool) {
	e, ok := s.journal.get(a.UUID)
	if !ok || !s.matches(&e, a) {
		return Entry{}, false
	}
	for _, b := range e.bulk {
		if !s.run.Has(b.id) {
			return Entry{}, false
		}
	}
	return e, true
}

// Missing yields, in order, the attachments of a list that have to be read: neither in the parent nor stored. The difference
// is complete when it has ended.
func (s *Session) Missing(ctx context.Context, list iter.Seq2[Attachment, error], d *Difference) iter.Seq2[UUID, error] {
	return func(yield func(UUID, error) bool) {
		*d = Difference{}
		for p, err := range s.merge(ctx, list) {
			if err != nil {
				yield(UUID{}, err)
				return
			}
			if p.listed == nil {
				d.Deleted++
				continue
			}
			d.Attachments++
			d.Bytes += p.listed.Size
			switch same := s.same(p); {
			case same && s.carry.entry(p.parent):
				continue
			case same:
				d.Renewed++
			default:
				d.New++
				if !p.listed.HasMD5 {
					d.Unstated++
				}
			}
			if _, ok := s.provisional(p.listed); ok {
				continue
			}
			d.Missing++
			d.MissingSize += p.listed.Size
			if !yield(p.listed.UUID, nil) {
				return
			}
		}
	}
}

// NotStored yields those of a listing of the storage area that neither the parent nor the journal knows. It passes over one
// in a hundred of them, since it holds no more than a filter of the parent's attachments, 1.25 bytes for each: it feeds the
// reading ahead, and the index decides afterwards what is missing.
func (s *Session) NotStored(ctx context.Context, list iter.Seq2[UUID, error]) iter.Seq2[UUID, error] {
	return func(yield func(UUID, error) bool) {
		known, err := s.parentFilter(ctx)
		if err != nil {
			yield(UUID{}, err)
			return
		}
		for u, err := range list {
			if err == nil {
				if known.perhaps(u) {
					continue
				}
				if _, ok := s.journal.get(u); ok {
					continue
				}
			}
			if !yield(u, err) || err != nil {
				return
			}
		}
	}
}

// parentFilter is a filter of the parent's attachments.
func (s *Session) parentFilter(ctx context.Context) (*uuidFilter, error) {
	if s.parent == nil {
		return newUUIDFilter(0), nil
	}
	known := newUUIDFilter(s.parent.Manifest.Attachments)
	for e, err := range s.parent.Manifest.entries(ctx, s.repo) {
		if err != nil {
			return nil, err
		}
		known.add(e.UUID)
	}
	return known, nil
}

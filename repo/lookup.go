package repo

import "sync"

// lookup finds blobs by ID, and may be used by several goroutines at once. An error that matches errDerived means that the
// catalogue is damaged and has to be built anew.
type lookup struct {
	mu sync.RWMutex
	c  *collection // replaced, and changed, with mu held
}

// blobCopy is one copy of a blob.
type blobCopy struct {
	entry
	in      packCell
	epochID [16]byte // zero where the structure key seals it
}

// known reports whether a blob has a copy that may be relied on.
func (l *lookup) known(id ID) (known bool, err error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	err = l.c.search(id, func(s searched, e entry) (more bool, err error) {
		known, err = l.c.usable(s, e)
		return !known, err
	})
	return known, err
}

// A keeping says how well a blob is kept.
type keeping int

const (
	isLost     keeping = iota // no segment lists it, or repair found it whole nowhere and nobody has stored it again
	isInDanger                // it lies in damaged packs alone
	isKept
)

// keeping says how well a blob of a class is kept, and returns its plain length.
func (l *lookup) keeping(class Class, id ID) (is keeping, plain int64, err error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	err = l.c.search(id, func(s searched, e entry) (more bool, err error) {
		live, err := l.c.live(s, e)
		if !live || err != nil || e.class() != class {
			return true, err
		}
		plain = int64(e.plain)
		suspect := false
		if len(l.c.suspect) > 0 {
			p, err := s.pack(e.pack)
			if err != nil {
				return false, err
			}
			suspect = l.c.suspect[p.id]
		}
		switch {
		case !suspect:
			is = isKept
		case !l.c.gone[id]:
			is = isInDanger
		}
		return is != isKept, nil
	})
	return is, plain, err
}

// copies returns every copy of a blob that a live segment lists.
func (l *lookup) copies(id ID) (found []blobCopy, err error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	err = l.c.search(id, func(s searched, e entry) (bool, error) {
		pack, err := s.pack(e.pack)
		if err != nil || l.c.dead[pack.segment] {
			return true, err
		}
		b := blobCopy{entry: e, in: pack}
		if e.epoch != 0 {
			b.epochID, err = l.c.epochID(e.epoch)
		}
		found = append(found, b)
		return true, err
	})
	return found, err
}

// segments is the number of segments that are known, superseded ones included.
func (l *lookup) segments() int64 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return int64(len(l.c.segments))
}

// replace puts another collection in the place of the one there is, whose volumes go where discard says so.
func (l *lookup) replace(c *collection, discard bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.c == c {
		return
	}
	for _, v := range l.c.volumes {
		if discard {
			v.listed.Store(false)
		}
	}
	l.c.close()
	l.c = c
}

// change runs f with the collection to itself.
func (l *lookup) change(f func(*collection)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f(l.c)
}

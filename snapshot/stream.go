package snapshot

import (
	"context"
	"fmt"
	"io"

	"github.com/orthokeep/orthokeep/chunk"
	"github.com/orthokeep/orthokeep/chunk/pixel"
	"github.com/orthokeep/orthokeep/repo"
)

// putter stores blobs: a repo.Run.
type putter interface {
	Put(ctx context.Context, class repo.Class, plain []byte, layout pixel.Layout) (repo.ID, bool, error)
}

// getter reads blobs: a repo.Repository.
type getter interface {
	Get(ctx context.Context, class repo.Class, id repo.ID, dst []byte) ([]byte, error)
}

// streamWriter stores what is written to it as a stream.
type streamWriter struct {
	ctx   context.Context
	to    putter
	cut   *cutter
	class repo.Class
	// levels[0] are the items of the stream that are in no list blob yet, levels[1] the list blobs of these, and so on.
	levels [][]item
	length int64
}

func newStreamWriter(ctx context.Context, to putter, pol chunk.Pol, b chunk.Bounds, class repo.Class) *streamWriter {
	w := &streamWriter{ctx: ctx, to: to, class: class, levels: [][]item{nil}}
	w.cut = newCutter(pol, b, w.put)
	return w
}

func (w *streamWriter) Write(p []byte) (int, error) {
	w.length += int64(len(p))
	return w.cut.Write(p)
}

func (w *streamWriter) put(chunk []byte) error {
	id, _, err := w.to.Put(w.ctx, w.class, chunk, pixel.Layout{})
	if err != nil {
		return err
	}
	return w.add(0, item{id, int64(len(chunk))})
}

// add appends an item to a level and moves a full level into a list blob of the next one.
func (w *streamWriter) add(level int, it item) error {
	if level == len(w.levels) {
		w.levels = append(w.levels, nil)
	}
	w.levels[level] = append(w.levels[level], it)
	if len(w.levels[level]) < maxListItems {
		return nil
	}
	return w.fold(level)
}

func (w *streamWriter) fold(level int) error {
	var length int64
	for _, it := range w.levels[level] {
		length += it.length
	}
	id, _, err := w.to.Put(w.ctx, repo.Structure, marshalList(w.levels[level]), pixel.Layout{})
	if err != nil {
		return err
	}
	w.levels[level] = w.levels[level][:0]
	return w.add(level+1, item{id, length})
}

// finish ends the stream and returns its reference.
func (w *streamWriter) finish() (Stream, error) {
	if err := w.cut.Close(); err != nil {
		return Stream{}, err
	}
	for level := 0; ; level++ {
		top := level == len(w.levels)-1
		if top && len(w.levels[level]) <= maxInline {
			return Stream{w.length, level, w.levels[level]}, nil
		}
		if len(w.levels[level]) > 0 {
			if err := w.fold(level); err != nil {
				return Stream{}, err
			}
		}
	}
}

// storeStream stores all that r gives.
func storeStream(ctx context.Context, to putter, pol chunk.Pol, b chunk.Bounds, class repo.Class, r io.Reader) (Stream, error) {
	w := newStreamWriter(ctx, to, pol, b, class)
	splitter := chunk.NewSplitter(pol, b) // in the place of the writer's cutter, which holds three chunks
	splitter.Reset(r)
	for data := []byte(nil); ; w.length += int64(len(data)) {
		var err error
		if data, err = splitter.Next(data); err == io.EOF {
			return w.finish()
		} else if err != nil {
			return Stream{}, err
		}
		if err := w.put(data); err != nil {
			return Stream{}, err
		}
	}
}

// streamReader reads a stream from its beginning. It holds one blob and a list blob for each depth.
type streamReader struct {
	ctx   context.Context
	from  getter
	class repo.Class
	stack [][]item // what is left to read, the deepest level last; the first is at the stream's depth
	depth int      // of stack[0]
	buf   []byte
	blob  []byte // what is left of buf
}

func newStreamReader(ctx context.Context, from getter, class repo.Class, s Stream) *streamReader {
	return &streamReader{ctx: ctx, from: from, class: class, stack: [][]item{s.items}, depth: s.depth}
}

func (r *streamReader) Read(p []byte) (int, error) {
	for len(r.blob) == 0 {
		if err := r.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, r.blob)
	r.blob = r.blob[n:]
	return n, nil
}

// next loads the next blob of the stream; io.EOF after the last.
func (r *streamReader) next() error {
	it, err := r.nextItem()
	if err != nil {
		return err
	}
	if r.class == repo.Structure && it.length > maxStructure {
		return fmt.Errorf("blob %.8s of a stream of structure is out of bounds: %w", it.id, repo.ErrCorrupt)
	}
	if r.buf, err = r.from.Get(r.ctx, r.class, it.id, r.buf[:0]); err != nil {
		return err
	}
	if int64(len(r.buf)) != it.length {
		return fmt.Errorf("blob %.8s has another length than its stream says: %w", it.id, repo.ErrCorrupt)
	}
	r.blob = r.buf
	return nil
}

// nextItem returns the next blob without reading it, which is how references are checked; io.EOF after the last.
func (r *streamReader) nextItem() (item, error) {
	for {
		level := len(r.stack) - 1
		if len(r.stack[level]) == 0 {
			if level == 0 {
				return item{}, io.EOF
			}
			r.stack = r.stack[:level]
			continue
		}
		if level == r.depth {
			return r.shift(), nil
		}
		if err := r.descend(); err != nil {
			return item{}, err
		}
	}
}

// shift takes the next item of the deepest level in hand.
func (r *streamReader) shift() item {
	level := &r.stack[len(r.stack)-1]
	it := (*level)[0]
	*level = (*level)[1:]
	return it
}

// descend takes the next item, a list blob, and puts what it lists in hand.
func (r *streamReader) descend() error {
	below := r.depth - len(r.stack)
	it := r.shift()
	raw, err := r.from.Get(r.ctx, repo.Structure, it.id, nil)
	if err != nil {
		return err
	}
	items, err := parseList(raw, below, it.length)
	if err != nil {
		return err
	}
	r.stack = append(r.stack, items)
	return nil
}

// skip passes over the first n bytes of a stream that nothing has been read of, without reading the blobs before them.
func (r *streamReader) skip(n int64) error {
	if n < 0 {
		return fmt.Errorf("a place before the stream: %w", repo.ErrCorrupt)
	}
	for {
		level := len(r.stack) - 1
		items := r.stack[level]
		for len(items) > 0 && items[0].length <= n {
			n -= items[0].length
			items = items[1:]
		}
		r.stack[level] = items
		if n == 0 {
			return nil
		}
		if len(items) == 0 {
			return fmt.Errorf("stream is %d bytes too short: %w", n, repo.ErrCorrupt)
		}
		if level == r.depth {
			if err := r.next(); err != nil {
				return err
			}
			r.blob = r.blob[n:]
			return nil
		}
		if err := r.descend(); err != nil {
			return err
		}
	}
}

// A blobVisit is told of a blob of a stream: its class, its item, and whether it is a list blob.
type blobVisit func(class repo.Class, it item, list bool) error

// walk visits the blobs of a stream in order, each list blob before what it lists. Of the stream's own blobs it reads none. What a list blob
// lists it visits once, however often the list blob comes: a few of these, each full of the next, stand for a stream without end.
func (s Stream) walk(ctx context.Context, from getter, class repo.Class, visit blobVisit) error {
	type list struct {
		item
		depth int
	}
	walked := map[list]bool{}
	var level func(items []item, depth int) error
	level = func(items []item, depth int) error {
		for _, it := range items {
			if depth == 0 {
				if err := visit(class, it, false); err != nil {
					return err
				}
				continue
			}
			if walked[list{it, depth}] {
				continue
			}
			walked[list{it, depth}] = true
			if err := visit(repo.Structure, it, true); err != nil {
				return err
			}
			raw, err := from.Get(ctx, repo.Structure, it.id, nil)
			if err != nil {
				return err
			}
			below, err := parseList(raw, depth-1, it.length)
			if err != nil {
				return err
			}
			if err := level(below, depth-1); err != nil {
				return err
			}
		}
		return nil
	}
	return level(s.items, s.depth)
}

package snapshot

import (
	"slices"

	"github.com/orthokeep/orthokeep/chunk"
)

// cutter cuts what is written to it into chunks and hands each to emit, whose argument is valid during the call only.
// It holds at most three times the largest chunk. The cuts are those of one chunk.Splitter over the whole.
type cutter struct {
	splitter *chunk.Splitter
	max      int
	buf      []byte // not cut yet
	emit     func(chunk []byte) error
}

func newCutter(pol chunk.Pol, b chunk.Bounds, emit func([]byte) error) *cutter {
	return &cutter{splitter: chunk.NewSplitter(pol, b), max: int(b.Max), emit: emit}
}

// Write takes bytes; it fails only with an error of emit.
func (c *cutter) Write(p []byte) (int, error) {
	for done := 0; done < len(p); {
		n := min(len(p)-done, 3*c.max-len(c.buf))
		if cap(c.buf)-len(c.buf) < n {
			c.buf = slices.Grow(c.buf, max(n, len(c.buf))) // to twice as much: append's steps are small ones
		}
		c.buf = append(c.buf, p[done:done+n]...)
		done += n
		if len(c.buf) == 3*c.max {
			if err := c.cut(c.max); err != nil {
				return done, err
			}
		}
	}
	return len(p), nil
}

// Close cuts the rest. The cutter can be written to again: that begins a new stream.
func (c *cutter) Close() error { return c.cut(1) }

// cut emits chunks while at least least bytes are left. With the longest chunk's length left, where a chunk ends cannot
// depend on what is still to come. What emit failed to take is cut again the next time.
func (c *cutter) cut(least int) error {
	rest := c.buf
	defer func() { c.buf = append(c.buf[:0], rest...) }()
	for len(rest) >= least {
		n := c.splitter.Cut(rest)
		if err := c.emit(rest[:n]); err != nil {
			return err
		}
		rest = rest[n:]
	}
	return nil
}

package snapshot

import "sync/atomic"

// Progress is told how far an operation has come. Its methods may be called by several goroutines at once.
type Progress interface {
	Add(attachments, bytes int64)
}

// Phases is a Progress that is also told what follows, of what unit there are how many items ("attachments"), and their bytes; 0 when not known.
type Phases interface {
	Progress
	Phase(name, unit string, items, bytes int64)
}

// NoProgress takes no notice.
type NoProgress struct{}

// Add does nothing.
func (NoProgress) Add(_, _ int64) {}

// Phase does nothing.
func (NoProgress) Phase(_, _ string, _, _ int64) {}

// Counter counts what it is told. Its zero value is ready.
type Counter struct{ attachments, bytes atomic.Int64 }

// Add counts.
func (c *Counter) Add(attachments, bytes int64) {
	c.attachments.Add(attachments)
	c.bytes.Add(bytes)
}

// Total returns what has been counted.
func (c *Counter) Total() (attachments, bytes int64) { return c.attachments.Load(), c.bytes.Load() }

package main

import (
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// A progress shows how far a command has come: bars on a terminal, lines elsewhere, objects with --json, nothing with
// --quiet. It is what packages snapshot, repo and orthanc want as their Progress. Its methods may be called at once.
type progress struct {
	p *program

	items, bytes atomic.Int64 // done in this phase

	mu    sync.Mutex
	now   phase
	began time.Time
	view  view // nil while nothing is shown
	stop  chan struct{}
	ended chan struct{}
}

// A phase is a part of a command's work.
type phase struct {
	name  string // "read attachments"
	unit  string // of its items, "attachments"
	items int64  // how many there are; 0 when that is not known
	bytes int64
}

// A view shows a status in its own way. Its methods are called one at a time.
type view interface {
	every() time.Duration           // how often show is called
	show(s status, last bool)       // last: the phase is over
	print(w io.Writer, line string) // writes a line to standard error, beside what is shown
	close()
}

// Phase ends the phase before and begins another. Totals that are not known are 0.
func (g *progress) Phase(name, unit string, items, bytes int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.endPhase()
	g.items.Store(0)
	g.bytes.Store(0)
	g.now = phase{name, unit, items, bytes}
	g.began = time.Now()
	if g.view == nil && !g.p.quiet {
		g.view = g.p.newView()
		g.stop, g.ended = make(chan struct{}), make(chan struct{})
		go g.tick(g.view.every(), g.stop, g.ended)
	}
}

// Add says that so many more items and bytes are done.
func (g *progress) Add(items, bytes int64) {
	g.items.Add(items)
	g.bytes.Add(bytes)
}

// Note writes a line above what is shown.
func (g *progress) Note(text string) {
	if !g.p.quiet {
		g.p.note("%s", text)
	}
}

// Done ends the last phase. Nothing is shown after it, until the next Phase.
func (g *progress) Done() {
	g.mu.Lock()
	if g.view == nil {
		g.mu.Unlock()
		return
	}
	g.endPhase()
	g.now = phase{}
	close(g.stop)
	g.mu.Unlock()
	<-g.ended
	g.mu.Lock()
	defer g.mu.Unlock()
	g.view.close()
	g.view = nil
}

// endPhase shows a phase for the last time. g.mu is held.
func (g *progress) endPhase() {
	if g.view != nil && g.now.name != "" {
		g.view.show(g.status(), true)
	}
}

// status is how far the phase has come. g.mu is held.
func (g *progress) status() status {
	return status{g.now, g.items.Load(), g.bytes.Load(), time.Since(g.began)}
}

func (g *progress) tick(every time.Duration, stop, ended chan struct{}) {
	defer close(ended)
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		select {
		case <-stop:
			return
		case <-t.C:
			g.mu.Lock()
			if g.now.name != "" {
				g.view.show(g.status(), false)
			}
			g.mu.Unlock()
		}
	}
}

// print writes a line to standard error, beside what is shown.
func (g *progress) print(line string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.view == nil {
		io.WriteString(g.p.stderr, line)
		return
	}
	g.view.print(g.p.stderr, line)
}

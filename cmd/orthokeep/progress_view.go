package main

import (
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"
)

// newView chooses how progress is shown.
func (p *program) newView() view {
	if p.json {
		return &jsonView{p}
	}
	if f, ok := p.stderr.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return &barView{bars: mpb.New(mpb.WithOutput(f), mpb.WithRefreshRate(barEvery), mpb.WithAutoRefresh())}
	}
	return &lineView{p}
}

const (
	barEvery  = 250 * time.Millisecond
	lineEvery = 30 * time.Second
	jsonEvery = time.Second
)

// A lineView writes a line to standard error now and then, for logs. A phase that ends sooner is not worth one.
type lineView struct{ p *program }

func (v *lineView) every() time.Duration { return lineEvery }

func (v *lineView) show(s status, last bool) {
	text := s.text()
	if last {
		if s.elapsed < lineEvery {
			return
		}
		text = s.endText()
	}
	fmt.Fprintf(v.p.stderr, "orthokeep: %s: %s: %s\n", v.p.name, s.name, text)
}

func (v *lineView) print(w io.Writer, line string) { io.WriteString(w, line) }
func (v *lineView) close()                         {}

// A jsonView writes an object to standard output now and then, and one at the end of each phase.
type jsonView struct{ p *program }

// A progressLine is one line of --json.
type progressLine struct {
	Type       string  `json:"type"` // "progress"
	Phase      string  `json:"phase"`
	Unit       string  `json:"unit,omitempty"`
	Items      int64   `json:"items"`
	ItemsTotal int64   `json:"items_total,omitempty"`
	Bytes      int64   `json:"bytes"`
	BytesTotal int64   `json:"bytes_total,omitempty"`
	Seconds    float64 `json:"seconds"`
	ETA        float64 `json:"eta_seconds,omitempty"`
}

func (v *jsonView) every() time.Duration { return jsonEvery }

func (v *jsonView) show(s status, last bool) {
	line := progressLine{Type: "progress", Phase: s.name, Unit: s.unit, Items: s.doneItems, ItemsTotal: s.items,
		Bytes: s.doneBytes, BytesTotal: s.bytes, Seconds: milliseconds(s.elapsed)}
	if left, ok := s.left(); ok && !last {
		line.ETA = milliseconds(left)
	}
	_ = v.p.printJSON(line) // the result comes the same way and is not lost in silence
}

// milliseconds are seconds, rounded.
func milliseconds(d time.Duration) float64 { return d.Round(time.Millisecond).Seconds() }

func (v *jsonView) print(w io.Writer, line string) { io.WriteString(w, line) }
func (v *jsonView) close()                         {}

// A barView draws a line per phase on a terminal: a bar where the total is known.
type barView struct {
	bars *mpb.Progress
	bar  *mpb.Bar                // of the phase under way
	text *atomic.Pointer[string] // stands behind it
}

func (v *barView) every() time.Duration { return barEvery }

func (v *barView) show(s status, last bool) {
	done, total := s.measure()
	if v.bar == nil {
		v.text = new(atomic.Pointer[string])
		v.bar = newBar(v.bars, s.name, total, v.text)
	}
	text := s.text()
	if last {
		text = s.endText()
	}
	v.text.Store(&text)
	v.bar.SetCurrent(done)
	if last {
		v.bar.Abort(false) // it stays on the screen as it is
		v.bar.Wait()
		v.bar = nil
	}
}

func newBar(bars *mpb.Progress, name string, total int64, text *atomic.Pointer[string]) *mpb.Bar {
	style := mpb.BarFillerBuilder(mpb.NopStyle())
	if total > 0 {
		style = mpb.BarStyle()
	}
	return bars.New(total, style,
		mpb.BarWidth(24),
		mpb.PrependDecorators(decor.Name(name)),
		mpb.AppendDecorators(decor.Any(func(decor.Statistics) string {
			if t := text.Load(); t != nil {
				return *t
			}
			return ""
		})))
}

func (v *barView) print(w io.Writer, line string) {
	if _, err := v.bars.Write([]byte(line)); err != nil {
		io.WriteString(w, line)
	}
}

func (v *barView) close() { v.bars.Wait() }

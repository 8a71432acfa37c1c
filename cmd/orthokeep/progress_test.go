package main

import (
	"bytes"
	"io"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestStatusText(t *testing.T) {
	for _, tt := range []struct {
		name      string
		s         status
		text, end string
	}{
		{"nothing known", status{elapsed: time.Second}, "1.0 s", "1.0 s"},
		{"items only", status{phase{unit: "packs"}, 3, 0, time.Second}, "3 packs", "3 packs in 1.0 s"},
		{"items of a total", status{phase{unit: "packs", items: 2000}, 500, 0, 10 * time.Second}, "500 of 2,000 packs, 30 s left", "500 packs in 10 s"},
		{"bytes of a total", status{phase{bytes: 4 << 20}, 0, 1 << 20, 4 * time.Second}, "1.0 MiB of 4.0 MiB, 256.0 KiB/s, 12 s left",
			"1.0 MiB, 256.0 KiB/s in 4.0 s"},
		{"all", status{phase{unit: "attachments", items: 175115, bytes: 8 << 30}, 175115, 8 << 30, 64 * time.Second},
			"175,115 of 175,115 attachments, 8.0 GiB of 8.0 GiB, 128.0 MiB/s, 0 ms left", "175,115 attachments, 8.0 GiB, 128.0 MiB/s in 1m04s"},
		{"too early to tell", status{phase{bytes: 4 << 20}, 0, 1 << 10, 10 * time.Millisecond}, "1.0 KiB of 4.0 MiB", "1.0 KiB in 10 ms"},
		{"more than was expected", status{phase{unit: "packs", items: 2}, 3, 0, 10 * time.Second}, "3 of 2 packs, 0 ms left", "3 packs in 10 s"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.s.text(); got != tt.text {
				t.Errorf("text is %q, want %q", got, tt.text)
			}
			if got := tt.s.endText(); got != tt.end {
				t.Errorf("at the end it is %q, want %q", got, tt.end)
			}
		})
	}
}

// recorder is a view that remembers.
type recorder struct {
	shown  []status
	ended  []string
	closed int
}

func (r *recorder) every() time.Duration { return time.Millisecond }
func (r *recorder) show(s status, last bool) {
	r.shown = append(r.shown, s)
	if last {
		r.ended = append(r.ended, s.name)
	}
}
func (r *recorder) print(w io.Writer, line string) { io.WriteString(w, "beside "+line) }
func (r *recorder) close()                         { r.closed++ }

// Phases end in order, with all that was added by however many goroutines, and Done may be called again.
func TestProgress(t *testing.T) {
	var stderr bytes.Buffer
	p := newProgram(nil, io.Discard, &stderr)
	r := &recorder{}
	p.progress.view = r
	p.progress.stop, p.progress.ended = make(chan struct{}), make(chan struct{})
	go p.progress.tick(r.every(), p.progress.stop, p.progress.ended)

	for _, name := range []string{"one", "two"} {
		p.progress.Phase(name, "packs", 800, 8000)
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for range 100 {
					p.progress.Add(1, 10)
				}
			})
		}
		wg.Wait()
		p.warn("in %s", name)
	}
	time.Sleep(5 * time.Millisecond)
	p.progress.Done()
	p.progress.Done()
	p.warn("afterwards")

	if got := strings.Join(r.ended, " "); got != "one two" {
		t.Errorf("ended: %s", got)
	}
	for _, s := range r.shown[len(r.shown)-1:] {
		if s.doneItems != 800 || s.doneBytes != 8000 || s.items != 800 {
			t.Errorf("the last status is %+v", s)
		}
	}
	if r.closed != 1 {
		t.Errorf("closed %d times", r.closed)
	}
	const want = "beside orthokeep: warning: in one\nbeside orthokeep: warning: in two\northokeep: warning: afterwards\n"
	if stderr.String() != want {
		t.Errorf("printed %q", stderr.String())
	}
}

func TestLineView(t *testing.T) {
	var stderr bytes.Buffer
	p := newProgram(nil, io.Discard, &stderr)
	p.name = "backup"
	v := &lineView{p}
	v.show(status{phase{name: "short", unit: "packs"}, 3, 0, time.Second}, true)
	v.show(status{phase{name: "long", unit: "packs", items: 9}, 3, 0, 30 * time.Second}, false)
	v.show(status{phase{name: "long", unit: "packs", items: 9}, 9, 0, 90 * time.Second}, true)
	const want = "orthokeep: backup: long: 3 of 9 packs, 1m00s left\northokeep: backup: long: 9 packs in 1m30s\n"
	if stderr.String() != want {
		t.Errorf("printed %q, want %q", stderr.String(), want)
	}
}

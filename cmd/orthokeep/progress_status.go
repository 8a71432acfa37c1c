package main

import (
	"cmp"
	"fmt"
	"strings"
	"time"
)

// A status is how far a phase has come.
type status struct {
	phase
	doneItems, doneBytes int64
	elapsed              time.Duration
}

// measure is what bar and ETA go by: bytes where their total is known, else items. total is 0 when neither is.
func (s status) measure() (done, total int64) {
	switch {
	case s.bytes > 0:
		return min(s.doneBytes, s.bytes), s.bytes
	case s.items > 0:
		return min(s.doneItems, s.items), s.items
	}
	return 0, 0
}

// left is the time that the rest takes at the speed so far. It is not known in the first two seconds.
func (s status) left() (d time.Duration, known bool) {
	done, total := s.measure()
	if done == 0 || total == 0 || s.elapsed < 2*time.Second {
		return 0, false
	}
	return time.Duration(float64(s.elapsed) * float64(total-done) / float64(done)), true
}

// text is "12,345 of 175,115 attachments, 1.2 GiB of 8.4 GiB, 245.0 MiB/s, 32 s left", or how long it has lasted.
func (s status) text() string { return cmp.Or(s.counts(), formatDuration(s.elapsed)) }

// counts are empty when there is nothing to count.
func (s status) counts() string {
	var parts []string
	if s.unit != "" && (s.doneItems > 0 || s.items > 0) {
		parts = append(parts, of(formatCount, s.doneItems, s.items)+" "+s.unit)
	}
	if s.doneBytes > 0 || s.bytes > 0 {
		parts = append(parts, of(formatBytes, s.doneBytes, s.bytes))
	}
	if s.doneBytes > 0 && s.elapsed >= time.Second {
		parts = append(parts, formatBytes(int64(float64(s.doneBytes)/s.elapsed.Seconds()))+"/s")
	}
	if left, ok := s.left(); ok {
		parts = append(parts, formatDuration(left)+" left")
	}
	return strings.Join(parts, ", ")
}

// endText is text for a phase that is over.
func (s status) endText() string {
	over := s
	over.items, over.bytes = 0, 0
	if text := over.counts(); text != "" {
		return fmt.Sprintf("%s in %s", text, formatDuration(s.elapsed))
	}
	return formatDuration(s.elapsed)
}

func of(format func(int64) string, done, total int64) string {
	if total > 0 {
		return format(done) + " of " + format(total)
	}
	return format(done)
}

package snapshot

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Unlimited, in the place of a number of a Policy, keeps one snapshot for each period there is.
const Unlimited = -1

// Policy says which snapshots of a server to keep: those that any of its rules keeps. The zero value has no rule.
type Policy struct {
	Last                                              int // the newest ones
	Hourly, Daily, Weekly, Monthly, Quarterly, Yearly int // the newest of each of so many periods that have any
	Within                                            Span
	Tags                                              [][]string // those that have all tags of one of these lists
}

// Empty reports whether the policy has no rule: to apply it would be to remove nearly all.
func (p Policy) Empty() bool {
	return p.Last == 0 && len(p.Tags) == 0 && p.Within == Span{} && !slices.ContainsFunc(p.periods(), func(r period) bool { return r.count != 0 })
}

// period is one of the rules that keep the newest snapshot of each period.
type period struct {
	name  string
	count int
	key   func(time.Time) string // the same for times of one period
}

// periods are the calendar rules. Weeks are those of ISO 8601. An hour that a change of the clock repeats is two periods.
func (p Policy) periods() []period {
	return []period{
		{"hourly", p.Hourly, func(t time.Time) string { return t.Format("2006-01-02T15-0700") }},
		{"daily", p.Daily, func(t time.Time) string { return t.Format("2006-01-02") }},
		{"weekly", p.Weekly, func(t time.Time) string { y, w := t.ISOWeek(); return fmt.Sprintf("%d-W%02d", y, w) }},
		{"monthly", p.Monthly, func(t time.Time) string { return t.Format("2006-01") }},
		{"quarterly", p.Quarterly, func(t time.Time) string { return fmt.Sprintf("%d-Q%d", t.Year(), (t.Month()+2)/3) }},
		{"yearly", p.Yearly, func(t time.Time) string { return t.Format("2006") }},
	}
}

// Span is a length of time by the calendar.
type Span struct{ Years, Months, Days, Hours int }

// before returns the time that lies so much before t.
func (s Span) before(t time.Time) time.Time {
	return t.AddDate(-s.Years, -s.Months, -s.Days).Add(-time.Duration(s.Hours) * time.Hour)
}

var errSpan = errors.New("a length of time like 2y5m7d3h is wanted: years, months, days, hours")

// ParseSpan reads "2y5m7d3h": years, months, days and hours, each at most once and in this order.
func ParseSpan(text string) (s Span, err error) {
	rest, last := text, -1
	for rest != "" {
		digits := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
		if digits == 0 || digits > 5 || digits == len(rest) {
			return Span{}, errSpan
		}
		unit := strings.IndexByte("ymdh", rest[digits])
		if unit <= last {
			return Span{}, errSpan
		}
		value := []*int{&s.Years, &s.Months, &s.Days, &s.Hours}[unit]
		for _, digit := range rest[:digits] {
			*value = *value*10 + int(digit-'0')
		}
		rest, last = rest[digits+1:], unit
	}
	if s == (Span{}) {
		return Span{}, errSpan
	}
	return s, nil
}

// Decision is what a policy says of one snapshot.
type Decision struct {
	Root    *Root
	Keep    bool
	Reasons []string // why it is kept
}

// Retain applies a policy to the snapshots of every server by itself, and returns a decision for each, sorted by server
// and then with the newest first. Days and hours are those of loc. The newest snapshot of a server is always kept, by its time
// and by its counter, since the next backup builds on it, and so is one that held says is held. No clock is asked: what is kept depends on the snapshots alone.
func Retain(roots []*Root, p Policy, held func(*Root) bool, loc *time.Location) []Decision {
	all := make([]Decision, len(roots))
	for i, r := range roots {
		all[i].Root = r
	}
	slices.SortStableFunc(all, func(a, b Decision) int {
		return cmp.Or(strings.Compare(a.Root.Server, b.Root.Server), b.Root.Time.Compare(a.Root.Time), strings.Compare(b.Root.name, a.Root.name))
	})
	for rest := all; len(rest) > 0; {
		n := 1
		for n < len(rest) && rest[n].Root.Server == rest[0].Root.Server {
			n++
		}
		p.retain(rest[:n], held, loc)
		rest = rest[n:]
	}
	return all
}

// retain decides about the snapshots of one server, the newest of which comes first.
func (p Policy) retain(all []Decision, held func(*Root) bool, loc *time.Location) {
	keep := func(i int, reason string) {
		all[i].Keep, all[i].Reasons = true, append(all[i].Reasons, reason)
	}
	newest, last := all[0].Root.Time.In(loc), 0
	for i := range all {
		if all[i].Root.Counter > all[last].Root.Counter {
			last = i
		}
	}
	for i := range all {
		r := all[i].Root
		if i == 0 || i == last {
			keep(i, "newest")
		}
		if held(r) {
			keep(i, "held")
		}
		if p.Last == Unlimited || i < p.Last {
			keep(i, "last")
		}
		if p.Within != (Span{}) && !r.Time.Before(p.Within.before(newest)) {
			keep(i, "within")
		}
		for _, tags := range p.Tags {
			if hasAll(r.Tags, tags) {
				keep(i, "tag "+strings.Join(tags, ","))
			}
		}
	}
	for _, rule := range p.periods() {
		rule.retain(all, keep, loc)
	}
}

// retain keeps the newest snapshot of each period until the number is reached. Where there are fewer periods, the oldest snapshot
// is kept too: it stands for the periods before.
func (r period) retain(all []Decision, keep func(int, string), loc *time.Location) {
	left, last := r.count, ""
	for i := 0; i < len(all) && left != 0; i++ {
		key := r.key(all[i].Root.Time.In(loc))
		switch {
		case key != last:
			keep(i, r.name+" "+key)
			last = key
			left--
		case i == len(all)-1:
			keep(i, "oldest "+r.name)
		}
	}
}

// hasAll reports whether have has all that want has; an empty list is in nothing.
func hasAll(have, want []string) bool {
	return len(want) > 0 && !slices.ContainsFunc(want, func(tag string) bool { return !slices.Contains(have, tag) })
}

package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

func (s stepResult) cpu() (d time.Duration) {
	for _, p := range s.Phases {
		d += p.CPU
	}
	return d
}

func (s stepResult) clock() (d time.Duration) {
	for _, p := range s.Phases {
		d += p.Wall
	}
	return d
}

func kb(n int64) string { return fmt.Sprintf("%.1f", float64(n)/1e3) }
func mb(n int64) string { return fmt.Sprintf("%.1f", float64(n)/1e6) }

func seconds(d time.Duration) string { return fmt.Sprintf("%.2f", d.Seconds()) }

// printAll prints all tables in Markdown.
func printAll(w io.Writer, all []*results) {
	table(w, "attachments | backup | CPU s | without SQLite's check, measured apart | wall s | memory MB | added KB | index MB", func(row func(...any)) {
		for _, r := range all {
			for _, b := range r.backups() {
				row(r.attachments, b.name, seconds(b.result.cpu()), seconds(b.result.cpu()-r.check), seconds(b.result.clock()), mb(b.result.Memory), kb(b.result.Stored), mb(b.result.Index))
			}
		}
	})
	printPhases(w, all)
	table(w, "attachments | a day | index pages changed | these under zstd KB | added for the index KB | times | new entries KB | added for the manifest KB | times", func(row func(...any)) {
		for _, r := range all {
			row(r.attachments, fmt.Sprintf("+%d −%d", r.day.added, r.day.deleted), r.changed.Pages, kb(r.day.compressed), kb(r.changed.Added.Index),
				times(r.changed.Added.Index, r.day.compressed), kb(r.changed.Manifest), kb(r.changed.Added.Manifest), times(r.changed.Added.Manifest, r.changed.Manifest))
		}
	})
	table(w, "attachments | catalogue open ms | one attachment read ms | packs read from", func(row func(...any)) {
		for _, r := range all {
			row(r.attachments, r.one.Open.Milliseconds(), r.one.Read.Milliseconds(), r.one.Packs)
		}
	})
	table(w, "attachments | snapshots, half of them pruned | marking: CPU s | memory MB | deleting: CPU s | memory MB | freed KB | nothing to do: CPU s", func(row func(...any)) {
		for _, r := range all {
			p := r.pruned
			row(r.attachments, r.nights, seconds(p.mark.CPU), mb(p.mark.Memory), seconds(p.delete.CPU), mb(p.delete.Memory), kb(p.delete.Freed), seconds(p.nothing.CPU))
		}
	})
	printPeers(w, all)
}

type named struct {
	name   string
	result stepResult
}

func (r *results) backups() []named {
	return []named{{"first", r.first}, {"nothing new", r.nothing}, {"a day", r.changed}}
}

func times(a, b int64) string {
	if b == 0 {
		return "–"
	}
	return fmt.Sprintf("%.2f", float64(a)/float64(b))
}

// printPhases prints the CPU seconds of each phase, and how they grow from the smallest archive to the largest: 1 means in step
// with the archive, 0 not at all.
func printPhases(w io.Writer, all []*results) {
	for k, b := range all[0].backups() {
		var names []string
		for _, p := range b.result.Phases {
			if !slices.Contains(names, p.Name) {
				names = append(names, p.Name)
			}
		}
		head := b.name + ": CPU s"
		for _, r := range all {
			head += fmt.Sprintf(" | %d", r.attachments)
		}
		table(w, head+" | slope", func(row func(...any)) {
			for _, name := range names {
				cells := []any{name}
				var series []float64
				for _, r := range all {
					var sum time.Duration
					for _, p := range r.backups()[k].result.Phases {
						if p.Name == name {
							sum += p.CPU
						}
					}
					cells, series = append(cells, fmt.Sprintf("%.3f", sum.Seconds())), append(series, sum.Seconds())
				}
				row(append(cells, slope(all, series))...)
			}
		})
	}
}

// slope is the part of the growth of the archive by which a figure has grown.
func slope(all []*results, y []float64) string {
	first, last := 0, len(y)-1
	if first == last || y[first] == 0 || y[last] < 0.05 {
		return "–"
	}
	grown := float64(all[last].attachments) / float64(all[first].attachments)
	return fmt.Sprintf("%.2f", (y[last]/y[first]-1)/(grown-1))
}

// table prints a table in Markdown; the columns of head are separated by bars.
func table(w io.Writer, head string, rows func(row func(...any))) {
	out := tabwriter.NewWriter(w, 0, 0, 1, ' ', 0)
	columns := strings.Split(head, " | ")
	line := func(cells []string) { fmt.Fprintf(out, "| %s |\n", strings.Join(cells, "\t| ")) }
	line(columns)
	line(slices.Repeat([]string{"---"}, len(columns)))
	rows(func(cells ...any) {
		var text []string
		for _, c := range cells {
			text = append(text, fmt.Sprint(c))
		}
		line(text)
	})
	_ = out.Flush() // to standard output
	fmt.Fprintln(w)
}

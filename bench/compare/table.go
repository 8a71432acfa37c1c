package main

import (
	"fmt"
	"io"
	"math"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
)

// columns are the figures of a step, the smaller the better.
var columns = []struct {
	head, format string
	of           func(sample) float64
	stored       bool // of steps that write to the repository
}{
	{"wall s", "%.2f", func(s sample) float64 { return s.wall.Seconds() }, false},
	{"until on disk s", "%.2f", func(s sample) float64 { return s.durable.Seconds() }, false},
	{"CPU s", "%.2f", func(s sample) float64 { return s.cpu.Seconds() }, false},
	{"memory MB", "%.0f", func(s sample) float64 { return float64(s.memory) / 1e6 }, false},
	{"repository MB", "%.2f", func(s sample) float64 { return float64(s.repository) / 1e6 }, true},
	{"added MB", "%.2f", func(s sample) float64 { return float64(s.added) / 1e6 }, true},
	{"files written", "%.0f", func(s sample) float64 { return float64(s.files) }, true},
}

// medians are the medians of the samples of a step, by column; NaN where a column does not apply.
func medians(s step, samples []sample) []float64 {
	out := make([]float64, len(columns))
	for i, c := range columns {
		if c.stored && s.kind != backing && s.kind != pruning {
			out[i] = math.NaN()
			continue
		}
		all := make([]float64, len(samples))
		for k, one := range samples {
			all[k] = c.of(one)
		}
		slices.Sort(all)
		out[i] = (all[(len(all)-1)/2] + all[len(all)/2]) / 2
	}
	return out
}

// printTable prints what was compared, and one row for each step and tool. Behind every figure of orthokeep stands its ratio to the
// smallest figure of any peer in that column, those aside that do not compress.
func printTable(w io.Writer, c *corpus, all []*tool, rounds int) error {
	printCorpus(w, c, all, rounds)
	out := tabwriter.NewWriter(w, 0, 0, 1, ' ', 0)
	line := func(cells ...string) { fmt.Fprintf(out, "| %s |\n", strings.Join(cells, "\t| ")) }
	heads := []string{"night", "tool"}
	for _, c := range columns {
		heads = append(heads, c.head)
	}
	line(heads...)
	line(slices.Repeat([]string{"---"}, len(heads))...)
	for i, s := range steps {
		best := bestOf(all, i, s)
		for _, t := range all {
			cells := []string{s.name, t.name}
			if t.missing {
				if i == 0 {
					line(append(cells, slices.Repeat([]string{"missing"}, len(columns))...)...)
				}
				continue
			}
			for k, v := range medians(s, t.samples[i]) {
				cells = append(cells, cell(columns[k].format, v, best[k], t.ours))
			}
			line(cells...)
		}
	}
	return out.Flush()
}

// cell is a figure, with its ratio to the best peer's where it is ours and there is one.
func cell(format string, v, best float64, ours bool) string {
	if math.IsNaN(v) {
		return ""
	}
	text := fmt.Sprintf(format, v)
	if ours && !math.IsInf(best, 1) && best > 0 && v >= 0 {
		text += fmt.Sprintf(" (%.2f)", v/best)
	}
	return text
}

// bestOf returns the smallest figure of any peer that compresses, by column.
func bestOf(all []*tool, i int, s step) []float64 {
	best := slices.Repeat([]float64{math.Inf(1)}, len(columns))
	for _, t := range all {
		if t.ours || t.plain || t.missing {
			continue
		}
		for k, v := range medians(s, t.samples[i]) {
			best[k] = min(best[k], v) // NaN stays, and is not printed
		}
	}
	return best
}

func printCorpus(w io.Writer, c *corpus, all []*tool, rounds int) {
	fmt.Fprintf(w, "Corpus: %s, in Orthanc %s.\n", c.Name, c.Orthanc)
	for i, d := range c.Days {
		fmt.Fprintf(w, "- day %d: %d instances in %d series of %d studies, %.1f MB, of which %.1f MB are new; index %.2f MB\n",
			i+1, d.Instances, d.Series, d.Studies, float64(d.Bytes)/1e6, float64(d.NewBytes)/1e6, float64(d.IndexBytes)/1e6)
	}
	fmt.Fprintf(w, "\n%d rounds, medians; %d processors. In parentheses: times the best peer that compresses.\n", rounds, runtime.NumCPU())
	seen := map[string]bool{}
	for _, t := range all {
		switch {
		case seen[t.program]:
		case t.missing && t.says == "":
			fmt.Fprintf(w, "- %s: missing\n", t.name)
		default:
			fmt.Fprintf(w, "- %s\n", t.says)
		}
		seen[t.program] = true
	}
	fmt.Fprintln(w)
}

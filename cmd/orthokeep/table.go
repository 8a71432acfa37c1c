package main

import (
	"io"
	"strings"
	"unicode/utf8"
)

// A table prints rows in aligned columns. Columns of numbers stand to the right.
type table struct {
	heads []string
	right []bool
	rows  [][]string
}

// newTable takes the heads of the columns; one that begins with ">" stands to the right.
func newTable(heads ...string) *table {
	t := &table{}
	for _, h := range heads {
		name, right := strings.CutPrefix(h, ">")
		t.heads, t.right = append(t.heads, name), append(t.right, right)
	}
	return t
}

// add adds a row, with as many cells as there are heads. What is not printable in them is escaped.
func (t *table) add(cells ...string) {
	row := make([]string, len(t.heads))
	for i := range row {
		row[i] = printable(cells[i])
	}
	t.rows = append(t.rows, row)
}

// print writes the table, heads first. A table without rows prints nothing.
func (t *table) print(w io.Writer) error {
	if len(t.rows) == 0 {
		return nil
	}
	lines := append([][]string{t.heads}, t.rows...)
	widths := make([]int, len(t.heads))
	for _, line := range lines {
		for i, cell := range line {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var out strings.Builder
	for _, line := range lines {
		var text strings.Builder
		for i, cell := range line {
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if t.right[i] {
				text.WriteString(pad + cell)
			} else {
				text.WriteString(cell + pad)
			}
			text.WriteString("  ")
		}
		out.WriteString(strings.TrimRight(text.String(), " ") + "\n")
	}
	_, err := io.WriteString(w, out.String())
	return err
}

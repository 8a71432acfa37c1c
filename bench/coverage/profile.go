package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"
)

// A profile is what go test -coverprofile wrote: the blocks of each file, by its import path.
type profile map[string][]block

// A block is a run of statements; count is how often it was run, over all test binaries.
type block struct {
	from, to place
	count    int
}

// A place in a file; both count from 1, columns in bytes.
type place struct{ line, column int }

func (p place) before(q place) bool {
	return p.line < q.line || p.line == q.line && p.column < q.column
}

// readProfile reads a profile. A block that several test binaries ran stands there several times.
func readProfile(path string) (profile, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	all := profile{}
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		if strings.HasPrefix(lines.Text(), "mode:") {
			continue
		}
		file, rest, _ := strings.Cut(lines.Text(), ":")
		var b block
		var statements int
		if _, err := fmt.Sscanf(rest, "%d.%d,%d.%d %d %d", &b.from.line, &b.from.column, &b.to.line, &b.to.column, &statements, &b.count); err != nil {
			return nil, fmt.Errorf("%s: line %d: %w", path, n, err)
		}
		all[file] = append(all[file], b)
	}
	return all, lines.Err()
}

// ran says whether the first block within a branch was run; known is false when there is none.
func (p profile) ran(b branch) (ran, known bool) {
	var first place
	for _, k := range p[b.file] {
		if k.from.before(b.from) || !k.from.before(b.to) {
			continue
		}
		switch {
		case !known || k.from.before(first):
			first, ran, known = k.from, k.count > 0, true
		case k.from == first:
			ran = ran || k.count > 0
		}
	}
	return ran, known
}

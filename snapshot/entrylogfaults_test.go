package snapshot

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestLogThatFails: a log of which an operation fails while it is opened, or written, reports it. What was accepted before is what it holds then.
func TestLogThatFails(t *testing.T) {
	rnd := rand.New(rand.NewPCG(9, 10))
	var old, more []Entry
	for range 9000 { // more than is written at once
		old, more = append(old, randomEntry(rnd)), append(more, randomEntry(rnd))
	}
	more[8999].UUID = old[0].UUID // that is read again, to see whose place it takes
	path := filepath.Join(memoryDir(t), "log")
	l := mustOpenLog(t, path, 7, 0)
	end := mustAppend(t, l, old)
	if err := l.accept(end); err != nil {
		t.Fatal(err)
	}
	for k, steps := 0, 2; steps > 0; k++ {
		steps = 0
		for name, do := range map[string]func(*entryLog) error{
			"open": func(l *entryLog) error { return l.load(randomHeads()) },
			"write": func(l *entryLog) error {
				l.table, l.window = placeTable{}, nil
				f := l.file
				l.file = f.(*failingFile).hostFile
				err := l.load(randomHeads())
				l.file = f
				newEnd, appendErr := l.append(more)
				if err := errors.Join(err, appendErr); err != nil {
					return err
				}
				return l.accept(newEnd)
			},
		} {
			f := &failingFile{l.file, &hostFault{failAt: k}}
			err := do(&entryLog{file: f, seed: 7, end: end})
			if f.failed() {
				steps++
			}
			if f.failed() != errors.Is(err, errHost) {
				t.Errorf("%s, operation %d: %v", name, k, err)
			}
			again := mustOpenLog(t, path, 7, end)
			for _, e := range []Entry{old[0], old[8999]} {
				if got, ok := again.get(e.UUID); !ok || got.MD5 != e.MD5 || got.headOffset != e.headOffset {
					t.Errorf("%s, operation %d: an entry is lost", name, k)
				}
			}
			if _, ok := again.get(more[1].UUID); ok {
				t.Errorf("%s, operation %d: an entry that was not accepted", name, k)
			}
		}
	}
}

// TestLogOfDamagedRecords: what was changed in the file since it was opened is not there any more, and nothing else is taken for it.
func TestLogOfDamagedRecords(t *testing.T) {
	rnd := rand.New(rand.NewPCG(11, 12))
	path := filepath.Join(memoryDir(t), "log")
	l := mustOpenLog(t, path, 7, 0)
	entries := []Entry{randomEntry(rnd), randomEntry(rnd)}
	if err := l.accept(mustAppend(t, l, entries)); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string][]byte{"long records": bytes.Repeat([]byte{0xff}, len(whole)), "other records": make([]byte, len(whole)), "nothing": nil} {
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			l.window = nil
			if _, ok := l.get(e.UUID); ok {
				t.Errorf("%s: an entry is found", name)
			}
		}
	}
}

// TestLogLimits: what a log has no room for is not begun.
func TestLogLimits(t *testing.T) {
	rnd := rand.New(rand.NewPCG(13, 14))
	path := filepath.Join(memoryDir(t), "log")
	l := mustOpenLog(t, path, 7, 0)
	long := randomEntry(rnd)
	long.bulk = make([]bulkRef, 40_000)
	if _, err := l.append([]Entry{randomEntry(rnd), long}); err == nil || !strings.Contains(err.Error(), long.UUID.String()) {
		t.Errorf("an entry that is longer than a block: %v", err)
	}
	l.end = (maxPlace + 1) * logUnit
	if _, err := l.append([]Entry{randomEntry(rnd)}); err == nil {
		t.Error("an entry whose place no table holds")
	}
	l.end = 0
	if info, err := os.Stat(path); err != nil || info.Size() != 0 {
		t.Errorf("something was written: %v, %v", info, err)
	}
	good := randomEntry(rnd)
	if err := l.accept(mustAppend(t, l, []Entry{good})); err != nil {
		t.Fatal(err)
	}
	if _, ok := l.get(good.UUID); !ok {
		t.Error("an entry is not found")
	}
}

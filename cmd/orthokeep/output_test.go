package main

import (
	"bytes"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// OUTPUT.md lists exactly the exit codes that there are.
func TestDocumentedExitCodes(t *testing.T) {
	text, err := os.ReadFile("OUTPUT.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "## Exit codes")
	section, _, _ = strings.Cut(section, "\n## ")
	var documented []int
	for _, m := range regexp.MustCompile(`(?m)^\| (\d+) \|`).FindAllStringSubmatch(section, -1) {
		code, err := strconv.Atoi(m[1])
		if err != nil {
			t.Fatal(err)
		}
		documented = append(documented, code)
	}
	want := []int{exitDone, exitFailed, exitWarnings}
	for _, e := range exits {
		want = append(want, e.code)
	}
	slices.Sort(want)
	if want = slices.Compact(want); !slices.Equal(documented, want) {
		t.Fatalf("documented are %v, there are %v", documented, want)
	}
}

// OUTPUT.md names every field of every document, in the section of its command.
func TestDocumentedFields(t *testing.T) {
	text, err := os.ReadFile("OUTPUT.md")
	if err != nil {
		t.Fatal(err)
	}
	for command, documents := range map[string][]any{
		"init": {initResult{}}, "backup": {backupJSON{}, backupPlan{}}, "snapshots": {snapshotJSON{}}, "restore": {restoreJSON{}}, "drill": {drillJSON{}, drillDifferenceJSON{}}, "check": {checkJSON{}}, "repair": {repairJSON{}, lossJSON{}},
		"ls": {patientJSON{}, studyJSON{}, seriesJSON{}, attachmentJSON{}, fileJSON{}}, "stats": {statsJSON{}}, "prune": {pruneJSON{}, decisionJSON{}}, "tag": {tagJSON{}}, "version": {version{}},
	} {
		_, section, found := strings.Cut(string(text), "\n### "+command+"\n")
		section, _, _ = strings.Cut(section, "\n### ")
		if !found {
			t.Errorf("%s has no section", command)
		}
		for _, document := range documents {
			for _, field := range reflect.VisibleFields(reflect.TypeOf(document)) {
				name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
				if name != "" && name != "type" && !strings.Contains(section, "`"+name+"`") {
					t.Errorf("%s: field %s is not documented", command, name)
				}
			}
		}
	}
}

func TestFormatBytes(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1 << 20: "1.0 MiB", 1<<20 - 1: "1.0 MiB", 1288490189: "1.2 GiB",
		1023 << 10: "1023.0 KiB", 1<<63 - 1: "8.0 EiB"} {
		if got := formatBytes(n); got != want {
			t.Errorf("%d bytes are %q, want %q", n, got, want)
		}
	}
}

func TestFormatCount(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 175115: "175,115", 1234567: "1,234,567", -1000: "-1,000", -100: "-100"} {
		if got := formatCount(n); got != want {
			t.Errorf("%d is %q, want %q", n, got, want)
		}
	}
}

func TestFormatDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{0: "0 ms", 9400 * time.Microsecond: "9 ms", 999 * time.Millisecond: "999 ms", 999600 * time.Microsecond: "1.0 s",
		1300 * time.Millisecond: "1.3 s", 9970 * time.Millisecond: "10 s", 59700 * time.Millisecond: "1m00s", 200 * time.Second: "3m20s",
		2*time.Hour + 5*time.Minute: "2h05m", 76 * time.Hour: "3d04h"} {
		if got := formatDuration(d); got != want {
			t.Errorf("%v is %q, want %q", time.Duration(d), got, want)
		}
	}
}

func TestFormatTime(t *testing.T) {
	at := time.Date(2026, 11, 23, 2, 4, 17, 999, time.UTC)
	if got, want := formatTime(at), at.Local().Format(time.DateTime); got != want {
		t.Errorf("%v is %q, want %q", at, got, want)
	}
}

func TestPrintable(t *testing.T) {
	for s, want := range map[string]string{"Müller^Åsa": "Müller^Åsa", "a\x1b[31mb": `a\x1b[31mb`, "a\tb\n": `a\tb\n`, "\xff": `\ufffd`, "\u202e": `\u202e`, "山田": "山田"} {
		if got := printable(s); got != want {
			t.Errorf("%q is printed as %q, want %q", s, got, want)
		}
	}
}

func TestTable(t *testing.T) {
	table := newTable("id", ">bytes", "name")
	table.add("7f3a", "1.2 GiB", "Åsa")
	table.add("7f3a91", "5 B", "x\n")
	var out bytes.Buffer
	if err := table.print(&out); err != nil {
		t.Fatal(err)
	}
	const want = "id        bytes  name\n7f3a    1.2 GiB  Åsa\n7f3a91      5 B  x\\n\n"
	if out.String() != want {
		t.Fatalf("printed\n%swant\n%s", out.String(), want)
	}
	out.Reset()
	if err := newTable("id").print(&out); err != nil || out.Len() != 0 {
		t.Fatalf("an empty table prints %q, %v", out.String(), err)
	}
}

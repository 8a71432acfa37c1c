package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"github.com/spf13/cobra"
)

// FuzzSize: a size is a number and a letter at most, over 0, and what it says.
func FuzzSize(f *testing.F) {
	for _, s := range []string{"", "500M", "20G", "2147483647T", "0", "-1", "1KK", "K", "99999999999"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := parseSize(s)
		if err != nil {
			if n != 0 {
				t.Fatalf("%q: %d beside an error", s, n)
			}
			return
		}
		number, err := strconv.ParseInt(strings.TrimRight(s, "KMGT"), 10, 64)
		if s != "" && (n <= 0 || err != nil || n%number != 0) {
			t.Fatalf("%q is %d", s, n)
		}
	})
}

func FuzzShare(f *testing.F) {
	for _, s := range []string{"", "5%", "100%", "0%", "NaN%", "1e-9%", "+Inf%", "5"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if share, err := parseShare("max-unused", s); err == nil && !(share > 0 && share <= 1) && s != "" {
			t.Fatalf("%q is %v", s, share)
		}
	})
}

func FuzzCount(f *testing.F) {
	for _, s := range []string{"1", "unlimited", "0", "-1", "99999999999999999999"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var c count
		if c.Set(s) == nil {
			var again count
			if err := again.Set(c.String()); err != nil && c != 0 || again != c && c != 0 {
				t.Fatalf("%q is %v, and that is %v, %v", s, c, again, err)
			}
		}
	})
}

// FuzzPrintable: what is printed has no control characters.
func FuzzPrintable(f *testing.F) {
	f.Add("Doe^John\x1b[2J\u202e")
	f.Fuzz(func(t *testing.T, s string) {
		for _, r := range printable(oneLine(s)) {
			if !unicode.IsPrint(r) {
				t.Fatalf("%q: %q is printed", s, r)
			}
		}
	})
}

// FuzzSettings: a configuration file is read, or refused with its name.
func FuzzSettings(f *testing.F) {
	f.Add([]byte("repo = \"/srv\"\n[backup]\ntag = [\"a\"]\n"))
	f.Add([]byte("keep-daily = 14\n"))
	f.Add([]byte("[prune]\nkeep-daily = 14\n[prune.more]\n"))
	f.Add([]byte("a = [[[[[[1]]]]]]"))
	path := filepath.Join(f.TempDir(), "config.toml")
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		p := &program{configFile: path}
		s, err := p.readFile()
		if err == nil {
			root := &cobra.Command{Use: "orthokeep"}
			root.Flags().String("repo", "", "")
			err = s.check(root, s.values, "")
		}
		if err != nil && (exitOf(err) != exitUsage || !strings.Contains(err.Error(), path)) {
			t.Fatal(err)
		}
	})
}

func exitOf(err error) int {
	code, _ := exitCode(err)
	return code
}

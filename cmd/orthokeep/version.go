package main

import (
	"context"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// A version is what the Go tool noted in the program.
type version struct {
	Version  string `json:"version"` // "(devel)" when it was built from a working tree
	Commit   string `json:"commit"`  // empty when it was built outside a repository
	Modified bool   `json:"modified"`
	Time     string `json:"time"` // of the commit
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func thisVersion() version {
	v := version{Version: "unknown", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	v.Version = info.Main.Version
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			v.Commit = s.Value
		case "vcs.time":
			v.Time = s.Value
		case "vcs.modified":
			v.Modified = s.Value == "true"
		}
	}
	return v
}

// String is the version on one line.
func (v version) String() string {
	s := "orthokeep " + v.Version
	if v.Commit != "" {
		s += ", commit " + v.Commit[:min(12, len(v.Commit))]
	}
	if v.Modified {
		s += " with changes"
	}
	return s + ", " + v.Go + " " + v.Platform
}

func (p *program) versionCommand() *cobra.Command {
	return p.command(&cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  noArgs,
	}, func(context.Context, []string) error {
		v := thisVersion()
		if p.json {
			return p.printJSON(v)
		}
		return p.printf("%s\n", v)
	})
}

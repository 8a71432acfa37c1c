package main

import (
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/orthokeep/orthokeep/snapshot"
)

// tagFlags are the flags of tag.
type tagFlags struct {
	add, remove   []string
	hold, release bool
	server        string
}

func (p *program) tagCommand() *cobra.Command {
	var f tagFlags
	c := p.command(&cobra.Command{
		Use:   "tag SNAPSHOT",
		Short: "Change the tags of a snapshot, or hold it",
		Long: "tag adds words to a snapshot and takes them away. --hold keeps it whatever policy prune is given, until --release:\n" +
			"for a snapshot that the law, or a dispute, wants kept. Without a flag it shows what is said of the snapshot.",
		Args: oneSnapshot,
	}, func(ctx context.Context, args []string) error { return p.tag(ctx, args[0], f) })
	c.Flags().StringSliceVar(&f.add, "add", nil, "`word` to add; may be repeated")
	c.Flags().StringSliceVar(&f.remove, "remove", nil, "`word` to take away; may be repeated")
	c.Flags().BoolVar(&f.hold, "hold", false, "let no policy remove the snapshot")
	c.Flags().BoolVar(&f.release, "release", false, "end a hold")
	c.Flags().StringVar(&f.server, "server", "", "look at the snapshots of this `name` only")
	return c
}

// A tagJSON is what is said of a snapshot, OUTPUT.md.
type tagJSON struct {
	ID   string   `json:"id"`
	Tags []string `json:"tags"`
	Held bool     `json:"held"`
}

func (p *program) tag(ctx context.Context, what string, f tagFlags) error {
	if f.hold && f.release {
		return usageError("--hold and --release: one of them is wanted")
	}
	for _, word := range f.add {
		if word == "" || strings.ContainsAny(word, ", \t\n") {
			return usageError("--add %q: a word without spaces and commas is wanted", word)
		}
	}
	r, err := p.openWith(ctx, false)
	if err != nil {
		return err
	}
	root, err := p.findSnapshot(ctx, r.Repository, what, f.server)
	if err != nil {
		return err
	}
	if len(f.add)+len(f.remove) > 0 || f.hold || f.release {
		if err := snapshot.SetLabel(ctx, r.Repository, root, f.change); err != nil {
			return err
		}
	}
	if p.json {
		return p.printJSON(tagJSON{root.ID, append([]string{}, root.Tags...), root.Held})
	}
	return p.printf("%s  %s\n", root.Short(), tagText(root))
}

// change is what the flags make of a label.
func (f tagFlags) change(l *snapshot.Label) {
	l.Tags = slices.DeleteFunc(l.Tags, func(tag string) bool { return slices.Contains(f.remove, tag) })
	for _, tag := range f.add {
		if !slices.Contains(l.Tags, tag) {
			l.Tags = append(l.Tags, tag)
		}
	}
	l.Held = (l.Held || f.hold) && !f.release
}

package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/orthokeep/orthokeep/orthanc"
)

func (p *program) undoCommand() *cobra.Command {
	return p.command(&cobra.Command{
		Use:   "undo",
		Short: "Set Orthanc going if a backup and its guard were both killed",
		Long:  "undo looks for windows that were left open, and sets Orthanc going or starts it. backup does the same when it begins.",
		Args:  noArgs,
	}, func(context.Context, []string) error {
		lines, err := orthanc.Undo(p.stateDir())
		if p.json {
			if err := p.printJSON(append([]string{}, lines...)); err != nil {
				return err
			}
			return err
		}
		for _, line := range lines {
			if err := p.printf("%s\n", line); err != nil {
				return err
			}
		}
		if err == nil && len(lines) == 0 {
			return p.printf("no window is open\n")
		}
		return err
	})
}

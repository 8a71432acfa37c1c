package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

// A program is one call of orthokeep: its streams, its global flags, and the command that runs.
type program struct {
	stdin          io.Reader
	stdout, stderr io.Writer

	repo           string // --repo: a folder
	passphraseFile string
	recoveryKey    string // file
	writerKey      string // file
	cacheDir       string
	configFile     string
	json, quiet    bool

	name     string // of the command that runs, "key add"
	subject  string // what it works on, for messages: a snapshot's ID
	running  bool   // the command line was understood
	progress progress
	warnings int
}

// run is the program. It returns the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	p := newProgram(stdin, stdout, stderr)
	return p.execute(ctx, p.root(), args)
}

func newProgram(stdin io.Reader, stdout, stderr io.Writer) *program {
	p := &program{stdin: stdin, stdout: stdout, stderr: stderr}
	p.progress.p = p
	return p
}

// execute runs the command that args name.
func (p *program) execute(ctx context.Context, root *cobra.Command, args []string) int {
	ctx, stop := p.catchSignals(ctx)
	defer stop()
	root.SetArgs(args)
	root.SetIn(p.stdin)
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)
	cmd, err := root.ExecuteContextC(ctx)
	if !p.running {
		p.name = commandName(cmd)
		err = p.usage(err)
	}
	return p.finish(ctx, err)
}

// root is the command tree.
func (p *program) root() *cobra.Command {
	root := group(&cobra.Command{
		Use:   "orthokeep",
		Short: "Snapshots of an Orthanc DICOM server: nightly, incremental, encrypted",
		Long: "orthokeep takes nightly, incremental, deduplicated, encrypted snapshots of an Orthanc DICOM server, and brings any of\n" +
			"them back. Every flag can stand in the configuration file or in the environment as ORTHOKEEP_NAME.",
		Version:            thisVersion().String(),
		SilenceUsage:       true,
		SilenceErrors:      true,
		DisableSuggestions: true, // they are given as a hint
	})
	root.SetVersionTemplate("{{.Version}}\n")
	f := root.PersistentFlags()
	f.StringVar(&p.repo, "repo", "", "`folder` of the repository")
	f.StringVar(&p.passphraseFile, "passphrase-file", "", "`file` with the passphrase of the recovery key")
	f.StringVar(&p.recoveryKey, "recovery-key", "", "`file` with the recovery key itself")
	f.StringVar(&p.writerKey, "writer-key", "", "`file` with the writer key (default: where this host keeps its keys)")
	f.StringVar(&p.cacheDir, "cache-dir", "", "`folder` for what can be rebuilt (default: where this host keeps its caches)")
	f.StringVar(&p.configFile, "config", "", "`file` with settings (default "+defaultConfigText()+")")
	f.BoolVar(&p.json, "json", false, "print JSON")
	f.BoolVar(&p.quiet, "quiet", false, "print no progress")
	root.AddCommand(p.commands()...)
	return root
}

// commands are all there are, in no particular order.
func (p *program) commands() []*cobra.Command {
	return []*cobra.Command{
		p.initCommand(), p.backupCommand(), p.snapshotsCommand(), p.checkCommand(), p.repairCommand(), p.statsCommand(), p.lsCommand(), p.restoreCommand(), p.drillCommand(), p.pruneCommand(), p.tagCommand(), p.undoCommand(), p.versionCommand(),
	}
}

// command makes c do run, after its settings were read from the environment and the configuration file.
func (p *program) command(c *cobra.Command, run func(ctx context.Context, args []string) error) *cobra.Command {
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := p.readSettings(c); err != nil {
			return err
		}
		p.name, p.running = commandName(c), true
		return run(c.Context(), args)
	}
	return c
}

// group is for a command that only has others below it.
func group(c *cobra.Command) *cobra.Command {
	c.RunE = func(c *cobra.Command, _ []string) error {
		return hint(usageError("no command given"), "%s --help lists them", c.CommandPath())
	}
	c.Args = func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		err := usageError("unknown command %q", args[0])
		c.SuggestionsMinimumDistance = 2
		if like := c.SuggestionsFor(args[0]); len(like) > 0 {
			return hint(err, "did you mean %s %s?", c.CommandPath(), like[0])
		}
		return hint(err, "%s --help lists the commands", c.CommandPath())
	}
	return c
}

// noArgs is for commands without arguments.
func noArgs(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return hint(usageError("unexpected argument %q", args[0]), "%s --help tells more", c.CommandPath())
	}
	return nil
}

// commandName is what stands after the program's name, "key add"; nothing for the program alone.
func commandName(c *cobra.Command) string {
	if !c.HasParent() {
		return ""
	}
	return c.CommandPath()[len(c.Root().Name())+1:]
}

// needRepo returns --repo, or says that it is missing.
func (p *program) needRepo() (string, error) {
	if p.repo == "" {
		return "", usageError("which repository? name it with --repo")
	}
	return p.repo, nil
}

// warn tells of something that does not stop the command. It ends with exit code 3.
func (p *program) warn(format string, args ...any) {
	p.warnings++
	p.note("warning: "+format, args...)
}

// note writes a line to standard error, above the progress that is shown there.
func (p *program) note(format string, args ...any) {
	p.progress.print("orthokeep: " + printable(oneLine(fmt.Sprintf(format, args...))) + "\n")
}

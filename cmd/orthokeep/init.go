package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/orthokeep/orthokeep/repo"
	"github.com/orthokeep/orthokeep/repo/storage"
)

func (p *program) initCommand() *cobra.Command {
	var yes bool
	var compression, parity string
	c := p.command(&cobra.Command{
		Use:   "init",
		Short: "Make a repository and its keys",
		Long: "init makes a repository and two keys. The writer key stays on this host and is enough for backups. The recovery key\n" +
			"is needed to restore: the repository keeps it under a passphrase, or, with --recovery-key FILE, it is written to that\n" +
			"file, to be kept away from this host.",
		Args: noArgs,
	}, func(ctx context.Context, _ []string) error {
		return p.initialise(ctx, yes, repo.Compression(compression), parity)
	})
	c.Flags().StringVar(&parity, "parity", "5%", "bytes of parity for the bytes of each object, as `5%`, which heal what a disk loses; 0% for none")
	c.Flags().StringVar(&compression, "compression", string(repo.Balanced), "fast, balanced or small: what backups trade speed for, from now on")
	c.Flags().BoolVar(&yes, "yes", false, "the recovery key, or its passphrase, is kept elsewhere: do not ask")
	return c
}

// An initResult is what init says of a new repository.
type initResult struct {
	Repository  string `json:"repository"`
	Path        string `json:"path"`
	WriterKey   string `json:"writer_key"`
	RecoveryKey string `json:"recovery_key"` // its file; empty: it is kept in the repository under the passphrase
}

func (p *program) initialise(ctx context.Context, yes bool, compression repo.Compression, parity string) error {
	path, err := p.needRepo()
	if err != nil {
		return err
	}
	switch compression {
	case repo.Fast, repo.Balanced, repo.Small:
	default:
		return usageError("--compression %s: fast, balanced or small is wanted", compression)
	}
	percent, err := parseParity(parity)
	if err != nil {
		return err
	}
	if err := p.mayInit(ctx, path); err != nil {
		return err
	}
	keys, err := repo.NewKeys()
	if err != nil {
		return err
	}
	res := initResult{Repository: keys.Writer.Repository, Path: path, RecoveryKey: p.recoveryKey}
	if res.WriterKey, err = p.writerKeyPath(res.Repository); err != nil {
		return err
	}
	o := repo.InitOptions{Compression: compression, Parity: percent, Created: time.Now()}
	if p.recoveryKey == "" || p.passphraseFile != "" {
		if o.Passphrase, err = p.newPassphrase(ctx); err != nil {
			return err
		}
	}
	if err := p.confirmKept(ctx, yes); err != nil {
		return err
	}
	if err := p.makeRepository(ctx, path, keys, o, res); err != nil {
		return err
	}
	if p.json {
		return p.printJSON(res)
	}
	return p.printInit(res)
}

// mayInit refuses before any question is asked.
func (p *program) mayInit(ctx context.Context, path string) error {
	st, err := storage.Open(path)
	if errors.Is(err, storage.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = repo.ReadConfig(ctx, st)
	if errors.Is(err, repo.ErrNoRepo) {
		return nil
	}
	if err != nil && !errors.Is(err, repo.ErrUnsupported) {
		return err
	}
	return fmt.Errorf("%s: %w", path, repo.ErrExists)
}

// confirmKept asks whether what a restore needs survives the loss of this host. With --passphrase-file nothing is asked.
func (p *program) confirmKept(ctx context.Context, yes bool) error {
	if yes || p.passphraseFile != "" {
		return nil
	}
	question := "Without the passphrase nothing can ever be restored. Is it kept where the loss of this host cannot reach it?"
	if p.recoveryKey != "" {
		question = fmt.Sprintf("The recovery key will be written to %s. Without it nothing can ever be restored. Will you keep it away from this host?", p.recoveryKey)
	}
	kept, err := p.confirm(ctx, question, "--yes")
	if err == nil && !kept {
		err = errors.New("nothing was made: first decide where the recovery key will be kept")
	}
	return err
}

// makeRepository writes the keys, then the repository: a repository without its keys would be of no use to anybody. When it
// fails, the key files are taken away again.
func (p *program) makeRepository(ctx context.Context, path string, keys repo.Keys, o repo.InitOptions, res initResult) (err error) {
	var made []string
	defer func() {
		if err != nil {
			for _, name := range made {
				_ = os.Remove(name)
			}
		}
	}()
	if err := os.MkdirAll(filepath.Dir(res.WriterKey), 0o700); err != nil {
		return fmt.Errorf("make the folder of the writer key: %w", err)
	}
	files := []struct{ name, what, text string }{{res.WriterKey, "writer", string(keys.Writer.Marshal())}}
	if res.RecoveryKey != "" {
		text := fmt.Sprintf("# orthokeep recovery key of repository %s, made %s. Keep it away from the backup host.\n%s\n",
			res.Repository, o.Created.UTC().Format(time.DateOnly), keys.Recovery)
		files = append(files, struct{ name, what, text string }{res.RecoveryKey, "recovery", text})
	}
	for _, f := range files {
		if err := storage.WriteNewFile(f.name, []byte(f.text), 0o600); err != nil {
			return fmt.Errorf("write the %s key: %w", f.what, err)
		}
		made = append(made, f.name)
	}
	st, err := storage.Create(path)
	if err != nil {
		return err
	}
	return repo.Init(ctx, st, keys, o)
}

func (p *program) printInit(res initResult) error {
	recovery := "in the repository, under the passphrase"
	if res.RecoveryKey != "" {
		recovery = res.RecoveryKey + ": move it to a safe place away from this host, and keep a second copy"
	}
	return p.printf("repository    %s at %s\nwriter key    %s: enough for backups, cannot restore\nrecovery key  %s\n\nNext: orthokeep backup --repo %s --orthanc /etc/orthanc --dry-run\n",
		res.Repository[:8], res.Path, res.WriterKey, recovery, res.Path)
}

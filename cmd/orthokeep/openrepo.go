package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"filippo.io/age"

	"github.com/orthokeep/orthokeep/repo"
	"github.com/orthokeep/orthokeep/repo/storage"
)

const maxKeyFile = 1 << 16 // bytes

// openStorage opens the place that --repo names.
func (p *program) openStorage() (storage.Storage, error) {
	path, err := p.needRepo()
	if err != nil {
		return nil, err
	}
	if strings.HasPrefix(path, "s3:") {
		return nil, usageError("--repo names a folder: object storage is not supported by this version")
	}
	st, err := storage.Open(path)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, fmt.Errorf("%s: %w", path, repo.ErrNoRepo)
	}
	return st, err
}

// An opened is a repository that was opened, and the folder of its cache.
type opened struct {
	*repo.Repository
	cache string
}

// openWith opens the repository with the writer key of this host, or with the recovery key where that is given or needed: to
// read content there is no other way.
func (p *program) openWith(ctx context.Context, content bool) (*opened, error) {
	return p.openBy(ctx, content, repo.Open)
}

// openDamaged is openWith for what reads or repairs: what is damaged is left out, and named.
func (p *program) openDamaged(ctx context.Context, content bool) (*opened, error) {
	r, err := p.openBy(ctx, content, repo.OpenDamaged)
	if err == nil {
		for _, name := range r.LeftOut() {
			p.note("%s is damaged and was left out: orthokeep repair lists again what it listed", name)
		}
	}
	return r, err
}

type opener func(ctx context.Context, st storage.Storage, with repo.Credentials, cacheDir string) (*repo.Repository, error)

func (p *program) openBy(ctx context.Context, content bool, open opener) (*opened, error) {
	st, err := p.openStorage()
	if err != nil {
		return nil, err
	}
	config, err := repo.ReadConfig(ctx, st)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.repo, err)
	}
	var with repo.Credentials
	if with.Writer, err = p.readWriterKey(config.ID); err != nil {
		return nil, err
	}
	if content || with.Writer == nil || p.recoveryKey != "" {
		if with.Recovery, err = p.readRecoveryKey(ctx, st); err != nil {
			return nil, err
		}
		if p.writerKey == "" {
			with.Writer = nil // the recovery key opens the one that the repository keeps
		}
	}
	cache, err := p.cachePath(config.ID)
	if err != nil {
		return nil, err
	}
	r, err := open(ctx, st, with, cache)
	if err != nil {
		return nil, err
	}
	return &opened{r, cache}, nil
}

// readWriterKey returns nil when this host has no key and none was named.
func (p *program) readWriterKey(repository string) (*repo.WriterKey, error) {
	path, err := p.writerKeyPath(repository)
	if err != nil {
		return nil, err
	}
	raw, err := readSmall(path)
	if isAbsent(err) && p.writerKey == "" {
		return nil, nil
	}
	if err != nil {
		return nil, usageError("read the writer key: %v", err)
	}
	key, err := repo.ParseWriterKey(raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return key, nil
}

// readRecoveryKey reads --recovery-key, or opens the key that the repository keeps with the passphrase.
func (p *program) readRecoveryKey(ctx context.Context, st storage.Storage) (*age.HybridIdentity, error) {
	if p.recoveryKey != "" {
		raw, err := readSmall(p.recoveryKey)
		if err != nil {
			return nil, usageError("read the recovery key: %v", err)
		}
		key, err := repo.ParseRecoveryKey(raw)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.recoveryKey, err)
		}
		return key, nil
	}
	kept, err := repo.KeepsRecoveryKey(ctx, st)
	if err != nil {
		return nil, err
	}
	if !kept {
		return nil, usageError("this repository does not keep its recovery key: name its file with --recovery-key")
	}
	passphrase, err := p.passphrase(ctx)
	if err != nil {
		return nil, err
	}
	return repo.UnlockRecoveryKey(ctx, st, passphrase)
}

func readSmall(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err == nil && len(raw) > maxKeyFile {
		err = fmt.Errorf("%s is too long for a key", path)
	}
	return raw, err
}

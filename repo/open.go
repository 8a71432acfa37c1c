package repo

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"filippo.io/age"
	"github.com/restic/chunker"

	"github.com/orthokeep/orthokeep/repo/storage"
)

// Credentials are what the caller holds: at least one of the two.
type Credentials struct {
	Writer   *WriterKey
	Recovery *age.HybridIdentity
}

// Repository is an open repository. It may be used by several goroutines at once.
type Repository struct {
	st         storage.Storage
	cfg        Config
	writer     *WriterKey
	keys       *derived
	recovery   *age.HybridIdentity // nil with a writer key alone
	recipients []age.Recipient
	codec      *codec
	blobs      *lookup
	cat        *catalogue // nil without a cache folder

	lenient    bool                            // damaged segments and marks are left out
	unreadable atomic.Pointer[map[string]bool] // objects in quarantine

	refreshing sync.Mutex   // held while segments are imported
	rebuilt    atomic.Int64 // times that the catalogue turned out to be damaged in use
	second     atomic.Int64 // times that a blob was missing at first

	settings Settings

	healMu      sync.Mutex
	healedPacks []healedPack
	healed      []string                   // objects
	leftOut     []string                   // damaged objects
	read        atomic.Pointer[readCopies] // what Get found whole; nil unless a check wants to know

	epochMu sync.Mutex
	epochs  map[[16]byte]epoch // opened keys; nothing but this run's own with a writer key alone
}

// ReadConfig returns the open part of a repository. The error matches ErrNoRepo when there is none.
func ReadConfig(ctx context.Context, st storage.Storage) (Config, error) {
	var c Config
	_, err := getKept(ctx, st, configName, maxConfig, func(raw []byte) (err error) {
		c, err = parseConfig(raw)
		return err
	})
	if errors.Is(err, storage.ErrNotFound) {
		return Config{}, ErrNoRepo
	}
	return c, err
}

// UnlockRecoveryKey opens the recovery key that the repository keeps under a passphrase. The error matches ErrWrongKey
// when the passphrase is wrong, and storage.ErrNotFound when the repository keeps none.
func UnlockRecoveryKey(ctx context.Context, st storage.Storage, passphrase string) (*age.HybridIdentity, error) {
	name, _, raw, err := readKeyFile(ctx, st, recoveryFile)
	if err != nil {
		return nil, err
	}
	return unwrapRecoveryKey(name, raw, passphrase)
}

// Open opens a repository and imports its segments. With a cache folder it keeps a catalogue there, so that the next
// Open reads only the segments that are new; an empty cacheDir means none: what does not fit into memory then goes to
// temporary files. Close gives these back; a process that ends need not.
func Open(ctx context.Context, st storage.Storage, with Credentials, cacheDir string) (*Repository, error) {
	r, err := unlock(ctx, st, with, cacheDir, false)
	if err != nil {
		return nil, err
	}
	return r.refreshed(ctx)
}

// OpenDamaged is Open for those who read, and for repair: segments and marks that are damaged are left out. What they alone list is then
// not found. A repository that was opened so must not be used for a backup or a prune.
func OpenDamaged(ctx context.Context, st storage.Storage, with Credentials, cacheDir string) (*Repository, error) {
	r, err := Unlock(ctx, st, with, cacheDir)
	if err != nil {
		return nil, err
	}
	return r.refreshed(ctx)
}

func (r *Repository) refreshed(ctx context.Context) (*Repository, error) {
	if err := r.Refresh(ctx); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

// Unlock is OpenDamaged without the segments: no blob is known until Refresh or BeginReading has imported them.
func Unlock(ctx context.Context, st storage.Storage, with Credentials, cacheDir string) (*Repository, error) {
	return unlock(ctx, st, with, cacheDir, true)
}

func unlock(ctx context.Context, st storage.Storage, with Credentials, cacheDir string, lenient bool) (*Repository, error) {
	cfg, err := ReadConfig(ctx, st)
	if err != nil {
		return nil, err
	}
	r := &Repository{st: st, cfg: cfg, writer: with.Writer, recovery: with.Recovery, codec: newCodec(cfg.Compression), epochs: map[[16]byte]epoch{},
		blobs: &lookup{c: newCollection("")}, lenient: lenient}
	if err := r.unlock(ctx); err != nil {
		return nil, err
	}
	if cacheDir != "" {
		r.cat = &catalogue{cacheDir, cfg.ID}
	}
	return r, nil
}

// Close closes the files of the catalogue. The repository must not be used afterwards.
func (r *Repository) Close() {
	r.blobs.change((*collection).close)
}

// unlock finds the writer key where it was not given, and reads the recipients and the settings.
func (r *Repository) unlock(ctx context.Context) error {
	if r.writer == nil && r.recovery == nil {
		return fmt.Errorf("no key was given: %w", ErrWrongKey)
	}
	if r.recovery != nil {
		stored, err := r.storedWriterKey(ctx)
		if err != nil {
			return err
		}
		if r.writer == nil {
			r.writer = stored
		} else if !r.writer.equal(stored) {
			return fmt.Errorf("the writer key is not this repository's: %w", ErrWrongKey)
		}
	}
	if r.writer.Repository != r.cfg.ID {
		return fmt.Errorf("the writer key belongs to repository %.8s, this is %.8s: %w", r.writer.Repository, r.cfg.ID, ErrWrongKey)
	}
	r.keys = r.writer.derive()
	name, n, raw, err := readKeyFile(ctx, r.st, recipientsFile)
	if err != nil {
		return err
	}
	list, err := parseRecipients(r.keys, r.cfg.ID, name, n, raw)
	if err != nil {
		return err
	}
	if r.recipients, err = ageRecipients(list); err != nil {
		return err
	}
	var changes int
	if r.settings, changes, err = r.readSettings(ctx); err == nil && (changes > 1 || r.settings.Parity > 0) {
		r.st = protected{r.st, r.settings.Parity}
	}
	return err
}

func (r *Repository) storedWriterKey(ctx context.Context) (*WriterKey, error) {
	name, _, raw, err := readKeyFile(ctx, r.st, writerFile)
	if err != nil {
		return nil, err
	}
	plain, err := decryptAge(name, raw, r.recovery)
	if err != nil {
		return nil, err
	}
	return parseStoredWriter(name, plain, r.recovery)
}

// ID returns the repository's identifier, 32 hexadecimal digits.
func (r *Repository) ID() string { return r.cfg.ID }

// WriterKey returns the key that backup hosts hold.
func (r *Repository) WriterKey() *WriterKey { return r.writer }

// Polynomial is where content is cut.
func (r *Repository) Polynomial() chunker.Pol { return r.writer.Polynomial }

// CanRead reports whether content can be read, that is whether the recovery key was given.
func (r *Repository) CanRead() bool { return r.recovery != nil }

// HashMD5 returns what a manifest says of an attachment's MD5.
func (r *Repository) HashMD5(md5 [16]byte) (out [16]byte) {
	sum := r.keys.md5.sum(md5[:])
	copy(out[:], sum[:])
	return out
}

// PageKey is the key of the hashes of index pages and of the whole index.
func (r *Repository) PageKey() [32]byte { return r.keys.page }

// KeepsRecoveryKey reports whether the repository keeps its recovery key under a passphrase.
func KeepsRecoveryKey(ctx context.Context, st storage.Storage) (bool, error) {
	_, _, err := newestKeyFile(ctx, st, recoveryFile)
	if errors.Is(err, storage.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

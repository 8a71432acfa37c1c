package repo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"filippo.io/age"
	"github.com/restic/chunker"

	"github.com/orthokeep/orthokeep/repo/storage"
)

// Keys are the keys of a new repository. Store the recovery key where it survives the loss of the server before
// calling Init: without it nothing can be restored.
type Keys struct {
	Writer   *WriterKey
	Recovery *age.HybridIdentity
}

// NewKeys makes the keys of a repository that Init will create.
func NewKeys() (Keys, error) {
	recovery, err := newRecoveryKey()
	if err != nil {
		return Keys{}, fmt.Errorf("make recovery key: %w", err)
	}
	pol, err := chunker.RandomPolynomial()
	if err != nil {
		return Keys{}, fmt.Errorf("make polynomial: %w", err)
	}
	w := &WriterKey{Repository: randomID(), Polynomial: pol}
	fillRandom(w.ID[:])
	fillRandom(w.Structure[:])
	return Keys{w, recovery}, nil
}

// InitOptions are the choices of Init.
type InitOptions struct {
	Passphrase  string      // keeps the recovery key in the repository under it; empty: it is not kept there
	PackSize    int         // bytes at which a pack is closed; 0 means DefaultPackSize
	Compression Compression // empty means Balanced
	Parity      int         // bytes of parity for 100 bytes of an object, 0 to MaxParity
	Created     time.Time   // the time of creation
}

// Init makes a repository in an empty storage. The error matches ErrExists when there is one already. What an Init that
// was cut off left behind is taken away first: keys without a config are nobody's.
func Init(ctx context.Context, st storage.Storage, keys Keys, opts InitOptions) error {
	cfg := Config{Format: configFormat, Version: formatVersion, ID: keys.Writer.Repository, Created: opts.Created.UTC().Truncate(time.Second),
		PackSize: opts.PackSize, Compression: cmp.Or(opts.Compression, Balanced)}
	if cfg.PackSize == 0 {
		cfg.PackSize = DefaultPackSize
	}
	if cfg.PackSize < minPackSize || cfg.PackSize > maxPackSize {
		return fmt.Errorf("pack size %d is not between %d and %d", cfg.PackSize, minPackSize, maxPackSize)
	}
	if _, ok := levels[cfg.Compression]; !ok {
		return fmt.Errorf("compression %q: %w", cfg.Compression, ErrUnsupported)
	}
	if opts.Parity < 0 || opts.Parity > MaxParity {
		return fmt.Errorf("parity of %d %% is not between 0 and %d", opts.Parity, MaxParity)
	}
	if err := vacant(ctx, st); err != nil {
		return err
	}
	objects, err := initialKeys(keys, opts.Passphrase)
	if err != nil {
		return err
	}
	objects = append(objects, namedObject{settingsName(1), keys.Writer.derive().sealObject(KindSettings, settingsName(1), nil, Settings{opts.Parity}.marshal())})
	if opts.Parity > 0 {
		st = protected{st, opts.Parity}
	}
	for _, o := range objects {
		if err := st.Put(ctx, o.name, o.data); err != nil {
			return fmt.Errorf("write %s: %w", o.name, err)
		}
	}
	// From here on it is a repository; a crash before this line leaves keys that the next Init takes away.
	if err := st.Put(ctx, configName, cfg.marshal()); err != nil {
		return fmt.Errorf("write %s: %w", configName, err)
	}
	return nil
}

type namedObject struct {
	name string
	data []byte
}

func initialKeys(keys Keys, passphrase string) ([]namedObject, error) {
	to := keys.Recovery.Recipient()
	list := []Recipient{{Name: "recovery", Key: to.String()}}
	writer, err := encryptAge(marshalStoredWriter(keys.Writer, keys.Recovery), to)
	if err != nil {
		return nil, fmt.Errorf("encrypt the writer key: %w", err)
	}
	objects := []namedObject{
		firstKeyFile(recipientsFile, marshalRecipients(keys.Writer.derive(), keys.Writer.Repository, 1, list)),
		firstKeyFile(writerFile, writer),
	}
	if passphrase != "" {
		wrapped, err := wrapRecoveryKey(keys.Recovery, passphrase)
		if err != nil {
			return nil, err
		}
		objects = append(objects, firstKeyFile(recoveryFile, wrapped))
	}
	return objects, nil
}

func firstKeyFile(kind string, data []byte) namedObject {
	return namedObject{keyFileName(kind, 1, data), data}
}

// vacant makes sure that a repository can be made here, and removes the keys of an Init that did not end.
func vacant(ctx context.Context, st storage.Storage) error {
	for _, name := range []string{configName, parityPrefix + configName} { // a config that was lost has its parity still
		if _, err := st.Size(ctx, name); err == nil {
			return ErrExists
		} else if !errors.Is(err, storage.ErrNotFound) {
			return fmt.Errorf("look for %s: %w", name, err)
		}
	}
	var stale []string
	for o, err := range st.List(ctx, "") {
		if err != nil {
			return fmt.Errorf("list the storage: %w", err)
		}
		if name := strings.TrimPrefix(o.Name, parityPrefix); !strings.HasPrefix(name, keysPrefix) && name != settingsName(1) {
			return fmt.Errorf("%w, or something else: it is not empty (%s)", ErrExists, o.Name)
		}
		stale = append(stale, o.Name)
	}
	for _, name := range stale {
		if err := st.Delete(ctx, name); err != nil {
			return fmt.Errorf("remove %s of an init that was cut off: %w", name, err)
		}
	}
	return nil
}

package snapshot

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/orthokeep/orthokeep/repo"
)

// Journal is what one server's backups keep on this host between runs (FORMAT.md section 6): what has been stored of attachments
// that no manifest names yet, the run under way, and the last root published. It is derived and may be deleted. An open Journal is
// also the lock that keeps a second backup of the same server out.
type Journal struct {
	db  *bolt.DB
	log *entryLog
}

var (
	bucketState = []byte("state")
	bucketHeads = []byte("heads")
	keyEntries  = []byte("entries")
	keyRun      = []byte("run")
	keyLast     = []byte("last")
)

// OpenJournal opens or makes the journal at path. The error matches ErrLocked when another backup holds it. A journal
// that is damaged is made anew.
func OpenJournal(path string) (*Journal, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("make the cache folder: %w", err)
	}
	db, err := bolt.Open(path, 0o600, &bolt.Options{Timeout: 50 * time.Millisecond, NoFreelistSync: true})
	if errors.Is(err, bolterrors.ErrTimeout) {
		return nil, ErrLocked
	}
	if errors.Is(err, bolterrors.ErrInvalid) || errors.Is(err, bolterrors.ErrVersionMismatch) || errors.Is(err, bolterrors.ErrChecksum) {
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("remove a damaged journal: %w", err)
		}
		db, err = bolt.Open(path, 0o600, &bolt.Options{Timeout: 50 * time.Millisecond, NoFreelistSync: true})
	}
	if err != nil {
		return nil, fmt.Errorf("open journal %s: %w", path, err)
	}
	j := &Journal{db: db}
	if err := j.openLog(strings.TrimSuffix(path, filepath.Ext(path)) + ".log"); err != nil {
		return nil, errors.Join(fmt.Errorf("open journal %s: %w", path, err), db.Close())
	}
	return j, nil
}

// openLog opens the log of entries. One that is damaged is forgotten, and so is one that was written by another journal.
func (j *Journal) openLog(path string) error {
	var seed uint32
	var end int64
	err := j.db.Update(func(tx *bolt.Tx) error {
		for _, b := range [][]byte{bucketState, bucketHeads} {
			if _, err := tx.CreateBucketIfNotExists(b); err != nil {
				return err
			}
		}
		if v := tx.Bucket(bucketState).Get(keyEntries); len(v) == 12 {
			seed, end = binary.LittleEndian.Uint32(v), int64(binary.LittleEndian.Uint64(v[4:]))
		}
		return nil
	})
	if err != nil {
		return err
	}
	j.log, err = openEntryLog(path, seed, end)
	if errors.Is(err, repo.ErrCorrupt) {
		j.log, err = openEntryLog(path, 0, 0)
		end = 0
	}
	if err != nil || end > 0 {
		return err
	}
	if err := j.clear(); err != nil {
		return errors.Join(err, j.log.close())
	}
	return nil
}

// Close releases the lock.
func (j *Journal) Close() error { return errors.Join(j.log.close(), j.db.Close()) }

// journalHead is a head chunk under its number, which only grows.
type journalHead struct {
	number uint64
	headRef
}

// commit adds entries whose blobs are durable. The head chunks of the entries are numbered as in heads.
func (j *Journal) commit(heads []journalHead, entries []Entry) error {
	end, err := j.log.append(entries)
	if err != nil {
		return err
	}
	err = j.db.Update(func(tx *bolt.Tx) error {
		b := tx.Bucket(bucketHeads)
		for _, h := range heads {
			if err := b.Put(binary.BigEndian.AppendUint64(nil, h.number), h.append(nil)); err != nil {
				return err
			}
			if err := b.SetSequence(h.number + 1); err != nil {
				return err
			}
		}
		return putEntries(tx, j.log.seed, end)
	})
	if err != nil {
		return err
	}
	return j.log.accept(end)
}

// putEntries notes how much of the log counts.
func putEntries(tx *bolt.Tx, seed uint32, end int64) error {
	v := binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint32(nil, seed), uint64(end))
	return tx.Bucket(bucketState).Put(keyEntries, v)
}

// nextHead is the number of the next head chunk.
func (j *Journal) nextHead() (n uint64, err error) {
	err = j.db.View(func(tx *bolt.Tx) error {
		n = tx.Bucket(bucketHeads).Sequence()
		return nil
	})
	return n, err
}

// get returns what is stored of an attachment.
func (j *Journal) get(u UUID) (e Entry, ok bool) { return j.log.get(u) }

// heads returns the head chunks, by number without gaps.
func (j *Journal) heads() (heads []journalHead, err error) {
	err = j.db.View(func(tx *bolt.Tx) error {
		return tx.Bucket(bucketHeads).ForEach(func(k, v []byte) error {
			if len(k) != 8 || len(v) != headItem {
				return fmt.Errorf("journal: %w", repo.ErrCorrupt)
			}
			h, err := parseHeadRef(v)
			heads = append(heads, journalHead{binary.BigEndian.Uint64(k), h})
			return err
		})
	})
	return heads, err
}

// lastRoot is the server's last root that this host knows of.
type lastRoot struct {
	Repository string `json:"repository"`
	Name       string `json:"name"`
	Counter    int64  `json:"counter"`
}

func (j *Journal) last() (l lastRoot, ok bool) {
	_ = j.db.View(func(tx *bolt.Tx) error {
		ok = json.Unmarshal(tx.Bucket(bucketState).Get(keyLast), &l) == nil
		return nil
	})
	return l, ok
}

// run returns the run that this journal's backup has not ended; empty when there is none.
func (j *Journal) run() (name string) {
	_ = j.db.View(func(tx *bolt.Tx) error {
		name = string(tx.Bucket(bucketState).Get(keyRun))
		return nil
	})
	return name
}

func (j *Journal) setRun(name string) error {
	return j.db.Update(func(tx *bolt.Tx) error { return tx.Bucket(bucketState).Put(keyRun, []byte(name)) })
}

// published forgets the provisional entries: the manifest of the root has what it needs of them.
func (j *Journal) published(l lastRoot) error {
	raw, err := json.Marshal(l)
	if err != nil {
		panic("snapshot: " + err.Error()) // plain fields
	}
	return j.forget(func(tx *bolt.Tx) error { return tx.Bucket(bucketState).Put(keyLast, raw) })
}

// clear forgets the provisional entries.
func (j *Journal) clear() error { return j.forget(func(*bolt.Tx) error { return nil }) }

// forget forgets the provisional entries in one transaction with what change does.
func (j *Journal) forget(change func(*bolt.Tx) error) error {
	seed := rand.Uint32()
	err := j.db.Update(func(tx *bolt.Tx) error {
		if err := tx.DeleteBucket(bucketHeads); err != nil {
			return err
		}
		if _, err := tx.CreateBucket(bucketHeads); err != nil {
			return err
		}
		return errors.Join(putEntries(tx, seed, 0), change(tx))
	})
	if err != nil {
		return err
	}
	return j.log.reset(seed)
}

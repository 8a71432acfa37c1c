package repo

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"

	"github.com/zeebo/blake3"
	bolt "go.etcd.io/bbolt"
)

const (
	catalogueVersion = 3
	stateSum         = 8 // bytes of BLAKE3 behind the state
)

var (
	bucketMeta     = []byte("meta")
	bucketSegments = []byte("segments")
	bucketVolumes  = []byte("volumes")
	bucketEpochs   = []byte("epochs")
	keyState       = []byte("state")
)

// state is the value of meta/state.
type state struct {
	generation uint64
	next       uint32
	sum        uint64
}

func (c *catalogue) marshal(s state) []byte {
	out := binary.LittleEndian.AppendUint32([]byte(c.repository), catalogueVersion)
	out = binary.LittleEndian.AppendUint64(out, s.generation)
	out = binary.LittleEndian.AppendUint32(out, s.next)
	out = binary.LittleEndian.AppendUint64(out, s.sum)
	sum := blake3.Sum256(out)
	return append(out, sum[:stateSum]...)
}

// readState returns the zero state when nothing was committed yet.
func (c *catalogue) readState(tx *bolt.Tx) (s state, err error) {
	meta := tx.Bucket(bucketMeta)
	if meta == nil {
		return s, nil
	}
	b := meta.Get(keyState)
	if at := len(c.repository) + 4; len(b) == at+20+stateSum {
		s = state{binary.LittleEndian.Uint64(b[at:]), binary.LittleEndian.Uint32(b[at+8:]), binary.LittleEndian.Uint64(b[at+12:])}
	}
	if s.generation == 0 || !bytes.Equal(b, c.marshal(s)) {
		return s, fmt.Errorf("%w: not the state of this repository's catalogue", errDerived)
	}
	return s, nil
}

// loadEntries reads everything but the state.
func (c *catalogue) loadEntries(tx *bolt.Tx, out *collection, want uint64) error {
	var sum uint64
	each := func(bucket []byte, take func(k, v []byte) error) error {
		b := tx.Bucket(bucket)
		if b == nil {
			return fmt.Errorf("%w: bucket %s is missing", errDerived, bucket)
		}
		return b.ForEach(func(k, v []byte) error {
			sum += entrySum(bucket, k, v)
			return take(k, v)
		})
	}
	err := each(bucketSegments, func(k, v []byte) error {
		s, err := parseSegmentState(v)
		out.segments[string(k)] = s
		if s.number != 0 && !s.live {
			out.dead[s.number] = true
		}
		return err
	})
	if err != nil {
		return err
	}
	err = each(bucketEpochs, func(k, v []byte) error {
		if len(k) != 4 || len(v) != tableEpoch || binary.BigEndian.Uint32(k) != uint32(len(out.epochIDs)+1) {
			return fmt.Errorf("%w: epochs out of order", errDerived)
		}
		out.epochNumber([16]byte(v))
		return nil
	})
	out.newEpochs = 0
	if err != nil {
		return err
	}
	err = each(bucketVolumes, func(k, v []byte) error {
		s, err := parseShape(v)
		if err != nil {
			return err
		}
		opened, err := openVolume(c.dir, string(k), s)
		if err == nil {
			out.volumes = append(out.volumes, opened)
		}
		return err
	})
	if err == nil && sum != want {
		err = fmt.Errorf("%w: entries are missing or changed", errDerived)
	}
	out.sortVolumes()
	return err
}

// summed is a bucket, and the sum of the entries of all three: each entry is hashed when it comes and when it goes, not at every commit.
type summed struct {
	*bolt.Bucket
	name []byte
	sum  *uint64
}

func (b summed) put(key, value []byte) error {
	b.forget(key)
	*b.sum += entrySum(b.name, key, value)
	return b.Put(key, value)
}

func (b summed) delete(key []byte) error {
	b.forget(key)
	return b.Delete(key)
}

// forget takes an entry, if there is one, out of the sum.
func (b summed) forget(key []byte) {
	if old := b.Get(key); old != nil {
		*b.sum -= entrySum(b.name, key, old)
	}
}

// put writes what has changed since there was a sum of old, and returns the names of the volumes that are no longer part of it.
func (c *catalogue) put(tx *bolt.Tx, from *collection, old, generation uint64) (merged map[string]bool, err error) {
	sum := old
	var buckets [3]summed
	for i, name := range [][]byte{bucketSegments, bucketVolumes, bucketEpochs} {
		b, err := tx.CreateBucketIfNotExists(name)
		if err != nil {
			return nil, err
		}
		buckets[i] = summed{b, name, &sum}
	}
	segments, volumes, epochs := buckets[0], buckets[1], buckets[2]
	for name := range from.changed {
		if s, ok := from.segments[name]; ok {
			err = segments.put([]byte(name), s.marshal())
		} else {
			err = segments.delete([]byte(name))
		}
		if err != nil {
			return nil, err
		}
	}
	for n := len(from.epochIDs) - from.newEpochs; n < len(from.epochIDs); n++ {
		if err := epochs.put(epochKey(n), from.epochIDs[n][:]); err != nil {
			return nil, err
		}
	}
	if merged, err = putVolumes(volumes, from.volumes); err != nil {
		return nil, err
	}
	meta, err := tx.CreateBucketIfNotExists(bucketMeta)
	if err != nil {
		return nil, err
	}
	return merged, meta.Put(keyState, c.marshal(state{generation, from.next, sum}))
}

// putVolumes makes a bucket name just these volumes, and returns the names that it had besides.
func putVolumes(b summed, volumes []*volume) (merged map[string]bool, err error) {
	merged = map[string]bool{}
	all := b.Cursor()
	for k, _ := all.First(); k != nil; k, _ = all.Next() {
		merged[string(k)] = true
	}
	for _, v := range volumes {
		delete(merged, v.name())
		if _, err := os.Stat(v.path); err != nil { // it was a day old, and nobody named it
			return nil, err
		}
		if err := b.put([]byte(v.name()), v.shape.marshal()); err != nil {
			return nil, err
		}
	}
	for name := range merged {
		if err := b.delete([]byte(name)); err != nil {
			return nil, err
		}
	}
	return merged, nil
}

// epochKey is the key of the epoch at position n.
func epochKey(n int) []byte { return binary.BigEndian.AppendUint32(nil, uint32(n)+1) }

// entrySum is an entry's share of the sum.
func entrySum(bucket, key, value []byte) uint64 {
	b := append(append(make([]byte, 0, 160), bucket...), 0)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(key)))
	sum := blake3.Sum256(append(append(b, key...), value...))
	return binary.LittleEndian.Uint64(sum[:])
}

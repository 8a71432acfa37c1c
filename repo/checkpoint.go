package repo

import (
	"context"
	"fmt"
	"math/rand/v2"
)

// writeBehind writes a full pack while those who fill packs go on: it takes a disk or a server as long to make one durable as it takes a core to
// fill one. It waits while as many are being written as there may be at once. A failure is that of the run. What has been begun is completed
// when ctx is cancelled: the checkpoint that follows then still has it.
func (u *Run) writeBehind(ctx context.Context, b *packBuilder) {
	u.behind.Go(func() error {
		if err := u.write(context.WithoutCancel(ctx), b); err != nil {
			return u.fail(err)
		}
		return nil
	})
}

// write makes a pack durable. It counts only once a segment lists it.
func (u *Run) write(ctx context.Context, b *packBuilder) error {
	record, data := b.finish(u.r.keys)
	if err := u.prove(record, data); err != nil {
		return err
	}
	if err := u.r.st.Put(ctx, record.id.object(), data); err != nil {
		return fmt.Errorf("write pack %.8s: %w", record.id, err)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.spare = append(u.spare, data)
	u.written = append(u.written, record)
	u.bytes += record.size
	u.remember(record)
	return nil
}

// provenBlobs is how many blobs of a pack are opened before it is written.
const provenBlobs = 4

// prove opens a few blobs of a pack, chosen at random, and compares them with their IDs: what an encoder, memory or a processor does wrong
// is found while the server still has the files. What another run has sealed, and prune moves as it is, it leaves alone.
func (u *Run) prove(p packRecord, data []byte) error {
	var plain []byte
	for range provenBlobs {
		e := p.table.entry(rand.IntN(p.table.len()))
		key := u.r.keys.blobs
		if p.class != Structure {
			if u.epoch == nil || u.epoch.id != p.table.epochOf(e) {
				continue
			}
			key = u.epoch.key
		}
		var err error
		if plain, err = u.r.openEntry(p.class, e.id, int(e.plain), key, data[e.offset:][:e.sealed], plain[:0]); err != nil {
			return fmt.Errorf("blob %.8s cannot be read, in a pack that was not written for this: %w", e.id, err)
		}
	}
	return nil
}

// Checkpoint makes all that Put has returned durable and lists it in a segment: a later run finds it, whatever happens to this one.
func (u *Run) Checkpoint(ctx context.Context) error {
	u.inPut.Lock()
	defer u.inPut.Unlock()
	_ = u.behind.Wait() // the run has failed then
	if u.failed != nil {
		return u.failed
	}
	for _, class := range []Class{Content, Structure} {
		if b := u.open[class]; b != nil {
			delete(u.open, class)
			if err := u.write(ctx, b); err != nil {
				return u.fail(err)
			}
		}
	}
	for len(u.written) > 0 {
		n := segmentBatch(u.written)
		name := u.nextSegment()
		if err := u.r.PutObject(ctx, KindSegment, name, segment{packs: u.written[:n]}.marshal()); err != nil {
			return u.fail(err)
		}
		u.r.adopt(name, u.written[:n])
		u.written = u.written[n:]
	}
	u.pending = map[ID]bool{}
	return nil
}

// segmentBatch returns how many of the records fit into one segment.
func segmentBatch(records []packRecord) (n int) {
	size := 0
	for n < len(records) {
		size += recordHead + len(records[n].table)
		if n > 0 && size > segmentRoom {
			break
		}
		n++
	}
	return n
}

// maxSample bounds the packs that ReadBack chooses from.
const maxSample = 100

// remember keeps a pack in the sample, or not, so that each pack has the same chance.
func (u *Run) remember(p packRecord) {
	u.packs++
	if len(u.sample) < maxSample {
		u.sample = append(u.sample, p)
	} else if i := rand.IntN(u.packs); i < maxSample {
		u.sample[i] = p
	}
}

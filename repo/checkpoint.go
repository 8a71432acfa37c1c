package repo

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
)

// writeBehind writes full packs while those who fill them go on: it takes a disk or a server as long to make a pack durable as it takes a core to fill one.
type writeBehind struct {
	slots chan struct{} // as many as there may be at once
	all   *sync.WaitGroup
}

func newWriteBehind() writeBehind {
	return writeBehind{make(chan struct{}, max(1, runtime.GOMAXPROCS(0)-1)), &sync.WaitGroup{}}
}

// wait returns when all packs are written that were handed over.
func (w writeBehind) wait() { w.all.Wait() }

// writeBehind writes a pack in the background, as soon as there is a slot for it. A failure is that of the run. What has been begun is
// completed when ctx is cancelled: the checkpoint that follows then still has it.
func (u *Run) writeBehind(ctx context.Context, b *packBuilder) {
	u.behind.slots <- struct{}{}
	u.behind.all.Go(func() {
		defer func() { <-u.behind.slots }()
		if err := u.write(context.WithoutCancel(ctx), b); err != nil {
			_ = u.fail(err)
		}
	})
}

// write makes a pack durable. It counts only once a segment lists it.
func (u *Run) write(ctx context.Context, b *packBuilder) error {
	record, data := b.finish(u.r.keys)
	if err := u.r.st.Put(ctx, record.id.object(), data); err != nil {
		return fmt.Errorf("write pack %.8s: %w", record.id, err)
	}
	b.release()
	u.mu.Lock()
	defer u.mu.Unlock()
	u.written = append(u.written, record)
	u.bytes += record.size
	u.remember(record)
	return nil
}

// Checkpoint makes all that Put has returned durable and lists it in a segment: a later run finds it, whatever happens to this one.
func (u *Run) Checkpoint(ctx context.Context) error {
	u.inPut.Lock()
	defer u.inPut.Unlock()
	u.behind.wait()
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

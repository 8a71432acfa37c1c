package repo

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"

	"golang.org/x/sync/errgroup"

	"github.com/orthokeep/orthokeep/repo/storage"
)

// ToRead returns how many packs ReadPacks would read, and their bytes.
func (c *Checking) ToRead(o CheckOptions) (packs, bytes int64) {
	for id, at := range c.stored {
		if at.listed && o.has(id) {
			packs++
			bytes += at.size
		}
	}
	return packs, bytes
}

func (o CheckOptions) has(id packID) bool {
	return o.ReadPacks.Has(Position(id[:])) || o.ReadData.Has(Position(id[:]))
}

// ReadPacks compares the bytes of packs with their names and, where asked, their blobs with their IDs; those which Get read since Remember
// are left out. It reads as many packs at once as there are cores, and holds these in memory.
func (c *Checking) ReadPacks(ctx context.Context, o CheckOptions, p CheckProgress) error {
	if !o.ReadData.Empty() && !c.r.CanRead() {
		return fmt.Errorf("read the data: %w", ErrNeedKey)
	}
	if o.ReadPacks.Empty() && o.ReadData.Empty() {
		return nil
	}
	c.decoded = c.r.read.Swap(nil)
	c.decoded.sort()
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	var failed error
	for pack, err := range c.listed(ctx) {
		if failed = err; err != nil || gctx.Err() != nil {
			break
		}
		at, ok := c.stored[pack.id]
		if !ok || at.size != pack.size || at.read || !o.has(pack.id) {
			continue
		}
		at.read = true
		c.stored[pack.id] = at
		g.Go(func() error {
			err := c.pack(gctx, pack, o.ReadData.Has(Position(pack.id[:])))
			p.Add(1, pack.size)
			return err
		})
	}
	return errors.Join(g.Wait(), failed, ctx.Err())
}

func (c *checker) pack(ctx context.Context, p packRecord, blobs bool) error {
	name := p.id.object()
	raw, err := c.r.st.Get(ctx, name, maxPack)
	if errors.Is(err, storage.ErrNotFound) && c.marked[p.id] {
		return nil
	}
	if errors.Is(err, storage.ErrNotFound) {
		err = errMissing(p.id)
	}
	if err != nil {
		if raw, err = c.damaged(ctx, name, err); raw == nil {
			return err
		}
	}
	c.mu.Lock()
	c.report.PacksRead++
	c.report.Read += int64(len(raw))
	c.mu.Unlock()
	verify, _ := c.r.verifier(name)
	whole := true
	if err := verify(raw); err != nil {
		healed, err := c.damaged(ctx, name, err)
		if err != nil {
			return err
		}
		if whole = healed != nil; whole {
			raw = healed
		}
	}
	if whole {
		if err := c.wholePack(ctx, p, raw); err != nil {
			return err
		}
	}
	if blobs {
		return c.blobs(ctx, p, raw)
	}
	return nil
}

// wholePack looks at the table of a pack that is what its name says, and at its parity.
func (c *checker) wholePack(ctx context.Context, p packRecord, raw []byte) error {
	name := p.id.object()
	if _, table, err := c.r.keys.parsePack(name, raw); err != nil {
		c.foundBad(name, err)
	} else if string(table) != string(p.table) {
		c.found(true, name, "the pack's table is not what its segment says")
	}
	if !c.parities[name] {
		return nil
	}
	return c.parityOf(ctx, name)
}

// blobs compares the blobs of a pack, or a sample of them, with their IDs.
func (c *checker) blobs(ctx context.Context, p packRecord, raw []byte) error {
	var plain []byte
	compare := func(i int) { plain = c.blob(ctx, p, p.table.entry(i), raw, plain[:0]) }
	n := p.table.len()
	if c.sample > 0 && c.sample < n {
		for range c.sample {
			compare(rand.IntN(n))
		}
		return ctx.Err()
	}
	for i := 0; i < n && ctx.Err() == nil; i++ {
		compare(i)
	}
	return ctx.Err()
}

// blob compares a blob with its ID, and returns the memory that it took.
func (c *checker) blob(ctx context.Context, p packRecord, e tableEntry, raw, plain []byte) []byte {
	if c.decoded.has(p.id, e.offset) {
		return plain
	}
	key, err := c.r.blobKey(ctx, p.class, p.table.epochOf(e))
	if err == nil {
		end := int64(e.offset) + int64(e.sealed)
		if end > int64(len(raw)) {
			err = fmt.Errorf("pack is cut short: %w", ErrCorrupt)
		} else {
			plain, err = c.r.openEntry(p.class, e.id, int(e.plain), key, raw[e.offset:end], plain)
		}
	}
	if err != nil && ctx.Err() == nil {
		c.found(!c.isBad(p.id), p.id.object(), "blob %.8s at offset %d: %v", e.id, e.offset, err)
		c.mu.Lock()
		c.report.BadBlobs = append(c.report.BadBlobs, e.id)
		c.mu.Unlock()
	}
	return plain
}

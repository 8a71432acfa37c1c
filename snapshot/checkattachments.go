package snapshot

import (
	"context"
	"fmt"
	"math"
)

// looked is an attachment that was read, in this chain or in another one.
type looked struct {
	placed
	here bool
	err  error // it is damaged
}

// readChain reads the attachments of a chain that no chain before has.
func (c *dataChecker) readChain(n int) error {
	ch := c.chains[n]
	heads, err := ch.heads(c.ctx, c.r)
	if err != nil {
		return err
	}
	copier := newCopier(c.r, copiers())
	copier.heads = heads
	work := func(ctx context.Context, batch []placed) ([]looked, error) { return c.look(ctx, copier, n, batch) }
	take := func(batch []looked) error {
		for _, l := range batch {
			c.take(ch, l)
		}
		return nil
	}
	return ordered(c.ctx, copiers(), copiers(), copyBatches(byPlace(c.chosen(ch, heads), placeBatch)), work, take)
}

// look reads a batch of attachments of a chain, but for those that are read with another one.
func (c *dataChecker) look(ctx context.Context, copier *copier, chain int, batch []placed) (out []looked, err error) {
	var read []placed
	for _, p := range batch {
		if f, in := c.readIn(p, copier.heads); in < chain {
			out = append(out, looked{p, false, c.damageOf(f)})
		} else {
			read = append(read, p)
		}
	}
	for i, err := range copyAll(ctx, copier, read) {
		if err != nil && c.first != nil {
			c.noteDamage(c.fingerprint(read[i], copier.heads), err)
		}
		out = append(out, looked{read[i], true, err})
	}
	return out, ctx.Err()
}

// readIn returns the fingerprint of an attachment, and the chain that it is read in: this one, as long as there is only one.
func (c *dataChecker) readIn(p placed, heads [][]headRef) (fingerprint uint64, chain int) {
	if c.first == nil {
		return 0, math.MaxInt
	}
	fingerprint = c.fingerprint(p, heads)
	if in, ok := c.first[fingerprint]; ok {
		return fingerprint, in
	}
	return fingerprint, math.MaxInt
}

func (c *dataChecker) damageOf(fingerprint uint64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.damaged[fingerprint]
}

func (c *dataChecker) noteDamage(fingerprint uint64, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.damaged[fingerprint] = err
}

// take counts an attachment, and names it in the snapshots that have it if it is damaged.
func (c *dataChecker) take(ch *chain, l looked) {
	if l.here {
		c.read.Attachments++
		c.read.Bytes += l.Size
		c.p.Add(1, l.Size)
	}
	if l.err == nil {
		return
	}
	if l.here {
		c.read.Damaged++
	}
	for _, m := range ch.manifests {
		if l.seenBy(len(m.Layers)) {
			c.name(m.root, m.what, fmt.Errorf("attachment %s: %w", l.UUID, l.err))
		}
	}
}

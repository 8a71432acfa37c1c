package snapshot

import (
	"context"
	"encoding/binary"
	"hash/maphash"
	"io"
	"iter"
	"maps"
	"sync"

	"github.com/orthokeep/orthokeep/repo"
)

// DataRead is what CheckData has read.
type DataRead struct {
	Attachments int64 // each once, however many snapshots have it; orphans count
	Bytes       int64 // of these
	Damaged     int64 // attachments
}

// CheckData reads attachments and orphans of the given snapshots, those whose first blobs lie in an arc, each once however many snapshots have it, and
// compares their bytes with the MD5 of their backup. It reads all streams but those of the index, too. What is wrong is a problem of every
// snapshot that has it, also where the storage failed: an error means that it could not go on. It needs the recovery key.
//
// It reads attachments in the order in which they were stored, several at once. Where snapshots have several bases it holds some 30 bytes for each
// attachment, to know those that it has read.
func CheckData(ctx context.Context, r *repo.Repository, roots []*Root, arc repo.Arc, p Phases) (DataRead, []Problem, error) {
	c := &dataChecker{rootChecker: newRootChecker(ctx, r), arc: arc, chains: chains(roots), p: p, seed: maphash.MakeSeed(), damaged: map[uint64]error{}}
	p.Phase("read lists and files", "", 0, 0)
	for _, root := range roots {
		if err := c.readStreams(root); err != nil {
			return c.read, nil, err
		}
	}
	attachments, bytes, err := c.plan()
	if err != nil {
		return c.read, nil, err
	}
	p.Phase("read attachments", "attachments", attachments, bytes)
	for n, ch := range c.chains {
		err := c.readChain(n)
		if err != nil { // what it did not come to is read with the next chain that has it
			maps.DeleteFunc(c.first, func(_ uint64, in int) bool { return in == n })
		}
		if err := c.ofAll(ch, err); err != nil {
			return c.read, nil, err
		}
	}
	return c.read, c.problems(roots), nil
}

type dataChecker struct {
	*rootChecker
	arc    repo.Arc
	chains []*chain
	p      Progress
	read   DataRead

	// Of several chains, each with a base of its own, most attachments are in more than one.
	seed    maphash.Seed
	first   map[uint64]int // by fingerprint: the chain in which an attachment is read
	mu      sync.Mutex
	damaged map[uint64]error // by fingerprint
}

// fault takes down what is wrong with a snapshot, whatever it is.
func (c *dataChecker) fault(root *Root, what string, err error) error {
	if c.ctx.Err() != nil {
		return c.ctx.Err()
	}
	if err != nil {
		c.name(root, what, err)
	}
	return nil
}

// readStreams reads the streams of a snapshot, but for the pages of its index.
func (c *dataChecker) readStreams(root *Root) error {
	for _, s := range root.streams() {
		if s.class == repo.Content && s.what == whatIndex {
			continue
		}
		key := s.key()
		err, seen := c.seen[key]
		if !seen {
			_, err = io.Copy(io.Discard, newStreamReader(c.ctx, c.r, s.class, s.Stream))
			c.seen[key] = err
		}
		if err := c.fault(root, s.what, err); err != nil {
			return err
		}
	}
	_, err := ReadFiles(c.ctx, c.r, root)
	return c.fault(root, "extra files", err)
}

// plan counts what there is to be read, and says which chain each attachment is read in. What is wrong with a manifest is said when it is read.
func (c *dataChecker) plan() (attachments, bytes int64, err error) {
	if len(c.chains) > 1 {
		c.first = map[uint64]int{}
	}
	for n, ch := range c.chains {
		heads, err := ch.heads(c.ctx, c.r)
		if err != nil {
			continue
		}
		for p, err := range c.chosen(ch, heads) {
			if err != nil {
				break
			}
			if c.first != nil {
				f := c.fingerprint(p, heads)
				if in, ok := c.first[f]; !ok {
					c.first[f] = n
				} else if in < n {
					continue
				}
			}
			attachments++
			bytes += p.Size
		}
	}
	return attachments, bytes, c.ctx.Err()
}

// chosen yields the entries of a chain that are in the arc.
func (c *dataChecker) chosen(ch *chain, heads [][]headRef) iter.Seq2[placed, error] {
	return func(yield func(placed, error) bool) {
		for p, err := range ch.seen(c.ctx, c.r) {
			if err == nil && !c.arc.Has(p.position(heads[p.layer])) {
				continue
			}
			if !yield(p, err) {
				return
			}
		}
	}
}

// position is that of the first blob of an attachment, so that those which share a head chunk are read together: by their UUIDs every share of
// them would need nearly all head chunks. A chunk has the same position in every snapshot.
func (p placed) position(heads []headRef) uint64 {
	switch {
	case p.headLength > 0 && p.headChunk < uint64(len(heads)):
		return repo.Position(heads[p.headChunk].id[:])
	case len(p.bulk) > 0:
		return repo.Position(p.bulk[0].id[:])
	}
	return repo.Position(p.UUID[:])
}

// fingerprint stands for an attachment and the place of its bytes. Head chunks have other numbers in other chains.
func (c *dataChecker) fingerprint(p placed, heads [][]headRef) uint64 {
	var h maphash.Hash
	h.SetSeed(c.seed)
	number := func(n int64) { _, _ = h.Write(binary.LittleEndian.AppendUint64(nil, uint64(n))) }
	_, _ = h.Write(p.UUID[:])
	_, _ = h.Write(p.MD5[:])
	number(p.Size)
	number(p.headLength)
	for part, err := range p.headParts(heads[p.layer]) {
		if err != nil {
			break // it is damaged wherever it is
		}
		_, _ = h.Write(heads[p.layer][part.chunk].id[:])
		number(part.offset)
	}
	for _, b := range p.bulk {
		_, _ = h.Write(b.id[:])
		number(b.length)
	}
	return h.Sum64()
}

package repo

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/orthokeep/orthokeep/repo/storage"
)

// objects walks the whole storage once.
func (c *checker) objects(ctx context.Context) error {
	for o, err := range c.r.st.List(ctx, "") {
		if err != nil {
			return fmt.Errorf("list the storage: %w", err)
		}
		if id, ok := parsePackName(o.Name); ok {
			c.stored[id] = storedPack{size: o.Size}
			continue
		}
		if name, ok := strings.CutPrefix(o.Name, parityPrefix); ok {
			c.parities[name] = true
			continue
		}
		if c.quarantine.objects[o.Name] {
			if err := c.quarantined(ctx, o.Name); err != nil {
				return err
			}
			continue
		}
		c.small[o.Name] = true
		if err := c.object(ctx, o.Name); err != nil {
			return err
		}
	}
	return nil
}

// quarantined looks at an object that is in quarantine.
func (c *checker) quarantined(ctx context.Context, name string) error {
	verify, limit := c.r.verifier(name)
	if verify == nil {
		return nil
	}
	_, err := getWhole(ctx, c.r.st, name, limit, verify)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err == nil && kindOf(name) != KindRoot: // what a snapshot consists of may be lost
		c.found(false, name, "in quarantine, and readable after all: repair takes it into use again")
	default:
		c.found(false, name, "given up, in quarantine: prune deletes it")
		c.report.givenUp = append(c.report.givenUp, name)
	}
	return nil
}

// object reads an object that is no pack.
func (c *checker) object(ctx context.Context, name string) error {
	if verify, _ := c.r.verifier(name); verify == nil {
		c.report.Unchecked++
		c.found(false, name, "not an object of this repository")
		return nil
	}
	c.report.Objects++
	raw, err := c.r.getVerified(ctx, name)
	if errors.Is(err, storage.ErrNotFound) {
		return nil // gone since it was listed
	}
	if err != nil {
		if raw, err = c.damaged(ctx, name, err); raw == nil {
			return err
		}
	}
	return c.whole(name, raw)
}

// damaged tries to put an object right, and takes down what came of it. It returns the object as it is now, nil where it is damaged still. The error
// is one of looking.
func (c *checker) damaged(ctx context.Context, name string, why error) ([]byte, error) {
	if !isDamage(why) {
		return nil, why
	}
	if raw, err := c.r.getVerified(ctx, name); err == nil {
		c.foundHealed(name, "read wrongly once ("+reason(why)+"), and rightly again: see to the disk, its cable and the memory")
		return raw, nil
	}
	how, err := c.r.mend(ctx, name)
	if err == nil && how == notMended { // a parity that was read wrongly once must not be the end
		how, err = c.r.mend(ctx, name)
	}
	switch {
	case err != nil:
		return nil, err
	case how == notMended:
		c.foundBad(name, why)
		return nil, nil
	case how == notWritten:
		c.found(true, name, "%s: its parity heals it, but the storage does not permit to put it back", reason(why))
		return nil, nil
	}
	c.foundHealed(name, reason(why))
	raw, err := c.r.getVerified(ctx, name)
	if err != nil {
		c.found(true, name, "it was put right, and is damaged again: %v", err)
		return nil, nil
	}
	return raw, nil
}

// reason is what is wrong with an object, without its name.
func reason(err error) string {
	var c *CorruptError
	if errors.As(err, &c) && c.Offset < 0 {
		return c.Reason
	}
	return err.Error()
}

// foundBad takes down an object that is damaged for good.
func (c *checker) foundBad(name string, why error) {
	id, isPack := parsePackName(name)
	if isPack && c.quarantine.packs[id] { // what is damaged by that is a matter of the snapshots
		c.found(false, name, "in quarantine: %s", reason(why))
	} else {
		c.found(true, name, "%s", reason(why))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case !isPack:
		c.report.unreadable = append(c.report.unreadable, name)
	case errors.Is(why, errPackGone):
		c.bad[id] = packMissing
	default:
		c.bad[id] = packDamaged
	}
}

func (c *checker) isBad(id packID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.bad[id] != 0
}

// whole takes down what an object which is not damaged says.
func (c *checker) whole(name string, raw []byte) error {
	if strings.HasPrefix(name, epochsPrefix) {
		c.epochs[name] = true
	}
	if kindOf(name) != KindSegment {
		return nil
	}
	s, err := c.r.keys.openSegment(name, raw)
	if err != nil {
		return err
	}
	c.segments = append(c.segments, name)
	for _, old := range s.supersedes {
		c.superseded[old] = true
	}
	return nil
}

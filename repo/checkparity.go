package repo

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/orthokeep/orthokeep/repo/storage"
)

// parity looks for objects that were lost and whose parity is left, for those that have none, and at the parity of all that is no pack.
func (c *checker) parity(ctx context.Context) error {
	for _, name := range slices.Sorted(maps.Keys(c.parities)) {
		id, isPack := parsePackName(name)
		_, stored := c.stored[id]
		var err error
		switch {
		case isPack && stored: // looked at with the pack
		case !isPack && c.small[name]:
			err = c.parityOf(ctx, name)
		default:
			err = c.lost(ctx, name)
		}
		if err != nil {
			return err
		}
	}
	n := 0
	for range c.bare() {
		n++
	}
	if n > 0 && c.r.settings.Parity > 0 {
		c.found(false, parityPrefix, "%d objects have no parity: repair writes it", n)
	}
	return nil
}

// bare yields the objects that might have parity, and have none.
func (c *checker) bare() iter.Seq[string] {
	return func(yield func(string) bool) {
		for name := range c.small {
			if verify, _ := c.r.verifier(name); verify != nil && isProtected(name) && !c.parities[name] && !yield(name) {
				return
			}
		}
		for id := range c.stored {
			if name := id.object(); !c.parities[name] && !yield(name) {
				return
			}
		}
	}
}

// lost looks at an object that was not listed, though its parity was.
func (c *checker) lost(ctx context.Context, name string) error {
	if verify, _ := c.r.verifier(name); verify == nil || !isProtected(name) {
		c.found(false, parityPrefix+name, "not an object of this repository")
		return nil
	}
	if _, isPack := parsePackName(name); isPack || strings.HasPrefix(name, epochsPrefix) {
		return nil // seen to already, where it is needed
	}
	for _, there := range []string{name, parityPrefix + name} { // written since it was listed, or deleted
		_, err := c.r.st.Size(ctx, there)
		if found := err == nil; found == (there == name) || err != nil && !errors.Is(err, storage.ErrNotFound) {
			return err
		}
	}
	raw, err := c.damaged(ctx, name, corrupt(name, "the object is missing"))
	if raw == nil || err != nil {
		return err
	}
	return c.whole(name, raw)
}

// parityOf compares the parity of an object with its checksum, and that of a pack with the pack's name. What is damaged is made anew.
func (c *checker) parityOf(ctx context.Context, name string) error {
	raw, err := c.r.st.Get(ctx, parityPrefix+name, maxParityObject)
	if errors.Is(err, storage.ErrNotFound) {
		return nil // gone since it was listed
	}
	var p parity
	whole := false
	if err == nil {
		p, whole, err = parseParity(parityPrefix+name, raw)
	}
	if id, isPack := parsePackName(name); err == nil && (!whole || isPack && p.hash != id) {
		err = corrupt(parityPrefix+name, "checksum mismatch")
	}
	if err == nil || !isDamage(err) {
		return err
	}
	writeErr := c.r.protectAgain(ctx, name, cmp.Or(c.r.settings.Parity, defaultParity))
	switch {
	case errors.Is(writeErr, storage.ErrRefused):
		c.found(true, parityPrefix+name, "%s: it can be made anew, but the storage does not permit it", reason(err))
		return nil
	case writeErr == nil:
		c.foundHealed(parityPrefix+name, reason(err))
		return nil
	case isDamage(writeErr), errors.Is(writeErr, storage.ErrNotFound): // of the object: found already, or gone
		return nil
	}
	return writeErr
}

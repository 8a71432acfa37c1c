package repo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/orthokeep/orthokeep/repo/storage"
	"github.com/orthokeep/orthokeep/repo/storage/faulty"
)

// deadSectors does not give back the objects below a prefix.
type deadSectors struct {
	storage.Storage
	prefix string
}

func (s deadSectors) err(name string) error {
	if strings.HasPrefix(name, s.prefix) {
		return fmt.Errorf("read object %s: %w", name, storage.ErrUnreadable)
	}
	return nil
}

func (s deadSectors) Get(ctx context.Context, name string, limit int64) ([]byte, error) {
	if err := s.err(name); err != nil {
		return nil, err
	}
	return s.Storage.Get(ctx, name, limit)
}

func (s deadSectors) ReadAt(ctx context.Context, name string, b []byte, at int64) error {
	if err := s.err(name); err != nil {
		return err
	}
	return s.Storage.ReadAt(ctx, name, b, at)
}

// TestDeadSectors: what the disk does not give back is damage, which parity heals, or which is named.
func TestDeadSectors(t *testing.T) {
	for _, parity := range []int{0, MaxParity} {
		for _, prefix := range []string{"packs/", segmentsPrefix, runsPrefix} {
			p := newPlace(t, parity)
			p.store(Content, 5)
			whole := p.st
			p.cache = tempFolder(t) // of another host, which has to read segments
			p.st = deadSectors{p.st, prefix}
			switch err := p.readable(); {
			case parity == 0 && prefix != runsPrefix:
				if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrNotFound) {
					t.Errorf("%s: %v", prefix, err)
				}
			case err != nil:
				t.Errorf("%s with parity %d: %v", prefix, parity, err)
			}
			r := p.mustOpen()
			report, err := r.Check(t.Context(), CheckOptions{ReadPacks: All()}, noProgress{})
			if err != nil || !slices.ContainsFunc(report.Findings, func(f Finding) bool { return strings.HasPrefix(f.Object, prefix) && f.Damage }) {
				t.Errorf("%s with parity %d: check finds %v, %v", prefix, parity, report.Findings, err)
			}
			r.Close()
			p.st = whole
			if err := p.sound(); err != nil {
				t.Errorf("%s with parity %d, on another disk: %v", prefix, parity, err)
			}
		}
	}
}

// TestFaultsOfHealing: each read fails by which a pack that was cut short is healed. It is what it was, or there is an error.
func TestFaultsOfHealing(t *testing.T) {
	p := newPlace(t, MaxParity)
	p.store(Content, 4)
	name := p.names("packs/")[0]
	want, err := p.st.Get(t.Context(), name, maxPack)
	if err != nil {
		t.Fatal(err)
	}
	p.spoil(name, cutOff)
	for _, how := range []faulty.Fault{faulty.NotStored, faulty.Missing, faulty.Short, faulty.Torn, faulty.Flipped} {
		failed := 0
		for k := 0; ; k++ {
			st := faulty.Wrap(p.st)
			st.FailRead(k, how)
			got, err := healObject(t.Context(), st, name)
			if err == nil && !bytes.Equal(got, want) {
				t.Errorf("fault %d of read %d: it is healed to something else", how, k)
			}
			if err != nil {
				failed++
			}
			if st.Reads() <= k {
				if err != nil || k < 5 {
					t.Errorf("%d reads without a fault: %v", k, err)
				}
				break
			}
		}
		if failed > 1 {
			t.Errorf("fault %d: %d reads are needed, of which one is that of the parity", how, failed)
		}
	}
}

// TestLostEpochKeys: content whose keys are lost cannot be read whatever heals its packs, and all else can.
func TestLostEpochKeys(t *testing.T) {
	p := newPlace(t, MaxParity)
	lost := p.store(Content, 3)
	p.store(Structure, 3)
	for _, prefix := range []string{epochsPrefix, parityPrefix + epochsPrefix} {
		for _, name := range p.names(prefix) {
			p.spoil(name, removed)
		}
	}
	r := p.mustOpen()
	defer r.Close()
	for _, id := range lost {
		if _, err := r.Get(t.Context(), Content, id, nil); !errors.Is(err, ErrCorrupt) {
			t.Errorf("content without its key: %v", err)
		}
		delete(p.must, id)
	}
	if err := p.readable(); err != nil {
		t.Error(err)
	}
}

// deletedMeanwhile deletes an object, as a prune does, when its parity has been read.
type deletedMeanwhile struct {
	storage.Storage
	name string
}

func (s deletedMeanwhile) Get(ctx context.Context, name string, limit int64) ([]byte, error) {
	raw, err := s.Storage.Get(ctx, name, limit)
	if name == parityPrefix+s.name {
		err = errors.Join(err, s.Storage.Delete(ctx, name), s.Storage.Delete(ctx, s.name))
	}
	return raw, err
}

// TestMendingWhatIsDeleted: a damaged object that a prune deletes while it is mended does not come back.
func TestMendingWhatIsDeleted(t *testing.T) {
	p := newPlace(t, MaxParity)
	p.store(Content, 3)
	run := p.names(runsPrefix)[0]
	p.spoil(run, turned)
	r := p.mustOpen()
	defer r.Close()
	r.st = deletedMeanwhile{r.st, run}
	if how, err := r.mend(t.Context(), run); how != notMended || err != nil {
		t.Errorf("it is mended: %v, %v", how, err)
	}
	for _, name := range []string{run, parityPrefix + run} {
		if _, err := p.st.Size(t.Context(), name); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("%s is there: %v", name, err)
		}
	}
}

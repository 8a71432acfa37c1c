package repo

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
)

// Whoever holds the writer key can store packs that are what their names say, and segments that list them: they have to make no sense.

// senselessPacks are changes of a pack that gets the name which belongs to them.
var senselessPacks = map[string]struct {
	change func([]byte) []byte
	err    error
}{
	"nonsense":                  {func(b []byte) []byte { return bytes.Repeat([]byte{7}, len(b)) }, ErrCorrupt},
	"a table that is another's": {func(b []byte) []byte { b[len(b)-packTrailer-1] ^= 1; return b }, ErrCorrupt},
	"a newer pack":              {func(b []byte) []byte { b[4]++; return b }, ErrUnsupported},
}

// senseless stores such a pack of two blobs, and lists it or not. It returns its name, and the first blob.
func (p *place) senseless(change func([]byte) []byte, list bool) (name string, blob ID) {
	p.t.Helper()
	r := p.mustOpen()
	defer r.Close()
	b := newPackBuilder(Structure, nil)
	var ids []ID
	for _, plain := range [][]byte{bytes.Repeat([]byte{1}, 40), bytes.Repeat([]byte{2}, 40)} {
		id := r.keys.blobID(Structure, plain)
		b.add(nil, id, sealBlob(nil, r.keys.blobs, id, nil, append([]byte{encodingRaw}, plain...)), len(plain))
		ids = append(ids, id)
	}
	record, raw := b.finish(r.keys)
	raw = change(raw)
	record.id = hashPack(raw)
	err := r.st.Put(p.t.Context(), record.id.object(), raw)
	if err == nil && list {
		err = r.PutObject(p.t.Context(), KindSegment, segmentsPrefix+"senseless", segment{packs: []packRecord{record}}.marshal())
	}
	if err != nil {
		p.t.Fatal(err)
	}
	return record.id.object(), ids[0]
}

// TestCheckNamesSenselessPacks: a pack that is what its name says is damaged all the same when its table is none.
func TestCheckNamesSenselessPacks(t *testing.T) {
	for what, c := range senselessPacks {
		p := newPlace(t, 0)
		p.store(Structure, 2)
		name, _ := p.senseless(c.change, true)
		r := p.mustOpen()
		report, err := r.Check(t.Context(), CheckOptions{ReadPacks: All()}, noProgress{})
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(report.Findings, func(f Finding) bool { return f.Object == name && f.Damage }) {
			t.Errorf("%s: check finds %v", what, report.Findings)
		}
		r.Close()
		if err := p.readable(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestRepairDoesNotListSenselessPacks: nobody knows what they hold.
func TestRepairDoesNotListSenselessPacks(t *testing.T) {
	for what, c := range senselessPacks {
		p := newPlace(t, 0)
		p.store(Structure, 2)
		p.senseless(c.change, false)
		segments := p.names(segmentsPrefix)
		if err := repairOnce(t.Context(), p); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if now := p.names(segmentsPrefix); !slices.Equal(now, segments) {
			t.Errorf("%s: segments %v, before %v", what, now, segments)
		}
		if err := p.sound(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestPruneLeavesSenselessPacks: a pack of which a part is needed is not moved when it makes no sense, and stays.
func TestPruneLeavesSenselessPacks(t *testing.T) {
	for what, c := range senselessPacks {
		p := newPlace(t, 0)
		p.store(Structure, 2)
		name, blob := p.senseless(c.change, true)
		p.must[blob] = keptBlob{Structure, nil}
		err := pruneOnce(t.Context(), p)
		if c.err == ErrUnsupported && !errors.Is(err, ErrUnsupported) || c.err == ErrCorrupt && err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if !slices.Contains(p.names("packs/"), name) {
			t.Errorf("%s: the pack is gone", what)
		}
		delete(p.must, blob)
		if err := p.readable(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestBlobBeyondTheEndOfItsPack: the pack is whole, and has parity; it is the segment that says what is not so.
func TestBlobBeyondTheEndOfItsPack(t *testing.T) {
	p := newPlace(t, MaxParity)
	p.store(Structure, 2)
	_, blob := p.senseless(func(b []byte) []byte { return b[:packHeader+10] }, true)
	r := p.mustOpen()
	defer r.Close()
	if _, err := r.Get(t.Context(), Structure, blob, nil); !errors.Is(err, ErrCorrupt) {
		t.Errorf("it is read: %v", err)
	}
	if err := p.readable(); err != nil {
		t.Error(err)
	}
}

// TestPruneWithoutWhatIsNeeded: where a blob that is needed is in no pack nothing is deleted, and nothing marked.
func TestPruneWithoutWhatIsNeeded(t *testing.T) {
	p := newPlace(t, 0)
	ids := p.store(Structure, 8)
	p.must = map[ID]keptBlob{ids[0]: p.must[ids[0]], {1, 2, 3}: {}}
	before := p.names("")
	if err := pruneOnce(t.Context(), p); !errors.Is(err, ErrNotFound) {
		t.Errorf("it goes on: %v", err)
	}
	if now := p.names(""); !slices.Equal(now, before) {
		t.Errorf("there is %v, before %v", now, before)
	}
}

// TestPruneWithAnUnreadableRun: nobody knows what a run under way needs that cannot be read. It is given up, or nothing is pruned.
func TestPruneWithAnUnreadableRun(t *testing.T) {
	p := newPlace(t, 0)
	p.store(Structure, 2)
	r := p.mustOpen()
	defer r.Close()
	if err := r.PutObject(t.Context(), KindRun, runsPrefix+"x", []byte("{")); err != nil {
		t.Fatal(err)
	}
	x, err := r.BeginPrune(t.Context(), "h", at, func(PruneHolder) Takeover { return KeepOut })
	if err != nil {
		t.Fatal(err)
	}
	if err := x.ListRuns(t.Context()); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), runsPrefix+"x") {
		t.Errorf("it goes on: %v", err)
	}
	if expired, err := x.ExpireRuns(t.Context(), "h", at); err != nil || len(expired) != 1 {
		t.Errorf("%d runs are given up, %v", len(expired), err)
	}
	if err := errors.Join(x.ListRuns(t.Context()), x.End(t.Context())); err != nil {
		t.Error(err)
	}
}

// TestQuarantineOverTheLimit: one that nobody could read is not published.
func TestQuarantineOverTheLimit(t *testing.T) {
	p := newPlace(t, 0)
	p.store(Structure, 2)
	r := p.mustOpen()
	defer r.Close()
	long := quarantine{objects: map[string]bool{strings.Repeat("x", maxBody): true}}
	if err := r.putQuarantine(t.Context(), long, at); err == nil {
		t.Error("it is published")
	}
	if q, err := r.readQuarantine(t.Context()); err != nil || q.name != "" {
		t.Errorf("quarantine %q, %v", q.name, err)
	}
}

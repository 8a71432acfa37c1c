package repo

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/zeebo/blake3"

	"github.com/orthokeep/orthokeep/chunk/pixel"
	"github.com/orthokeep/orthokeep/repo/storage"
	"github.com/orthokeep/orthokeep/repo/storage/faulty"
)

// spoilt yields wrong versions of what was written: cut at every length, longer, and with every byte changed in several ways.
func spoilt(b []byte, visit func([]byte)) {
	for n := range b {
		visit(bytes.Clone(b[:n]))
	}
	visit(append(bytes.Clone(b), 0))
	for i := range b {
		for _, x := range []byte{b[i] ^ 1, b[i] ^ 0x80, 0, 255} {
			if x != b[i] {
				bad := bytes.Clone(b)
				bad[i] = x
				visit(bad)
			}
		}
	}
}

// TestHostileBytes: what no checksum protects any more, since whoever holds the keys can make one, is still checked field by field. A parser
// returns an error that says damage, an unknown version or a wrong key, or something that is written again as the bytes it was read from.
func TestHostileBytes(t *testing.T) {
	w := newWorld(t, 9)
	epochs := [][16]byte{{1}, {2}}
	content, structure := w.pack(3, epochs...), w.pack(2)
	list := []Recipient{{"recovery", w.keys.Recovery.Recipient().String()}}
	keys := w.keys.Writer.derive()
	keyFile := keyFileName(writerFile, 1, []byte("what it holds"))
	for name, c := range map[string]struct {
		written []byte
		parse   func([]byte) (again []byte, err error)
	}{
		"table of content": {content.table, func(b []byte) ([]byte, error) {
			table, err := parseTable(b, Content)
			return table, err
		}},
		"table of structure": {structure.table, func(b []byte) ([]byte, error) {
			table, err := parseTable(b, Structure)
			return table, err
		}},
		"segment": {segment{[]string{"segments/x"}, []packRecord{content, structure}}.marshal(), func(b []byte) ([]byte, error) {
			s, err := parseSegment(b)
			return s.marshal(), err
		}},
		"state of a segment": {segmentState{1, true, false, 7}.marshal(), func(b []byte) ([]byte, error) {
			s, err := parseSegmentState(b)
			return s.marshal(), err
		}},
		"writer key": {w.keys.Writer.Marshal(), func(b []byte) ([]byte, error) {
			k, err := ParseWriterKey(b)
			if err != nil {
				return nil, err
			}
			return nil, json.Unmarshal(k.Marshal(), new(writerKeyFile))
		}},
		"recipients": {marshalRecipients(keys, w.keys.Writer.Repository, 1, list), func(b []byte) ([]byte, error) {
			got, err := parseRecipients(keys, w.keys.Writer.Repository, "keys/x", 1, b)
			if err == nil && fmt.Sprint(got) != fmt.Sprint(list) {
				return nil, fmt.Errorf("other recipients")
			}
			return nil, err
		}},
		"config": {w.writer.cfg.marshal(), func(b []byte) ([]byte, error) {
			_, err := parseConfig(b)
			return nil, err
		}},
		"recovery key": {[]byte(w.keys.Recovery.String() + "\n"), func(b []byte) ([]byte, error) {
			_, err := ParseRecoveryKey(b)
			return nil, err
		}},
		"two recovery keys": {[]byte("# x\n"), func(b []byte) ([]byte, error) {
			_, err := ParseRecoveryKey([]byte(w.keys.Recovery.String() + "\n" + w.keys.Recovery.String() + "\n" + string(b)))
			return nil, err
		}},
		"name of a key file": {[]byte(keyFile), func(b []byte) ([]byte, error) {
			return b, verifyKeyFile(string(b), []byte("what it holds"))
		}},
		"settings": {Settings{Parity: MaxParity}.marshal(), func(b []byte) ([]byte, error) {
			_, err := parseSettings(settingsName(2), b)
			return nil, err
		}},
		"quarantine": {quarantine{packs: map[packID]bool{content.id: true}, blobs: map[ID]bool{w.ids[0]: true}, objects: map[string]bool{"labels/x": true}}.marshal(time.Unix(0, 0)), func(b []byte) ([]byte, error) {
			_, err := parseQuarantine(quarantinePrefix+"x", b)
			return nil, err
		}},
		"name of a pack": {[]byte(content.id.object()), func(b []byte) ([]byte, error) {
			id, ok := parsePackName(string(b))
			if !ok {
				return nil, ErrCorrupt
			}
			return []byte(id.object()), nil
		}},
		"ID": {[]byte(w.ids[0].String()), func(b []byte) ([]byte, error) {
			id, err := ParseID(string(b))
			if err != nil {
				return nil, ErrCorrupt
			}
			return []byte(id.String()), nil
		}},
		"shape of a volume": {shape{packs: 2, blobs: 5, filterPages: filterPages(5), homes: homesFor(5), pages: homesFor(5)}.marshal(), func(b []byte) ([]byte, error) {
			s, err := parseShape(b)
			return s.marshal(), err
		}},
	} {
		refused := 0
		spoilt(c.written, func(bad []byte) {
			again, err := c.parse(bad)
			switch {
			case errors.Is(err, ErrCorrupt), errors.Is(err, ErrUnsupported), errors.Is(err, ErrWrongKey), errors.Is(err, errDerived):
				refused++
			case err != nil:
				t.Errorf("%s: %v", name, err)
			case again != nil && !bytes.Equal(again, bad):
				t.Errorf("%s: %x is read as something else", name, bad)
			}
		})
		if refused == 0 {
			t.Errorf("%s: nothing is refused", name)
		}
	}
}

// TestHostilePacks: a pack whose table belongs to another one.
func TestHostilePacks(t *testing.T) {
	w := newWorld(t, 10)
	keys := w.keys.Writer.derive()
	b := newPackBuilder(Structure, nil)
	b.add(nil, ID{1}, make([]byte, 50), 21)
	b.add(nil, ID{2}, make([]byte, 60), 31)
	_, pack := b.finish(keys)
	body, table := pack[:packHeader+110], func(entries ...tableEntry) packTable { return marshalTable(nil, entries) }
	first, second := tableEntry{ID{1}, structureEpoch, packHeader, 50, 21}, tableEntry{ID{2}, structureEpoch, packHeader + 50, 60, 31}
	if _, got, err := keys.parsePack("p", keys.appendTrailer(bytes.Clone(body), nil, table(first, second))); err != nil || got.len() != 2 {
		t.Fatalf("the right table: %v", err)
	}
	huge := second
	huge.sealed, huge.plain = MaxBlob, MaxBlob
	for name, bad := range map[string]packTable{
		"of fewer blobs":       table(first),
		"out of order":         table(second, first),
		"of a longer pack":     table(first, huge),
		"of nothing":           {0, 0, 0, 0, 0, 0, 0, 0},
		"of blobs of an epoch": marshalTable([][16]byte{{1}}, []tableEntry{{ID{1}, 0, packHeader, 110, 90}}),
		"cut short":            table(first, second)[:20],
	} {
		if _, _, err := keys.parsePack("p", keys.appendTrailer(bytes.Clone(body), nil, bad)); !errors.Is(err, ErrCorrupt) {
			t.Errorf("a table %s: %v", name, err)
		}
	}
	if _, _, err := keys.parsePack("p", pack[:40]); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a short pack: %v", err)
	}
	var many []tableEntry
	for at := uint32(packHeader); at < maxPack; at += MaxBlob {
		many = append(many, tableEntry{ID{3}, structureEpoch, at, MaxBlob, MaxBlob})
	}
	if _, err := parseTable(table(many...), Structure); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a table of more than a pack may hold: %v", err)
	}
}

// TestHostileEpochs: keys that are not those of the epoch that they are stored as.
func TestHostileEpochs(t *testing.T) {
	w := newWorld(t, 11)
	e := newEpoch()
	raw, err := marshalEpoch(e, w.writer.recipients)
	if err != nil {
		t.Fatal(err)
	}
	resum := func(b []byte) []byte {
		sum := blake3.Sum256(b[:len(b)-checksumSize])
		return append(bytes.Clone(b[:len(b)-checksumSize]), sum[:]...)
	}
	changed := func(at int) []byte { b := bytes.Clone(raw); b[at]++; return resum(b) }
	stranger, err := newRecoveryKey()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parseEpoch("e", e.id, raw, w.keys.Recovery); err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"newer":         second(parseEpoch("e", e.id, changed(4), w.keys.Recovery)),
		"another one":   second(parseEpoch("e", [16]byte{1}, raw, w.keys.Recovery)),
		"not age":       second(parseEpoch("e", e.id, changed(epochHeader), w.keys.Recovery)),
		"cut":           second(parseEpoch("e", e.id, raw[:20], w.keys.Recovery)),
		"not for us":    second(parseEpoch("e", e.id, raw, stranger)),
		"end is cut":    second(parseEpoch("e", e.id, resum(raw[:len(raw)-10]), w.keys.Recovery)),
		"reserved byte": second(parseEpoch("e", e.id, changed(6), w.keys.Recovery)),
	} {
		want := map[string]error{"newer": ErrUnsupported, "not for us": ErrWrongKey}[name]
		if want == nil {
			want = ErrCorrupt
		}
		if !errors.Is(err, want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

// TestBlobsOfAnotherLength: what a blob decodes to is as long as its table says, or it is damage.
func TestBlobsOfAnotherLength(t *testing.T) {
	c := newCodec(Balanced)
	plain := bytes.Repeat([]byte("0123456789abcdef"), 4000)
	pixels := make([]byte, 512*512*2)
	for i := range len(pixels) / 2 {
		binary.LittleEndian.PutUint16(pixels[2*i:], uint16(i%512+i/512))
	}
	layout := pixel.Layout{Bits: 16, Columns: 512, Samples: 1}
	for name, b := range map[string]struct {
		plain  []byte
		layout pixel.Layout
	}{"zstd": {plain, pixel.Layout{}}, "pixels": {pixels, layout}, "raw": {[]byte{7}, pixel.Layout{}}} {
		encoded := c.encode(nil, b.plain, b.layout)
		if got, err := c.decode(nil, encoded, len(b.plain)); err != nil || !bytes.Equal(got, b.plain) {
			t.Fatalf("%s: %v", name, err)
		}
		for _, size := range []int{0, len(b.plain) - 1, len(b.plain) + 1, MaxBlob} {
			if _, err := c.decode(nil, encoded, size); !errors.Is(err, ErrCorrupt) {
				t.Errorf("%s as %d bytes: %v", name, size, err)
			}
		}
		if _, err := c.decode(nil, encoded[:len(encoded)/2], len(b.plain)); !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrUnsupported) {
			t.Errorf("%s, half of it: %v", name, err)
		}
	}
	if _, err := c.decode(nil, nil, 0); !errors.Is(err, ErrCorrupt) {
		t.Errorf("nothing: %v", err)
	}
	if _, err := c.decode(nil, []byte{9, 9}, 1); !errors.Is(err, ErrUnsupported) {
		t.Errorf("another encoding: %v", err)
	}
	if _, err := c.decode(nil, []byte{encodingPixel, 200, 1, 2, 3}, 10); !errors.Is(err, ErrUnsupported) && !errors.Is(err, ErrCorrupt) {
		t.Errorf("another pixel stream: %v", err)
	}
}

// TestSealedNonsense: what is sealed with the repository's key and makes no sense is damage, wherever it is read.
func TestSealedNonsense(t *testing.T) {
	for _, nonsense := range []string{"", "{", `"x"`, `{"packs": ["zz"]}`, `{"packs": 7, "runs": 7, "token": 7, "kind": 7}`, strings.Repeat("[", 500)} {
		for name, c := range map[string]struct {
			kind Kind
			read func(*Repository) error
		}{
			"runs/x": {KindRun, func(r *Repository) error {
				runs, err := r.Runs(t.Context())
				if err == nil && runs[0].Damaged { // what it says is not needed by all who list runs
					err = ErrCorrupt
				}
				return err
			}},
			"marks/x": {KindMark, func(r *Repository) error { return second(r.readMarks(t.Context())) }},
			"prune": {KindPrune, func(r *Repository) error {
				return second(r.BeginPrune(t.Context(), "h", time.Unix(0, 0), func(PruneHolder) Takeover { return KeepOut }))
			}},
			"segments/x":  {KindSegment, func(r *Repository) error { return r.Refresh(t.Context()) }},
			"marks/y":     {KindNote, nil},
			"marks/other": {KindMark, func(r *Repository) error { return r.Refresh(t.Context()) }},
		} {
			w := newWorld(t, 12)
			if c.kind == KindNote {
				if err := w.writer.putMark(t.Context(), "y", nil, time.Unix(0, 0)); err != nil {
					t.Fatal(err)
				}
				name, c.read = "marks/y.note", func(r *Repository) error { return second(r.readMarks(t.Context())) }
			}
			if err := w.writer.PutObject(t.Context(), c.kind, name, []byte(nonsense)); err != nil {
				t.Fatal(err)
			}
			err := c.read(w.writer)
			harmless := nonsense == `{"packs": ["zz"]}` && (c.kind == KindRun || c.kind == KindNote || c.kind == KindPrune)
			if harmless && !errors.Is(err, ErrCorrupt) {
				continue // another kind's fields are not looked at
			}
			if !errors.Is(err, ErrCorrupt) {
				t.Errorf("%s holds %.20q: %v", name, nonsense, err)
			}
		}
	}
}

// TestInitRefuses: options out of bounds.
func TestInitRefuses(t *testing.T) {
	st, err := storage.CreateOn(faulty.NewFS(), "/repo")
	if err != nil {
		t.Fatal(err)
	}
	keys, err := NewKeys()
	if err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]InitOptions{"small packs": {PackSize: 1}, "large packs": {PackSize: 1 << 30}, "compression": {Compression: "much"}, "less parity than none": {Parity: -1}, "more parity than data": {Parity: MaxParity + 1}} {
		if err := Init(t.Context(), st, keys, o); err == nil {
			t.Errorf("%s are taken", name)
		}
	}
	if _, err := ReadConfig(t.Context(), st); !errors.Is(err, ErrNoRepo) {
		t.Errorf("something was written: %v", err)
	}
}

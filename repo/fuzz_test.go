package repo

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"filippo.io/age"
	"github.com/zeebo/blake3"
)

// The fuzz targets of what is read from the storage, but tables, segments and blobs (format_test.go) and pages of the catalogue (filter_test.go).

// accepted fails unless an error says why nothing was read, and that in at most limit bytes of memory.
func accepted(t *testing.T, limit uint64, parse func() error) bool {
	t.Helper()
	var err error
	if n := allocated(func() { err = parse() }); n > limit {
		t.Fatalf("%d bytes allocated", n)
	}
	if err != nil && !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrUnsupported) && !errors.Is(err, ErrWrongKey) {
		t.Fatalf("error %v", err)
	}
	return err == nil
}

// memoryFor is what a parser may take for n bytes of input.
func memoryFor(n int) uint64 { return 1<<20 + 64*uint64(n) }

func FuzzPack(f *testing.F) {
	d, _, pack := goldenPack()
	f.Add(pack)
	f.Add(pack[:packHeader])
	f.Add(append([]byte(packMagic), packVersion+1, 0, 0, 0))
	f.Fuzz(func(t *testing.T, b []byte) {
		var class Class
		var table packTable
		ok := accepted(t, memoryFor(len(b)), func() (err error) { class, table, err = d.parsePack("packs/x", b); return err })
		if ok && (!class.valid() || table.end() > int64(len(b))) {
			t.Fatalf("class %v, blobs end at %d of %d", class, table.end(), len(b))
		}
		if !ok && table != nil {
			t.Fatal("a table beside an error")
		}
	})
}

// FuzzTrailer: what a trailer says lies inside the pack, and is written like that.
func FuzzTrailer(f *testing.F) {
	_, _, pack := goldenPack()
	f.Add(pack[len(pack)-packTrailer:], int64(len(pack)))
	f.Add(bytes.Repeat([]byte{0xff}, packTrailer), int64(1)<<40)
	f.Fuzz(func(t *testing.T, b []byte, size int64) {
		at, n, err := parseTrailer("packs/x", b, size)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) || at != 0 || n != 0 {
				t.Fatal(at, n, err)
			}
			return
		}
		again := binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(nil, uint32(at)), uint32(n))
		if again = append(again, "\x00\x00\x00\x00"+trailerMagic...); !bytes.Equal(again, b) || at < packHeader || at+n > size-packTrailer {
			t.Fatalf("a table of %d bytes at %d of %d", n, at, size)
		}
	})
}

// FuzzObject: nothing opens but what was sealed, even when the checksum fits.
func FuzzObject(f *testing.F) {
	d, _, _ := goldenPack()
	nonce := fill[[12]byte](0x66)
	good := d.sealObject(KindRun, "runs/x", nonce[:], []byte(`{"kind":"backup"}`))
	f.Add(good[:len(good)-checksumSize])
	f.Add(d.sealObject(KindLabel, "labels/x", nonce[:], nil))
	f.Add([]byte(objectMagic))
	f.Fuzz(func(t *testing.T, b []byte) {
		sum := blake3.Sum256(b)
		raw := append(bytes.Clone(b), sum[:]...)
		var body []byte
		if !accepted(t, memoryFor(len(b)), func() (err error) { body, err = d.openObject(KindRun, "runs/x", raw); return err }) {
			return
		}
		if again := d.sealObject(KindRun, "runs/x", raw[8:objectHeader], body); !bytes.Equal(again, raw) {
			t.Fatal("another object was opened")
		}
	})
}

func FuzzEpoch(f *testing.F) {
	id, err := newRecoveryKey()
	if err != nil {
		f.Fatal(err)
	}
	e := newEpoch()
	good, err := marshalEpoch(e, []age.Recipient{id.Recipient()})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good[:len(good)-checksumSize])
	f.Add([]byte(epochMagic + "\x01\x00\x00\x00age-encryption.org/v1\n-> x\n\n--- \n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		sum := blake3.Sum256(b)
		raw := append(bytes.Clone(b), sum[:]...)
		var got epoch
		if accepted(t, memoryFor(len(b)), func() (err error) { got, err = parseEpoch("epochs/a/x", e.id, raw, id); return err }) && got != e {
			t.Fatal("another key was opened")
		}
	})
}

// sameAgain fails unless a value is written and read as itself.
func sameAgain[T any](t *testing.T, v T, written []byte, read func([]byte) (T, error)) {
	t.Helper()
	again, err := read(written)
	if err != nil || !reflect.DeepEqual(again, v) {
		t.Fatalf("%s was read as %+v, %v", written, again, err)
	}
}

func FuzzConfig(f *testing.F) {
	f.Add(Config{Format: configFormat, ID: "00112233445566778899aabbccddeeff", PackSize: DefaultPackSize, Compression: Balanced}.marshal())
	f.Add([]byte(`{"format":"orthokeep repository","version":1}`))
	f.Add([]byte(`{"format":"orthokeep repository","version":0,"created":"x"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var c Config
		if accepted(t, memoryFor(len(b)), func() (err error) { c, err = parseConfig(b); return err }) {
			sameAgain(t, c, c.marshal(), parseConfig)
		}
	})
}

func FuzzRecipients(f *testing.F) {
	d, _, _ := goldenPack()
	parse := func(b []byte) ([]Recipient, error) {
		return parseRecipients(d, "r", "keys/recipients-00000001", 1, b)
	}
	f.Add(marshalRecipients(d, "r", 1, []Recipient{{"recovery", "age1pq1x"}, {"", ""}}))
	f.Add([]byte(`{"version":2}`))
	f.Add([]byte(`{"version":1,"recipients":[],"mac":""}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var list []Recipient
		if accepted(t, memoryFor(len(b)), func() (err error) { list, err = parse(b); return err }) {
			sameAgain(t, list, marshalRecipients(d, "r", 1, list), parse)
			if _, err := ageRecipients(list); err == nil && !slices.ContainsFunc(list, func(r Recipient) bool { return len(r.Key) > 1000 }) {
				t.Fatalf("recipients of keys that are none: %v", list)
			}
		}
	})
}

func FuzzWriterKey(f *testing.F) {
	keys, err := NewKeys()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(keys.Writer.Marshal())
	f.Add([]byte(`{"format":"orthokeep writer key","version":1,"id_key":"00"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var k *WriterKey
		if accepted(t, memoryFor(len(b)), func() (err error) { k, err = ParseWriterKey(b); return err }) {
			sameAgain(t, k, k.Marshal(), ParseWriterKey)
		}
	})
}

func FuzzRecoveryKey(f *testing.F) {
	id, err := newRecoveryKey()
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte("# made today\n" + id.String() + "\n"))
	f.Add([]byte("AGE-SECRET-KEY-PQ-1\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var key *age.HybridIdentity
		if !accepted(t, memoryFor(len(b)), func() (err error) { key, err = ParseRecoveryKey(b); return err }) {
			return
		}
		if again, err := ParseRecoveryKey([]byte(key.String())); err != nil || again.String() != key.String() {
			t.Fatal("a key is written otherwise than it is read")
		}
	})
}

// FuzzBodies reads a body as each kind of JSON that is sealed.
func FuzzBodies(f *testing.F) {
	f.Add([]byte(`{"packs":["000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"],"made":"2026-11-23T02:00:00Z"}`))
	f.Add([]byte(`{"runs":["20261123T020004Z-5b1f"]}`))
	f.Add([]byte(`{"kind":"backup","server":"s","host":"h","started":"2026-11-23T02:00:00Z"}`))
	f.Add([]byte(`{"host":"h","started":"2026-11-23T02:00:00Z","token":"t"}`))
	f.Add([]byte(`{"packs":[null,{}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var packs []packID
		if accepted(t, memoryFor(len(b)), func() (err error) { packs, err = parseMark(b); return err }) {
			m := markBody{}
			for _, p := range packs {
				m.Packs = append(m.Packs, p.String())
			}
			text, err := json.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			sameAgain(t, packs, text, parseMark)
		}
		bodyAgain[noteBody](t, b)
		bodyAgain[RunInfo](t, b)
		bodyAgain[PruneHolder](t, b)
	})
}

func bodyAgain[T any](t *testing.T, b []byte) {
	t.Helper()
	read := func(b []byte) (v T, err error) { return v, UnmarshalJSON(b, &v, maxValues) }
	var v T
	if !accepted(t, memoryFor(len(b)), func() (err error) { v, err = read(b); return err }) {
		return
	}
	if text, err := json.Marshal(v); err == nil { // a time with a strange zone is read, and not written
		sameAgain(t, v, text, read)
	}
}

func FuzzNames(f *testing.F) {
	_, record, _ := goldenPack()
	f.Add(record.id.object(), record.id.String())
	f.Add("packs/../00", "")
	f.Fuzz(func(t *testing.T, name, digits string) {
		if p, ok := parsePackName(name); ok && p.object() != name {
			t.Fatalf("%q is read as %s", name, p)
		}
		if id, err := ParseID(digits); err == nil && len(digits) != 2*len(id) {
			t.Fatalf("%q is read as %s", digits, id)
		}
	})
}

// FuzzVolume changes bytes of a volume of the catalogue, and what index.bolt says of it: what is not what was written is damage, and no search
// goes on for ever.
func FuzzVolume(f *testing.F) {
	_, record, _ := goldenPack()
	all := &recent{}
	all.add(record, 1, []uint32{1})
	v, err := writeVolume(f.TempDir(), []source{all}, nil)
	if err != nil {
		f.Fatal(err)
	}
	good, err := os.ReadFile(v.path)
	if err != nil {
		f.Fatal(err)
	}
	name, id := v.name(), record.table.entry(0).id
	v.release()
	dir := f.TempDir()
	f.Add(v.shape.marshal(), uint32(0), byte(0))
	f.Add(v.shape.marshal(), uint32(filterPageSize*2+9), byte(1))
	f.Add(bytes.Repeat([]byte{0xff}, shapeSize), uint32(0), byte(0))
	f.Fuzz(func(t *testing.T, shape []byte, at uint32, flip byte) {
		b := bytes.Clone(good)
		b[int(at)%len(b)] ^= flip
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		n := allocated(func() { err = readVolume(dir, name, shape, id) })
		if n > 1<<20 {
			t.Fatalf("%d bytes allocated", n)
		}
		if err != nil && !errors.Is(err, errDerived) {
			t.Fatal(err)
		}
	})
}

// readVolume opens a volume and reads all of it.
func readVolume(dir, name string, b []byte, id ID) error {
	s, err := parseShape(b)
	if err != nil {
		return err
	}
	if !bytes.Equal(s.marshal(), b) {
		return errors.New("another shape was read")
	}
	v, err := openVolume(dir, name, s)
	if err != nil {
		return err
	}
	defer v.release()
	if _, err := v.find(id, func(e entry) (bool, error) { _, err := v.pack(e.pack); return true, err }); err != nil {
		return err
	}
	return walkSource(v, func(packCell) bool { return true }, nobody{})
}

type nobody struct{}

func (nobody) pack(packCell) error { return nil }
func (nobody) blob(entry) error    { return nil }

func FuzzSegmentState(f *testing.F) {
	f.Add(segmentState{number: 3, live: true, blobs: 9}.marshal())
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := parseSegmentState(b)
		if err == nil && !bytes.Equal(s.marshal(), b) {
			t.Fatal("another state was read")
		}
		if err != nil && !errors.Is(err, errDerived) {
			t.Fatal(err)
		}
	})
}

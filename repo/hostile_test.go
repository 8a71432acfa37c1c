package repo

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/restic/chunker"

	"github.com/orthokeep/orthokeep/chunk/pixel"
	"github.com/orthokeep/orthokeep/repo/storage"
)

// Every case here is refused in a few KB of memory only because of a limit; without it, it takes hundreds of MB or panics later.

// allocated returns the bytes that f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// refusedWithin fails unless parse refuses what it reads as damage, and allocates at most limit bytes.
func refusedWithin(t *testing.T, limit uint64, parse func() error) {
	t.Helper()
	var err error
	if n := allocated(func() { err = parse() }); n > limit {
		t.Errorf("%d bytes allocated, at most %d are wanted", n, limit)
	}
	if !errors.Is(err, ErrCorrupt) {
		t.Errorf("error %v", err)
	}
}

// zstdFrame is a frame of blocks of one repeated byte, 128 KiB each, whose head states nothing but a window of 1<<log bytes.
func zstdFrame(blocks, log int) []byte {
	out := []byte{0x28, 0xb5, 0x2f, 0xfd, 0, byte(log-10) << 3}
	for i := range blocks {
		head := uint32(128<<10)<<3 | 1<<1
		if i == blocks-1 {
			head |= 1
		}
		out = append(out, byte(head), byte(head>>8), byte(head>>16), 'x')
	}
	return out
}

// zstdStated is an empty frame that states a length of content.
func zstdStated(length uint64) []byte {
	out := binary.LittleEndian.AppendUint64([]byte{0x28, 0xb5, 0x2f, 0xfd, 3<<6 | 1<<5}, length)
	return append(out, 1, 0, 0)
}

func TestHostileBlobs(t *testing.T) {
	skippable := bytes.Repeat([]byte{0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0}, 1<<17)
	for _, c := range []struct {
		name    string
		encoded []byte
		size    int
	}{
		{"a frame that expands to 16 MB", append([]byte{encodingZstd}, zstdFrame(127, 17)...), 100},
		{"a thousand of them", append([]byte{encodingZstd}, bytes.Repeat(zstdFrame(127, 17), 1000)...), 100},
		{"frames of which only the last is too much", append([]byte{encodingZstd}, bytes.Repeat(zstdFrame(1, 17), 3)...), 300 << 10},
		{"a window of 1 GB", append([]byte{encodingZstd}, zstdFrame(1, 30)...), 128 << 10},
		{"a window of 1 TB", append([]byte{encodingZstd}, zstdFrame(1, 40)...), 128 << 10},
		{"a stated length of 2^62", append([]byte{encodingZstd}, zstdStated(1<<62)...), 100},
		{"a stated length of 16 MB", append([]byte{encodingZstd}, zstdStated(16<<20)...), 100},
		{"many frames of nothing", append([]byte{encodingZstd}, skippable...), 100},
		{"no frame", []byte{encodingZstd}, 100},
		{"raw bytes beyond the stated length", append([]byte{encodingRaw}, make([]byte, 1000)...), 10},
		{"pixels of rows beyond the size", []byte{encodingPixel, 1, 0, 0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0, 0}, 1000},
		{"nothing", nil, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			refusedWithin(t, 2<<20, func() error {
				_, err := testCodec.decode(nil, c.encoded, c.size)
				return err
			})
		})
	}
}

// TestFramesOfABlob: a blob may be of several frames, as FORMAT.md says.
func TestFramesOfABlob(t *testing.T) {
	one := testCodec.encode(nil, bytes.Repeat([]byte("orthokeep "), 1000), pixel.Layout{})
	encoded := append(bytes.Clone(one), one[1:]...)
	plain, err := testCodec.decode([]byte("before"), encoded, 20_000)
	if err != nil || len(plain) != 20_006 || !strings.HasPrefix(string(plain), "beforeorthokeep ") {
		t.Errorf("%d bytes, %v", len(plain), err)
	}
}

// manyValues is a text of JSON that takes up many times its length in memory.
func manyValues(before, value, after string) []byte {
	return []byte(before + strings.Repeat(value+",", 1<<20) + value + after)
}

func TestHostileJSON(t *testing.T) {
	d, _, _ := goldenPack()
	recipients := func(b []byte) error { _, err := parseRecipients(d, "r", "keys/recipients-00000001", 1, b); return err }
	mark := func(b []byte) error { _, err := parseMark(b); return err }
	into := func(v any) func([]byte) error {
		return func(b []byte) error { return UnmarshalJSON(b, v, maxValues) }
	}
	for _, c := range []struct {
		name  string
		text  []byte
		parse func([]byte) error
	}{
		{"a mark of empty names", manyValues(`{"packs":[`, `""`, `]}`), mark},
		{"a mark of nothing", manyValues(`{"packs":[`, `null`, `]}`), mark},
		{"a mark of objects", manyValues(`{"packs":[`, `{}`, `]}`), mark},
		{"a mark of short names", []byte(`{"packs":["00"]}`), mark},
		{"a mark of names that are no numbers", []byte(`{"packs":["` + strings.Repeat("x", 64) + `"]}`), mark},
		{"a note of empty names", manyValues(`{"runs":[`, `""`, `]}`), into(&noteBody{})},
		{"a run with many unknown fields", manyValues(`{"kind":"x","more":[`, `[]`, `]}`), into(&RunInfo{})},
		{"a prune in which all is nested", []byte(strings.Repeat(`{"a":`, 60_000)), into(&PruneHolder{})},
		{"recipients without names", manyValues(`{"version":1,"recipients":[`, `{}`, `]}`), recipients},
		{"a config with many unknown fields", manyValues(`{"format":"orthokeep repository","version":0,"x":[`, `{}`, `]}`), func(b []byte) error { _, err := parseConfig(b); return err }},
	} {
		t.Run(c.name, func(t *testing.T) {
			refusedWithin(t, 1<<20, func() error { return c.parse(c.text) })
		})
	}
}

// TestCountValues: never below what the parser sees.
func TestCountValues(t *testing.T) {
	for text, want := range map[string]int{
		`{}`: 1, `[]`: 1, `7`: 1, `""`: 1, `[1,2]`: 3, `{"a":1}`: 3, `{"a":[1,"x,y:[{",{}]}`: 6, `"\",,,"`: 1, `["\\",1]`: 3,
	} {
		if n := countValues([]byte(text)); n < want || n > want+3 {
			t.Errorf("%s: %d, not %d", text, n, want)
		}
	}
}

func TestHostileSegments(t *testing.T) {
	_, record, _ := goldenPack()
	supersedes := func(name string) []byte { return segment{supersedes: []string{name}}.marshal() }
	table := func(change func([]byte) []byte) []byte {
		r := record
		r.table = change(bytes.Clone(record.table))
		r.size = record.size + int64(len(r.table)-len(record.table))
		return segment{packs: []packRecord{r}}.marshal()
	}
	counts := func(packs uint32) []byte {
		return binary.LittleEndian.AppendUint32([]byte{0, 0, 0, 0}, packs)
	}
	manyEpochs := func(b []byte) []byte {
		out := binary.LittleEndian.AppendUint16(nil, 60_000)
		out = append(out, b[2:tableHead]...)
		return append(append(out, make([]byte, 60_000*tableEpoch)...), b[tableHead+tableEpoch:]...)
	}
	for _, c := range []struct {
		name string
		body []byte
	}{
		{"takes the place of nothing", supersedes("")},
		{"takes the place of a snapshot", supersedes("snapshots/20261123T020417Z-77aa")},
		{"takes the place of what is above", supersedes("segments/../config")},
		{"takes the place of a name with a zero", supersedes("segments/a\x00b")},
		{"takes the place of a name that no catalogue takes", supersedes("segments/" + strings.Repeat("a", 40_000))},
		{"many names and no bytes", []byte{0xff, 0xff, 0, 0}},
		{"four billion packs", counts(1<<32 - 1)},
		{"epochs that no blob is of", table(manyEpochs)},
		{"a table longer than the segment", append(counts(1), append(make([]byte, 32), 2, 0, 0, 0, 0xff, 0xff, 0xff, 7, 0xff, 0xff, 0xff, 0xff)...)},
		{"no blobs", table(func(b []byte) []byte { b[4] = 0; return b })},
		{"four billion blobs", table(func(b []byte) []byte { copy(b[4:], "\xff\xff\xff\xff"); return b })},
		{"a blob over its limit", table(func(b []byte) []byte { copy(b[len(b)-4:], "\x01\x00\x00\x01"); return b })},
		{"a blob of a negative length", table(func(b []byte) []byte { copy(b[len(b)-8:], "\xff\xff\xff\xff"); return b })},
		{"a blob somewhere else", table(func(b []byte) []byte { b[len(b)-12]++; return b })},
	} {
		t.Run(c.name, func(t *testing.T) {
			refusedWithin(t, 1<<20, func() error { _, err := parseSegment(c.body); return err })
		})
	}
}

func TestHostileTrailers(t *testing.T) {
	trailer := func(at, n uint32) []byte {
		out := binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(nil, at), n)
		return append(out, "\x00\x00\x00\x00"+trailerMagic...)
	}
	for _, c := range []struct {
		name string
		b    []byte
		size int64
	}{
		{"nothing", nil, 0},
		{"a table of 4 GB", trailer(packHeader, 1<<32-1), 1<<32 - 1 + packHeader + packTrailer},
		{"a table before the header", trailer(0, 100), 100 + packTrailer},
		{"sums beyond 32 bits", trailer(1<<32-1, 1<<32-1), 100},
		{"an empty table", trailer(packHeader, 0), packHeader + packTrailer},
	} {
		t.Run(c.name, func(t *testing.T) {
			refusedWithin(t, 1<<16, func() error { _, _, err := parseTrailer("packs/x", c.b, c.size); return err })
		})
	}
}

// TestHostileWorkFactor: the file that holds the recovery key says how much memory its passphrase takes: 1 GB here.
func TestHostileWorkFactor(t *testing.T) {
	id, err := newRecoveryKey()
	if err != nil {
		t.Fatal(err)
	}
	old := scryptWork
	scryptWork = 10
	file, err := wrapRecoveryKey(id, "secret")
	scryptWork = old
	if err != nil {
		t.Fatal(err)
	}
	if _, err := unwrapRecoveryKey("f", file, "secret"); err != nil {
		t.Fatal("as it was:", err)
	}
	file = bytes.Replace(file, []byte(" 10\n"), []byte(" 20\n"), 1)
	refusedWithin(t, 1<<20, func() error { _, err := unwrapRecoveryKey("f", file, "secret"); return err })
}

// TestHostilePolynomial: a polynomial of another degree makes the chunker panic. Whoever knows the recipients, who stand in the repository,
// can put a writer key there.
func TestHostilePolynomial(t *testing.T) {
	keys, err := NewKeys()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ParseWriterKey(keys.Writer.Marshal()); err != nil {
		t.Fatal(err)
	}
	for _, pol := range []chunker.Pol{0, 1, 2, 7, 0x11b, 1<<63 | 3} {
		k := *keys.Writer
		k.Polynomial = pol
		if _, err := ParseWriterKey(k.Marshal()); !errors.Is(err, ErrWrongKey) {
			t.Errorf("polynomial %v: %v", pol, err)
		}
	}
}

// longStorage has objects that are longer than any reader may take.
type longStorage struct {
	storage.Storage
	name string
}

func (s longStorage) Get(ctx context.Context, name string, limit int64) ([]byte, error) {
	if name == s.name {
		return nil, fmt.Errorf("read object %s: %w", name, storage.ErrTooLong)
	}
	return s.Storage.Get(ctx, name, limit)
}

func TestObjectsThatAreTooLong(t *testing.T) {
	w := newWorld(t, 1)
	segment := w.segment(w.packs(1, 5))
	names := []string{configName, segment}
	for _, kind := range []string{recipientsFile, writerFile} {
		name, _, err := newestKeyFile(t.Context(), w.st, kind)
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	for _, name := range names {
		_, err := Open(t.Context(), longStorage{w.st, name}, Credentials{Recovery: w.keys.Recovery}, "")
		if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestHostileSettings: the number of settings that are unreadable is anybody's choice; none is looked for that is not listed.
func TestHostileSettings(t *testing.T) {
	w := newWorld(t, 1)
	for _, name := range []string{settingsName(maxSettings - 1), settingsName(7), "settings/-0000001", "settings/100000000000"} {
		if err := w.st.Put(t.Context(), name, []byte("nonsense")); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	r, err := Open(ctx, w.st, Credentials{Writer: w.keys.Writer}, "")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, n, err := r.readSettings(ctx); n != maxSettings-1 || err != nil {
		t.Errorf("the last number is %d, %v", n, err)
	}
}

// TestHostileAgeFiles: what is not an age file for this key is damage or another's, whatever it says.
func TestHostileAgeFiles(t *testing.T) {
	id, err := newRecoveryKey()
	if err != nil {
		t.Fatal(err)
	}
	stanza := "-> mlkem768x25519 " + strings.Repeat("A", 1495) + "\n" + strings.Repeat("A", 43) + "\n"
	for _, c := range []struct{ name, file string }{
		{"nothing", ""},
		{"no end of the header", "age-encryption.org/v1\n" + strings.Repeat("-> x\n\n", 10_000)},
		{"a line that goes on", "age-encryption.org/v1\n-> " + strings.Repeat("x", 60_000)},
		{"many recipients", "age-encryption.org/v1\n" + strings.Repeat(stanza, 40) + "--- " + strings.Repeat("A", 43) + "\n"},
		{"a scrypt recipient", "age-encryption.org/v1\n-> scrypt AAAAAAAAAAAAAAAAAAAAAA 22\n" + strings.Repeat("A", 43) + "\n--- " + strings.Repeat("A", 43) + "\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var err error
			if n := allocated(func() { _, err = decryptAge("f", []byte(c.file), id) }); n > 8<<20 {
				t.Errorf("%d bytes allocated", n)
			}
			if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrWrongKey) {
				t.Errorf("error %v", err)
			}
		})
	}
	long, err := encryptAge(make([]byte, maxAgeFile+1), id.Recipient())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := decryptAge("f", long, id); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a long one: %v", err)
	}
}

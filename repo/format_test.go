package repo

import (
	"bytes"
	"errors"
	"testing"

	"github.com/zeebo/blake3"

	"github.com/orthokeep/orthokeep/chunk/pixel"
)

func TestNewerVersionsAreNotDamage(t *testing.T) {
	d, _, pack := goldenPack()
	pack = bytes.Clone(pack)
	pack[4]++
	if _, _, err := d.parsePack("p", pack); !errors.Is(err, ErrUnsupported) || errors.Is(err, ErrCorrupt) {
		t.Errorf("pack: %v", err)
	}
	object := d.sealObject(KindRun, "runs/x", nil, []byte("{}"))
	object[4]++
	sum := blake3.Sum256(object[:len(object)-checksumSize])
	copy(object[len(object)-checksumSize:], sum[:])
	if _, err := d.openObject(KindRun, "runs/x", object); !errors.Is(err, ErrUnsupported) || errors.Is(err, ErrCorrupt) {
		t.Errorf("object: %v", err)
	}
}

func TestObjectIsBoundToItsName(t *testing.T) {
	d, _, _ := goldenPack()
	raw := d.sealObject(KindRoot, "pending/20261123T020000Z-aa", nil, []byte("root"))
	if body, err := d.openObject(KindRoot, "snapshots/20261123T020000Z-aa", raw); err != nil || string(body) != "root" {
		t.Errorf("the same root in its other place: %v", err)
	}
	if _, err := d.openObject(KindRoot, "snapshots/20261124T020000Z-aa", raw); !errors.Is(err, ErrCorrupt) {
		t.Errorf("under another name: %v", err)
	}
	if _, err := d.openObject(KindRun, "pending/20261123T020000Z-aa", raw); !errors.Is(err, ErrCorrupt) {
		t.Errorf("as another kind: %v", err)
	}
	for i := range raw {
		bad := bytes.Clone(raw)
		bad[i] ^= 4
		if _, err := d.openObject(KindRoot, "pending/20261123T020000Z-aa", bad); err == nil {
			t.Errorf("byte %d changed and nothing was noticed", i)
		}
	}
}

func FuzzParseTable(f *testing.F) {
	_, record, _ := goldenPack()
	f.Add([]byte(record.table), true)
	f.Add([]byte{}, false)
	f.Add(bytes.Repeat([]byte{0xff}, 80), true)
	f.Fuzz(func(t *testing.T, b []byte, content bool) {
		class := Structure
		if content {
			class = Content
		}
		table, err := parseTable(b, class)
		if err != nil {
			if table != nil || !errors.Is(err, ErrCorrupt) {
				t.Fatalf("%v with a table", err)
			}
			return
		}
		var epochs [][16]byte
		var entries []tableEntry
		for i := range table.epochs() {
			epochs = append(epochs, table.epoch(uint16(i)))
		}
		for i := range table.len() {
			entries = append(entries, table.entry(i))
		}
		if !bytes.Equal(marshalTable(epochs, entries), b) {
			t.Fatal("another encoding of the same table was accepted")
		}
	})
}

func FuzzParseSegment(f *testing.F) {
	_, record, _ := goldenPack()
	f.Add(segment{supersedes: []string{"segments/x-0001"}, packs: []packRecord{record}}.marshal())
	f.Add([]byte{0, 0, 0, 0, 1, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := parseSegment(b)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Fatal(err)
			}
			return
		}
		if !bytes.Equal(s.marshal(), b) {
			t.Fatal("another encoding of the same segment was accepted")
		}
	})
}

func FuzzOpenBlob(f *testing.F) {
	f.Add([]byte{encodingRaw, 'a'}, 1)
	f.Add(testCodec.encode(nil, bytes.Repeat([]byte("orthokeep "), 100), pixel.Layout{}), 1000)
	f.Add([]byte{9, 9, 9}, 2)
	f.Fuzz(func(t *testing.T, encoded []byte, size int) {
		if size < 0 || size > 1<<20 {
			return
		}
		plain, err := testCodec.decode(nil, encoded, size)
		if err == nil && len(plain) != size {
			t.Fatalf("%d bytes instead of %d", len(plain), size)
		}
	})
}

func TestEncodings(t *testing.T) {
	image := make([]byte, 2*512*512)
	for i := 0; i < len(image); i += 2 {
		x, y := i/2%512, i/1024
		image[i], image[i+1] = byte(x*y>>6+x&3), byte((x+y)>>8)
	}
	layout := pixel.Layout{Bits: 16, Columns: 512, Samples: 1}
	noise := make([]byte, 100_000)
	fillRandom(noise)
	for _, c := range []struct {
		name   string
		plain  []byte
		layout pixel.Layout
		want   byte
	}{
		{"nothing", nil, pixel.Layout{}, encodingRaw},
		{"text", bytes.Repeat([]byte("text "), 5000), pixel.Layout{}, encodingZstd},
		{"noise", noise, pixel.Layout{}, encodingRaw},
		{"noise said to be pixels", noise, layout, encodingRaw},
		{"image", image, layout, encodingPixel},
		{"image without a layout", image, pixel.Layout{}, encodingZstd},
		{"constant pixels", make([]byte, 100_000), layout, encodingPixel},
	} {
		t.Run(c.name, func(t *testing.T) {
			encoded := testCodec.encode([]byte("before"), c.plain, c.layout)
			if string(encoded[:6]) != "before" {
				t.Fatal("what stood before is gone")
			}
			encoded = encoded[6:]
			if encoded[0] != c.want && !(c.want == encodingPixel && len(encoded) < 100) {
				t.Errorf("encoding %d, want %d", encoded[0], c.want)
			}
			if len(encoded) > len(c.plain)+1 {
				t.Errorf("%d bytes became %d", len(c.plain), len(encoded))
			}
			plain, err := testCodec.decode(nil, encoded, len(c.plain))
			if err != nil || !bytes.Equal(plain, c.plain) {
				t.Errorf("decoded otherwise: %v", err)
			}
		})
	}
}

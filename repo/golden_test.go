package repo

import (
	"bytes"
	"encoding/hex"
	"os"
	"strings"
	"testing"

	"github.com/orthokeep/orthokeep/chunk/pixel"
)

func fill[T ~[12]byte | ~[16]byte | ~[24]byte | ~[32]byte](b byte) (out T) {
	for i := range len(out) {
		switch o := any(&out).(type) {
		case *[12]byte:
			o[i] = b
		case *[16]byte:
			o[i] = b
		case *[24]byte:
			o[i] = b
		case *[32]byte:
			o[i] = b
		}
	}
	return out
}

var testCodec = newCodec(Balanced)

// goldenPack is the pack of FORMAT.md section 16.
func goldenPack() (*derived, packRecord, []byte) {
	key := WriterKey{ID: fill[[32]byte](0x11), Structure: fill[[32]byte](0x22)}
	d := key.derive()
	epochID, epochKey := fill[[16]byte](0x33), fill[[32]byte](0x44)
	blobNonce, tableNonce := fill[[12]byte](0x66), fill[[12]byte](0x77)
	plain := []byte("orthokeep")
	b := packBuilderWithSalt(Content, nil, fill[[24]byte](0x55))
	id := d.blobID(Content, plain)
	b.add(&epochID, id, sealBlob(nil, epochKey, id, blobNonce[:], testCodec.encode(nil, plain, pixel.Layout{})), len(plain))
	record, data := b.finishWithNonce(d, tableNonce[:])
	return d, record, data
}

func hexLines(b []byte) string {
	var out strings.Builder
	for len(b) > 0 {
		n := min(32, len(b))
		out.WriteString(hex.EncodeToString(b[:n]) + "\n")
		b = b[n:]
	}
	return out.String()
}

func TestGoldenPack(t *testing.T) {
	d, record, data := goldenPack()
	want := "name " + record.id.object() + "\n" + hexLines(data)
	doc, err := os.ReadFile("FORMAT.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(doc), "```\n"+want+"```") {
		t.Errorf("FORMAT.md section 16 does not show this pack:\n%s", want)
	}
	class, table, err := d.parsePack("golden", data)
	if err != nil || class != Content || table.len() != 1 {
		t.Fatalf("parse: %v, class %v", err, class)
	}
	e := table.entry(0)
	plain, err := testCodec.openBlob(nil, fill[[32]byte](0x44), e.id, data[e.offset:e.offset+e.sealed], int(e.plain))
	if err != nil || string(plain) != "orthokeep" {
		t.Errorf("blob: %q, %v", plain, err)
	}
}

func TestEveryFlippedBitOfAPackIsFound(t *testing.T) {
	d, record, data := goldenPack()
	for i := range len(data) * 8 {
		bad := bytes.Clone(data)
		bad[i/8] ^= 1 << (i % 8)
		if hashPack(bad) == record.id {
			t.Fatalf("bit %d: the name did not change", i)
		}
		_, table, err := d.parsePack("golden", bad)
		if err == nil {
			e := table.entry(0)
			_, err = testCodec.openBlob(nil, fill[[32]byte](0x44), e.id, bad[e.offset:e.offset+e.sealed], int(e.plain))
		}
		if err == nil {
			t.Fatalf("bit %d: pack and blob still open", i)
		}
	}
}

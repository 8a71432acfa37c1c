package snapshot

import (
	"bytes"
	"encoding/hex"
	"os"
	"strings"
	"testing"

	"github.com/orthokeep/orthokeep/repo"
)

func repeated[T ~[16]byte | ~[32]byte](b byte) (out T) {
	switch o := any(&out).(type) {
	case *UUID:
		copy(o[:], bytes.Repeat([]byte{b}, 16))
	case *[16]byte:
		copy(o[:], bytes.Repeat([]byte{b}, 16))
	case *repo.ID:
		copy(o[:], bytes.Repeat([]byte{b}, 32))
	}
	return out
}

// goldenEntries are the entries of FORMAT.md section 7.
func goldenEntries() []Entry {
	return []Entry{
		{Key: Key{4, 1}, UUID: repeated[UUID](0xaa), Size: 526_336, Uncompressed: 526_336, Compression: 1, Stated: true, MD5: repeated[[16]byte](0xbb),
			headLength: 2048, headChunk: 0, headOffset: 0, bulk: []bulkRef{{repeated[repo.ID](0xcc), 524_288}}},
		{Key: Key{5, 1}, deleted: true},
		{Key: Key{9, 3}, UUID: repeated[UUID](0xdd), Size: 300, Uncompressed: 900, Compression: 2, MD5: repeated[[16]byte](0xee),
			headLength: 300, headChunk: 0, headOffset: 2048},
	}
}

func goldenLayer(t testing.TB) (entries, blocks, heads []byte) {
	t.Helper()
	var e, b bytes.Buffer
	w := newBlockWriter(&e, &b)
	for _, x := range goldenEntries() {
		if err := w.write(&x); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.flush(); err != nil {
		t.Fatal(err)
	}
	return e.Bytes(), b.Bytes(), headRef{repeated[repo.ID](0x99), 2348}.append(nil)
}

func TestGoldenLayer(t *testing.T) {
	entries, blocks, heads := goldenLayer(t)
	var want strings.Builder
	for _, part := range []struct {
		name string
		data []byte
	}{{"entries", entries}, {"blocks", blocks}, {"heads", heads}} {
		want.WriteString(part.name + "\n")
		for rest := part.data; len(rest) > 0; rest = rest[min(32, len(rest)):] {
			want.WriteString(hex.EncodeToString(rest[:min(32, len(rest))]) + "\n")
		}
	}
	doc, err := os.ReadFile("FORMAT.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(doc), "```\n"+want.String()+"```") {
		t.Errorf("FORMAT.md section 7 does not show this layer:\n%s", want.String())
	}
	r := newBlockReader(bytes.NewReader(entries))
	for i, x := range goldenEntries() {
		var got Entry
		if err := r.read(&got); err != nil {
			t.Fatal(err)
		}
		if string(got.append(nil, 0)) != string(x.append(nil, 0)) {
			t.Errorf("entry %d was read as %+v", i, got)
		}
	}
}

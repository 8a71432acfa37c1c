package repo

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/orthokeep/orthokeep/chunk/pixel"
)

// TestPackIsProvenBeforeItIsWritten: a blob that cannot be opened again ends the run before its pack is stored.
func TestPackIsProvenBeforeItIsWritten(t *testing.T) {
	for _, class := range []Class{Content, Structure} {
		p := newPlace(t, 0)
		r := p.mustOpen()
		defer r.Close()
		u, err := r.Begin(t.Context(), RunInfo{Kind: "backup", Started: time.Now()})
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := u.Put(t.Context(), class, bytes.Repeat([]byte("bulk"), 100), pixel.Layout{}); err != nil {
			t.Fatal(err)
		}
		b := u.open[class]
		b.buf[b.entries[0].offset+b.entries[0].sealed/2] ^= 1
		if err := u.Checkpoint(t.Context()); !errors.Is(err, ErrCorrupt) {
			t.Errorf("class %v: the checkpoint says %v", class, err)
		}
		for o, err := range p.st.List(t.Context(), "packs/") {
			t.Errorf("class %v: %s is stored (%v)", class, o.Name, err)
		}
		if err := u.Publish(t.Context(), "root", []byte("root")); !errors.Is(err, ErrCorrupt) {
			t.Errorf("class %v: publish says %v", class, err)
		}
	}
}

package snapshot

import (
	"errors"
	"slices"
	"testing"

	"github.com/orthokeep/orthokeep/repo"
)

func TestLabels(t *testing.T) {
	w := newWorld(t)
	w.add(3, 100)
	first, second := w.mustBackup(), w.mustBackup()
	ctx, r := t.Context(), w.writer()
	add := func(tag string) func(*Label) { return func(l *Label) { l.Tags = append(l.Tags, tag) } }
	for _, tag := range []string{"a", "b"} {
		if err := SetLabel(ctx, r, first, add(tag)); err != nil {
			t.Fatal(err)
		}
	}
	if err := SetLabel(ctx, r, second, func(l *Label) { l.Held = true }); err != nil {
		t.Fatal(err)
	}
	if err := SetLabel(ctx, r, second, func(l *Label) { l.Held = true }); err != nil {
		t.Fatal(err)
	}
	roots, err := Roots(ctx, w.writer())
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(roots[0].Tags, []string{"a", "b"}) || roots[0].Held || len(roots[1].Tags) != 0 || !roots[1].Held {
		t.Errorf("labels %v %v, %v %v", roots[0].Tags, roots[0].Held, roots[1].Tags, roots[1].Held)
	}
	names, err := r.ListObjects(ctx, labelsPrefix)
	if err != nil || len(names) != 3 {
		t.Errorf("labels %v: one that changes nothing is not written (%v)", names, err)
	}
}

// TestLabelsOfTwoHosts: of two hosts that label a snapshot at once, neither loses what it says.
func TestLabelsOfTwoHosts(t *testing.T) {
	w := newWorld(t)
	w.add(3, 100)
	root := w.mustBackup()
	ctx, r := t.Context(), w.writer()
	other := *root
	raced := false
	err := SetLabel(ctx, r, root, func(l *Label) {
		if !raced {
			raced = true
			if err := SetLabel(ctx, w.writer(), &other, func(l *Label) { l.Held = true }); err != nil {
				t.Fatal(err)
			}
		}
		l.Tags = append(l.Tags, "mine")
	})
	if err != nil {
		t.Fatal(err)
	}
	all, err := labels(ctx, r, "")
	if l := all[root.name]; err != nil || !l.Held || !slices.Equal(l.Tags, []string{"mine"}) || l.number != 2 {
		t.Errorf("label %+v, %v", l, err)
	}
}

// TestDamagedLabel: a label that cannot be read may be a hold, and nobody may take it for none.
func TestDamagedLabel(t *testing.T) {
	w := newWorld(t)
	w.add(3, 100)
	root := w.mustBackup()
	if err := w.st.Put(t.Context(), labelName(root.name, 1), []byte("not a label")); err != nil {
		t.Fatal(err)
	}
	roots, err := Roots(t.Context(), w.writer())
	if len(roots) != 1 || err == nil {
		t.Errorf("%d snapshots, %v", len(roots), err)
	}
	if _, err := labels(t.Context(), w.writer(), ""); !errors.Is(err, repo.ErrCorrupt) {
		t.Errorf("%v", err)
	}
}

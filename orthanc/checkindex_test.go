//go:build linux

package orthanc_test

import (
	"bytes"
	"context"
	"crypto/md5"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/orthokeep/orthokeep/orthanc"
	"github.com/orthokeep/orthokeep/orthanc/orthanctest"
	"github.com/orthokeep/orthokeep/repo"
	"github.com/orthokeep/orthokeep/snapshot"
)

// writer is who publishes snapshots of indexes as it likes, right or wrong, each of a server of its own.
type writer struct {
	*site
	names map[string]string // of the snapshots, by their short IDs
}

const fileText = "hello"

// sameFile is a storage area in which every attachment is fileText.
type sameFile struct{}

func (sameFile) Open(snapshot.UUID) (snapshot.File, error) {
	return openText{bytes.NewReader([]byte(fileText))}, nil
}

type openText struct{ *bytes.Reader }

func (openText) Close() error { return nil }

// attachments are n attachments as a manifest has them, of which the first states its MD5.
func attachments(n int) (list []snapshot.Attachment) {
	for i := range n {
		list = append(list, snapshot.Attachment{ID: int64(i), FileType: 1, UUID: snapshot.UUID{3: byte(i >> 8), 4: byte(i), 8: 0x40}, Size: int64(len(fileText)), Uncompressed: 6, Compression: 1,
			MD5: md5.Sum([]byte(fileText)), HasMD5: i == 0})
	}
	return list
}

// rows is the statement that makes an index of a list.
func rows(list []snapshot.Attachment) string {
	statements := []string{"BEGIN"}
	for _, a := range list {
		sum := ""
		if a.HasMD5 {
			sum = fmt.Sprintf("%x", a.MD5)
		}
		statements = append(statements, fmt.Sprintf("INSERT INTO Resources VALUES(%d, 4, 'x%d', NULL)", a.ID, a.ID),
			fmt.Sprintf("INSERT INTO AttachedFiles VALUES(%d, 1, '%s', %d, %d, 1, '', '%s')", a.ID, a.UUID, a.Size, a.Uncompressed, sum))
	}
	return strings.Join(append(statements, "COMMIT"), ";")
}

// publish takes a snapshot of an index file and a list of attachments, after change had its way with what it says.
func (w *writer) publish(name, index string, list []snapshot.Attachment, change func(*snapshot.Root)) {
	w.t.Helper()
	err := func() error {
		ctx, at := w.t.Context(), time.Now()
		j, err := snapshot.OpenJournal(filepath.Join(w.cache, name+".bolt"))
		if err != nil {
			return err
		}
		defer j.Close()
		s, err := snapshot.Begin(ctx, w.repo(repo.Credentials{Writer: w.keys.Writer}), j, name, "h", at, snapshot.NoProgress{})
		if err != nil {
			return err
		}
		all := func() iter.Seq2[snapshot.Attachment, error] { return noErrors(list) }
		var d snapshot.Difference
		if _, err := s.Store(ctx, sameFile{}, s.Missing(ctx, all(), &d)); err != nil {
			return err
		}
		root := &snapshot.Root{Time: at, Host: "h", Counts: snapshot.Counts{Instances: int64(len(list)), Attachments: int64(len(list)), Bytes: int64(len(list) * len(fileText))}}
		if root.Manifest, err = s.StoreManifest(ctx, all(), d); err != nil {
			return err
		}
		if root.Index, _, err = s.StoreIndex(ctx, index); err != nil {
			return err
		}
		if root.Files, err = s.StoreFiles(ctx, snapshot.Files{}); err != nil {
			return err
		}
		if change != nil {
			change(root)
		}
		if err := s.Publish(ctx, root); err != nil {
			return err
		}
		w.names[root.Short()] = name
		return s.End(ctx, true, at)
	}()
	if err != nil {
		w.t.Fatalf("%s: %v", name, err)
	}
}

func noErrors[T any](list []T) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for _, v := range list {
			if !yield(v, nil) {
				return
			}
		}
	}
}

// check returns what is wrong with the indexes of an arc, by the names of their snapshots, and how many were looked at.
func (w *writer) check(arc repo.Arc) (map[string]string, int) {
	w.t.Helper()
	r := w.repo(repo.Credentials{Recovery: w.keys.Recovery})
	roots, err := snapshot.Roots(w.t.Context(), r)
	if err != nil {
		w.t.Fatal(err)
	}
	scratch := filepath.Join(w.cache, "scratch")
	n, problems, err := orthanc.CheckIndexes(w.t.Context(), r, roots, arc, scratch, snapshot.NoProgress{})
	if err != nil {
		w.t.Fatal(err)
	}
	if left, err := os.ReadDir(scratch); err != nil || len(left) > 0 {
		w.t.Errorf("%d things are left in the scratch folder, %v", len(left), err)
	}
	found := map[string]string{}
	for _, p := range problems {
		found[w.names[p.Snapshot]] += p.Detail
	}
	return found, n
}

// TestCheckIndexes publishes what an honest writer would not, and what a broken disk of the server might have made of an index.
func TestCheckIndexes(t *testing.T) {
	w := &writer{newRepository(t), map[string]string{}}
	list := attachments(400)
	index := func(statements ...string) string {
		dir := t.TempDir()
		makeIndex(t, dir, append([]string{rows(list)}, statements...)...)
		return filepath.Join(dir, "index")
	}
	changed := func(change func([]byte)) string {
		path := index()
		b, err := os.ReadFile(path)
		if err == nil {
			change(b)
			err = os.WriteFile(path, b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		return path
	}
	stated := slices.Clone(list)
	stated[5].HasMD5 = true
	tests := []struct {
		name   string
		index  string
		list   []snapshot.Attachment
		change func(*snapshot.Root)
		says   string // "" when nothing is wrong
	}{
		{"whole", index(), list, nil, ""},
		{"whole again", index(), list, nil, ""},
		{"log mode", index("PRAGMA journal_mode=WAL", "PRAGMA wal_checkpoint(TRUNCATE)"), list, nil, ""},
		{"pages exchanged", changed(func(b []byte) {
			n := len(b)
			last := bytes.Clone(b[n-4096:])
			copy(b[n-4096:], b[n-8192:n-4096])
			copy(b[n-8192:], last)
		}), list, nil, "index copy is damaged"},
		{"page of zeros", changed(func(b []byte) { clear(b[len(b)-4096:]) }), list, nil, "index copy is damaged"},
		{"not a database", changed(func(b []byte) { b[18] = 9 }), list, nil, "not an SQLite database"},
		// quick_check does not see it.
		{"rows missing in an index", index("PRAGMA writable_schema=ON; UPDATE sqlite_schema SET sql = 'CREATE INDEX ChildrenIndex ON Resources(internalId)' WHERE name = 'ChildrenIndex'"),
			list, nil, "index copy is damaged"},
		{"no table", index("DROP TABLE MainDicomTags"), list, nil, "no table MainDicomTags"},
		{"no column", index("ALTER TABLE DicomIdentifiers DROP COLUMN value"), list, nil, "no such column: value"},
		{"attachment not in the manifest", index(), list[:399], func(r *snapshot.Root) {
			r.Counts = snapshot.Counts{Instances: 400, Attachments: 400, Bytes: 2000}
		}, "attachment " + list[399].UUID.String() + " is not in the manifest"},
		{"attachment not in the index", index("DELETE FROM AttachedFiles WHERE id = 399"), list, func(r *snapshot.Root) {
			r.Counts = snapshot.Counts{Instances: 400, Attachments: 399, Bytes: 1995}
		}, "attachment " + list[399].UUID.String() + " of the manifest is not in the index"},
		{"other MD5", index("UPDATE AttachedFiles SET compressedMD5 = '00112233445566778899aabbccddeeff' WHERE id = 5"), stated, nil, "attachment " + list[5].UUID.String()},
		{"other size", index("UPDATE AttachedFiles SET uncompressedSize = 7 WHERE id = 6"), list, nil, "attachment " + list[6].UUID.String()},
		{"other counts", index(), list, func(r *snapshot.Root) { r.Counts.Studies++ }, "Studies:0"},
		{"other hash", index(), list, func(r *snapshot.Root) { r.Index.Hash = strings.Repeat("0", 64) }, "not what was backed up"},
	}
	for _, test := range tests {
		w.publish(test.name, test.index, test.list, test.change)
	}
	all, n := w.check(repo.All())
	if n != len(tests) {
		t.Fatalf("%d of %d indexes were looked at", n, len(tests))
	}
	for _, test := range tests {
		if said := all[test.name]; (said == "") != (test.says == "") || !strings.Contains(said, test.says) || strings.Contains(said, "\n") {
			t.Errorf("%s: %q, want %q", test.name, said, test.says)
		}
	}
	// In arcs, what is wrong is found once in a round, and nothing else.
	times, looked := map[string]int{}, 0
	at := uint64(5) << 59
	for range 4 {
		arc := repo.NewArc(at, 0.25)
		at = arc.End()
		found, n := w.check(arc)
		looked += n
		for name := range found {
			times[name]++
		}
	}
	if looked != len(w.names) || len(times) != len(all) {
		t.Errorf("%d of %d indexes were looked at in a round, %d of %d wrong ones were found", looked, len(w.names), len(times), len(all))
	}
}

// TestCheckIndexesOfARealServer: nothing is wrong with what a backup stores, over several nights.
func TestCheckIndexesOfARealServer(t *testing.T) {
	s := newSite(t, orthanctest.Options{})
	w := &writer{s, map[string]string{}}
	for night := range 3 {
		s.upload(uint64(night+1), 20)
		if _, err := s.backup(s.options(orthanc.ModeFreeze)); err != nil {
			t.Fatal(err)
		}
	}
	if found, n := w.check(repo.All()); n != 3 || len(found) > 0 {
		t.Errorf("%d indexes, %v", n, found)
	}
}

// TestCheckIndexesIsCancelled, and leaves nothing in clear behind.
func TestCheckIndexesIsCancelled(t *testing.T) {
	w := &writer{newRepository(t), map[string]string{}}
	for n := range 3 {
		dir := t.TempDir()
		makeIndex(t, dir, rows(attachments(20+n)))
		w.publish(fmt.Sprint(n), filepath.Join(dir, "index"), attachments(20+n), nil)
	}
	r := w.repo(repo.Credentials{Recovery: w.keys.Recovery})
	roots, err := snapshot.Roots(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	scratch := t.TempDir()
	if _, _, err := orthanc.CheckIndexes(ctx, r, roots, repo.All(), scratch, cancelAtFirst{cancel: cancel}); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled check: %v", err)
	}
	if left, err := os.ReadDir(scratch); err != nil || len(left) > 0 {
		t.Errorf("%d things are left in the scratch folder, %v", len(left), err)
	}
}

// cancelAtFirst ends a context at the first item.
type cancelAtFirst struct {
	snapshot.NoProgress
	cancel func()
}

func (c cancelAtFirst) Add(_, _ int64) { c.cancel() }

package snapshot

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"testing"
	"time"

	"github.com/orthokeep/orthokeep/chunk"
	"github.com/orthokeep/orthokeep/repo"
)

// Whoever holds a writer key can seal whatever they like. These tests seal roots and lists that are wrong somewhere: what reads them returns
// an error or what is right, and takes neither for ever nor all memory.

// variants yields copies of a JSON document that differ from it in one value.
func variants(t *testing.T, doc []byte, visit func(path string, changed []byte)) {
	t.Helper()
	var root any
	if err := json.Unmarshal(doc, &root); err != nil {
		t.Fatal(err)
	}
	put := func(path string, set func(any), old any, values ...any) {
		for _, v := range values {
			set(v)
			changed, err := json.Marshal(root)
			if err != nil {
				t.Fatal(err)
			}
			visit(fmt.Sprintf("%s = %.40v", path, v), changed)
		}
		set(old)
	}
	var walk func(path string, v any, set func(any))
	walk = func(path string, v any, set func(any)) {
		switch v := v.(type) {
		case map[string]any:
			for k, child := range v {
				walk(path+"."+k, child, func(x any) { v[k] = x })
			}
			put(path, set, v, nil, "text")
		case []any:
			for i, child := range v {
				walk(fmt.Sprintf("%s[%d]", path, i), child, func(x any) { v[i] = x })
			}
			if len(v) > 0 {
				put(path, set, v, v[1:], append(append([]any{}, v...), v[0]), bytes.Split(bytes.Repeat([]byte("x,"), 99), []byte(",")))
			}
		case string:
			values := []any{"", v + "0", 7}
			for _, i := range []int{0, 40, len(v) - 1} {
				if i >= 0 && i < len(v) {
					b := []byte(v)
					b[i] ^= 1
					values = append(values, string(b))
				}
			}
			put(path, set, v, values...)
		case float64:
			put(path, set, v, v+1, v-1, 0, -1, math.MaxInt64/2, "text")
		}
	}
	walk("", root, func(x any) { root = x })
}

// publish seals a root under a name of its own; tampered is what takes its name away.
func (tr *trial) publish(r *repo.Repository, body []byte) (name string, err error) {
	name = repo.StampedName(now)
	var fields map[string]any
	if err := json.Unmarshal(body, &fields); err != nil {
		return name, r.PutObject(tr.t.Context(), repo.KindRoot, rootsPrefix+name, body)
	}
	if _, ok := fields["id"].(string); ok {
		fields["id"] = name[len(name)-32:]
	}
	if body, err = json.Marshal(fields); err != nil {
		return "", err
	}
	return name, r.PutObject(tr.t.Context(), repo.KindRoot, rootsPrefix+name, body)
}

// readAll runs whatever reads a root, and says how many gave an error. A restore that gives none gives what is right.
func (tr *trial) readAll(r *repo.Repository, name string) (failed int, err error) {
	ctx := tr.t.Context()
	root, err := ReadRoot(ctx, r, name)
	if err != nil {
		return 1, nil
	}
	count := func(err error) {
		if err != nil {
			failed++
		}
	}
	problems, checkErr := Check(ctx, r, []*Root{root})
	if count(checkErr); len(problems) > 0 {
		failed++
	}
	_, err = FindHeadUse(ctx, r, []*Root{root})
	count(err)
	_, err = FindOwn(ctx, r, []*Root{root})
	count(err)
	for _, err := range ListAttachments(ctx, r, root) {
		count(err)
	}
	var one bytes.Buffer
	key := tr.list[len(tr.list)-1]
	if err := CopyAttachment(ctx, r, root, key.Key(), &one); err != nil {
		failed++
	} else if !bytes.Equal(one.Bytes(), tr.files[key.UUID]) {
		return failed, fmt.Errorf("a file is copied that differs, without an error")
	}
	s := tr.must[len(tr.must)-1]
	s.root = root
	if err := restores(ctx, r, s); err != nil {
		failed++
	}
	return failed, nil
}

// TestTamperedRoots changes every value of a root.
func TestTamperedRoots(t *testing.T) {
	tr, _ := toRead(t)
	r := tr.reader()
	defer r.Close()
	name := tr.must[len(tr.must)-1].root.Name()
	body, err := r.GetObject(t.Context(), repo.KindRoot, rootsPrefix+name)
	if err != nil {
		t.Fatal(err)
	}
	if failed, err := tr.readAll(r, name); failed > 0 || err != nil {
		t.Fatalf("%d readers fail before anything is changed, %v", failed, err)
	}
	tried, noticed := 0, 0
	variants(t, body, func(path string, changed []byte) {
		if tried++; tried%crashStride() != 0 {
			return
		}
		name, err := tr.publish(r, changed)
		if err != nil {
			t.Fatal(err)
		}
		failed, err := tr.readAll(r, name)
		if err != nil {
			t.Errorf("%s: %v", path, err)
		}
		if failed > 0 {
			noticed++
		}
		if err := tr.st.Delete(t.Context(), rootsPrefix+name); err != nil {
			t.Fatal(err)
		}
	})
	t.Logf("%d changes of a root, %d noticed", tried, noticed)
	if noticed < tried/3/crashStride() {
		t.Errorf("only %d of %d changes are noticed", noticed, tried)
	}
}

// TestTamperedLists changes the bytes of what a root names: entries, blocks and heads of its manifest, pages and hashes of its index, and the list
// of extra files.
func TestTamperedLists(t *testing.T) {
	tr, _ := toRead(t)
	ctx := t.Context()
	r := tr.reader()
	defer r.Close()
	run, err := r.Begin(ctx, repo.RunInfo{Kind: "backup", Started: now})
	if err != nil {
		t.Fatal(err)
	}
	body, err := r.GetObject(ctx, repo.KindRoot, rootsPrefix+tr.must[len(tr.must)-1].root.Name())
	if err != nil {
		t.Fatal(err)
	}
	tried, noticed := 0, 0
	for i := range lists {
		root, err := parseRoot("x-"+idOf(t, body), body)
		if err != nil {
			t.Fatal(err)
		}
		of, class := root.list(i)
		plain, err := io.ReadAll(newStreamReader(ctx, r, class, *of))
		if err != nil {
			t.Fatal(err)
		}
		for _, bad := range spoilt(plain) {
			if tried++; tried%crashStride() != 0 {
				continue
			}
			if *of, err = storeStream(ctx, run, r.Polynomial(), chunk.Stream, class, bytes.NewReader(bad)); err != nil {
				t.Fatal(err)
			}
			if err := run.Checkpoint(ctx); err != nil {
				t.Fatal(err)
			}
			changed, err := json.Marshal(root) // marshal would refuse it
			if err != nil {
				t.Fatal(err)
			}
			name, err := tr.publish(r, changed)
			if err != nil {
				t.Fatal(err)
			}
			failed, _ := tr.readAll(r, name) // lists say what an attachment is: other ones are about other attachments
			if failed > 0 {
				noticed++
			}
			if err := tr.st.Delete(ctx, rootsPrefix+name); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Logf("%d changes of lists, %d noticed", tried, noticed)
	if noticed < tried/2/crashStride() {
		t.Errorf("only %d of %d changes are noticed", noticed, tried)
	}
}

const (
	listEntries = iota
	listBlocks
	listHeads
	listHashes
	listPages
	listFiles
	lists // of a root
)

// tampered publishes a copy of the newest snapshot with one of its lists changed.
func (tr *trial) tampered(r *repo.Repository, list int, change func([]byte) []byte) *Root {
	tr.t.Helper()
	ctx := tr.t.Context()
	body, err := r.GetObject(ctx, repo.KindRoot, rootsPrefix+tr.must[len(tr.must)-1].root.Name())
	if err != nil {
		tr.t.Fatal(err)
	}
	root, err := parseRoot("x-"+idOf(tr.t, body), body)
	if err != nil {
		tr.t.Fatal(err)
	}
	of, class := root.list(list)
	plain, err := io.ReadAll(newStreamReader(ctx, r, class, *of))
	if err != nil {
		tr.t.Fatal(err)
	}
	run, err := r.Begin(ctx, repo.RunInfo{Kind: "backup", Started: now})
	if err != nil {
		tr.t.Fatal(err)
	}
	*of, err = storeStream(ctx, run, r.Polynomial(), chunk.Stream, class, bytes.NewReader(change(plain)))
	if err := errors.Join(err, run.Checkpoint(ctx), run.End(ctx, repo.Abandoned, now)); err != nil {
		tr.t.Fatal(err)
	}
	root.Counter++                     // the next backup builds on it
	changed, err := json.Marshal(root) // marshal would refuse it
	if err != nil {
		tr.t.Fatal(err)
	}
	name, err := tr.publish(r, changed)
	if err != nil {
		tr.t.Fatal(err)
	}
	if root, err = ReadRoot(ctx, r, name); err != nil {
		tr.t.Fatal(err)
	}
	return root
}

// list returns the i-th of them.
func (r *Root) list(i int) (*Stream, repo.Class) {
	newest := &r.Manifest.Layers[len(r.Manifest.Layers)-1]
	index := &r.Index.Layers[len(r.Index.Layers)-1]
	return []*Stream{&newest.Entries, &newest.Blocks, &newest.Heads, &index.Hashes, &index.Pages, &r.Files.List}[i], []repo.Class{repo.Structure, repo.Structure, repo.Structure, repo.Structure, repo.Content, repo.Content}[i]
}

func idOf(t testing.TB, body []byte) string {
	t.Helper()
	var head struct{ ID string }
	if err := json.Unmarshal(body, &head); err != nil {
		t.Fatal(err)
	}
	return head.ID
}

// spoilt are some wrong versions of a list: shorter, longer, doubled, and with a byte changed in each of a hundred places.
func spoilt(plain []byte) (out [][]byte) {
	cut := func(n int) []byte { return bytes.Clone(plain[:max(0, min(n, len(plain)))]) }
	out = append(out, cut(len(plain)-1), cut(len(plain)/2), cut(1), append(cut(len(plain)), 0), append(cut(len(plain)), plain...))
	step := max(1, len(plain)/100)
	for i := 0; i < len(plain); i += step {
		for _, flip := range []byte{1, 0xff} {
			b := cut(len(plain))
			b[i] ^= flip
			out = append(out, b)
		}
	}
	return out
}

// TestBackupOnTamperedParent: a backup that finds its parent wrong says so, or takes a snapshot that restores.
func TestBackupOnTamperedParent(t *testing.T) {
	keys := testKeys(t)
	base, disk, err := prepared(t, operation{prepare: nightsToRead}, keys)
	if err != nil {
		t.Fatal(err)
	}
	base.st, err = (writer{}).open(disk, base)
	if err != nil {
		t.Fatal(err)
	}
	parent := base.must[len(base.must)-1].root
	body, err := base.reader().GetObject(t.Context(), repo.KindRoot, rootsPrefix+parent.Name())
	if err != nil {
		t.Fatal(err)
	}
	tried, refused := 0, 0
	variants(t, body, func(path string, changed []byte) {
		if tried++; tried%(2*faultStride()+1) != 0 {
			return
		}
		fsys := disk.Crash(1)
		tr, err := base.with(nil)
		if err != nil {
			t.Fatal(err)
		}
		defer tr.discard()
		if tr.st, err = (writer{}).open(fsys, tr); err != nil {
			t.Fatal(err)
		}
		tr.nights++
		if err := tr.age(cacheAbsent, ""); err != nil { // it knows what the last snapshot was
			t.Fatal(err)
		}
		if _, err := tr.publish(tr.reader(), later(t, changed, parent)); err != nil {
			t.Fatal(err)
		}
		tr.addBulk(1)
		before := len(tr.must)
		if err := tr.night(2, 2); err != nil {
			refused++
			return
		}
		for _, s := range tr.must[before-1:] {
			if err := restores(t.Context(), tr.reader(), s); err != nil {
				t.Errorf("%s: a snapshot was published that does not restore: %v", path, err)
			}
		}
	})
	t.Logf("%d parents, %d refused", tried, refused)
	if refused == 0 {
		t.Error("no parent was refused")
	}
}

// later makes a root its server's newest.
func later(t *testing.T, body []byte, than *Root) []byte {
	t.Helper()
	var fields map[string]any
	if err := json.Unmarshal(body, &fields); err != nil {
		return body
	}
	if _, ok := fields["counter"].(float64); ok {
		fields["counter"], fields["time"] = than.Counter+1, than.Time.Add(time.Hour)
	}
	out, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

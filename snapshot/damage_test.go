package snapshot

import (
	"bytes"
	"cmp"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/tabwriter"

	"github.com/orthokeep/orthokeep/repo"
	"github.com/orthokeep/orthokeep/repo/storage"
)

// damageTrials is how many random places are damaged: ORTHOKEEP_DAMAGE, or few.
func damageTrials() int {
	if n, err := strconv.Atoi(os.Getenv("ORTHOKEEP_DAMAGE")); err == nil {
		return n
	}
	if raceEnabled || testing.Short() {
		return 40
	}
	return 150
}

// site is a repository in a real folder, with all that was ever acknowledged in it.
type site struct {
	*world
	dir   string
	saved []state
	files map[string][]byte // of the repository, as they are to be
}

// newSite makes three nights of a small server, with a prune and a label.
func newSite(t *testing.T, parity int) *site {
	dir := filepath.Join(memoryDir(t), "repo")
	st, err := storage.Create(dir)
	if err != nil {
		t.Fatal(err)
	}
	s := &site{world: newServer(t, st, testKeys(t)), dir: dir, files: map[string][]byte{}}
	s.parity = parity
	s.add(12, 1500)
	s.add(2, 200_000)
	if err := s.init(); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		root := s.mustBackup()
		s.saved = append(s.saved, s.state(root))
		s.add(3, 900)
		s.add(1, 70_000)
		s.remove(s.rnd.IntN(len(s.list)))
	}
	if err := SetLabel(t.Context(), s.writer(), s.saved[1].root, func(l *Label) { l.Held = true }); err != nil {
		t.Fatal(err)
	}
	s.mustPrune(10)
	for name, data := range s.stored() {
		s.files[name] = data
	}
	return s
}

// stored are the files of the repository.
func (s *site) stored() map[string][]byte {
	s.t.Helper()
	all := map[string][]byte{}
	err := filepath.WalkDir(s.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(s.dir, path)
		if err == nil {
			all[filepath.ToSlash(name)], err = os.ReadFile(path)
		}
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return all
}

// reset makes the repository what it was.
func (s *site) reset() {
	s.t.Helper()
	for name := range s.stored() {
		if s.files[name] == nil {
			s.remove1(name)
		}
	}
	for name, data := range s.files {
		s.write(name, data)
	}
	s.fresh()
}

func (s *site) path(name string) string { return filepath.Join(s.dir, filepath.FromSlash(name)) }

func (s *site) write(name string, data []byte) {
	s.t.Helper()
	if old, err := os.ReadFile(s.path(name)); err == nil && bytes.Equal(old, data) {
		return
	}
	if err := os.WriteFile(s.path(name), data, 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) remove1(name string) {
	s.t.Helper()
	if err := os.Remove(s.path(name)); err != nil {
		s.t.Fatal(err)
	}
}

// fresh forgets the catalogue and the files that are open: nothing but the repository says anything.
func (s *site) fresh() {
	s.t.Helper()
	st, err := storage.Open(s.dir)
	if err != nil {
		s.t.Fatal(err)
	}
	s.st, s.cache = st, ""
}

// open opens the repository, which may be damaged, with the recovery key.
func (s *site) open() (*repo.Repository, error) {
	return repo.OpenDamaged(s.t.Context(), s.st, repo.Credentials{Recovery: s.keys.Recovery}, "")
}

// checked is what check --read-data finds: how many objects were healed, and an error when something is damaged.
func (s *site) checked() (healed int, err error) {
	ctx := s.t.Context()
	r, err := s.open()
	if err != nil {
		return 0, err
	}
	defer r.Close()
	report, err := r.Check(ctx, repo.CheckOptions{ReadData: repo.All()}, NoProgress{})
	if err != nil {
		return 0, err
	}
	for _, f := range report.Findings {
		switch {
		case f.Healed:
			healed++
		case f.Damage:
			err = cmp.Or(err, fmt.Errorf("%s: %s", f.Object, f.Detail))
		}
	}
	roots, bad := Roots(ctx, r)
	problems, checkErr := Check(ctx, r, roots)
	if len(problems) > 0 {
		err = cmp.Or(err, fmt.Errorf("snapshot %s: %s", problems[0].Snapshot, problems[0].Detail))
	}
	if len(roots) < len(s.saved) {
		err = cmp.Or(err, fmt.Errorf("%d snapshots instead of %d", len(roots), len(s.saved)))
	}
	return healed, cmp.Or(err, bad, checkErr)
}

// restored restores everything. It fails the test when other bytes come back than were saved, and returns an error when something does
// not come back at all.
func (s *site) restored() error {
	s.t.Helper()
	ctx := s.t.Context()
	r, err := s.open()
	if err != nil {
		return err
	}
	defer r.Close()
	for _, want := range s.saved {
		dir := memoryDir(s.t)
		defer os.RemoveAll(dir)
		root, rootErr := ReadRoot(ctx, r, want.root.Name())
		if rootErr != nil {
			err = cmp.Or(err, rootErr)
			continue
		}
		_, attachmentsErr := RestoreAttachments(ctx, r, root, Destination{Dir: dir, Place: UUID.String, Mode: 0o600}, NoProgress{})
		for u, data := range want.files {
			got, readErr := os.ReadFile(filepath.Join(dir, u.String()))
			if readErr == nil && !bytes.Equal(got, data) {
				s.t.Fatalf("attachment %s is restored with other bytes", u)
			}
			if readErr != nil && attachmentsErr == nil {
				s.t.Fatalf("attachment %s is not restored, and nothing says so", u)
			}
		}
		path := filepath.Join(dir, "index")
		indexErr := RestoreIndex(ctx, r, root, path)
		if got, _ := os.ReadFile(path); indexErr == nil && !bytes.Equal(got, want.index) {
			s.t.Fatal("the index is restored with other bytes")
		}
		err = cmp.Or(err, attachmentsErr, indexErr)
	}
	return err
}

// kindOfFile is the part of the repository that an object belongs to.
func kindOfFile(name string) string {
	if rest, ok := strings.CutPrefix(name, "parity/"); ok {
		return "parity of " + kindOfFile(rest)
	}
	return strings.Split(name, "/")[0]
}

// tally counts what became of damage, by kind of object and of damage.
type tally map[string]map[string]int

func (t tally) count(kind, what string) {
	if t[kind] == nil {
		t[kind] = map[string]int{}
	}
	t[kind][what]++
}

// log prints a table, with a column for each kind of blow.
func (t tally) log(tb testing.TB) {
	var columns []string
	for _, b := range blows {
		columns = append(columns, b.name)
	}
	var out strings.Builder
	w := tabwriter.NewWriter(&out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "\t%s\t\n", strings.Join(columns, "\t"))
	for _, kind := range slices.Sorted(maps.Keys(t)) {
		fmt.Fprint(w, kind)
		for _, c := range columns {
			fmt.Fprintf(w, "\t%d", t[kind][c])
		}
		fmt.Fprint(w, "\t\n")
	}
	w.Flush()
	tb.Logf("\n%s", out.String())
}

// A blow damages an object, and is nil where it cannot.
type blow struct {
	name string
	do   func(rnd *rand.Rand, data []byte) (damaged []byte)
}

var blows = []blow{
	{"bit flipped", func(rnd *rand.Rand, data []byte) []byte {
		b := bytes.Clone(data)
		b[rnd.IntN(len(b))] ^= 1 << rnd.IntN(8)
		return b
	}},
	{"sector lost", func(rnd *rand.Rand, data []byte) []byte {
		b := bytes.Clone(data)
		at := rnd.IntN((len(b)+4095)/4096) * 4096
		clear(b[at:min(at+4096, len(b))])
		return b
	}},
	{"cut", func(rnd *rand.Rand, data []byte) []byte { return data[:rnd.IntN(len(data))] }},
	{"grown", func(_ *rand.Rand, data []byte) []byte { return append(bytes.Clone(data), 0) }},
	{"deleted", func(*rand.Rand, []byte) []byte { return nil }},
}

// place is a random byte of the whole repository: large objects are hit more often.
func (s *site) place(rnd *rand.Rand, names []string) string {
	total := 0
	for _, name := range names {
		total += len(s.files[name])
	}
	at := rnd.IntN(total)
	for _, name := range names {
		if at -= len(s.files[name]); at < 0 {
			return name
		}
	}
	panic("beyond the end")
}

// campaign deals each kind of blow to random places, half of them chosen by bytes and half by objects, and calls outcome with each.
func (s *site) campaign(outcome func(kind, what, name string)) {
	s.t.Helper()
	rnd := rand.New(rand.NewPCG(4, 4))
	names := slices.Sorted(maps.Keys(s.files))
	for i := range damageTrials() {
		name := names[rnd.IntN(len(names))]
		if i%2 == 0 {
			name = s.place(rnd, names)
		}
		b := blows[0]
		if i%3 == 0 { // two thirds are bits
			b = blows[1+i/3%(len(blows)-1)]
		}
		damaged := b.do(rnd, s.files[name])
		if damaged == nil {
			s.remove1(name)
		} else if s.write(name, damaged); bytes.Equal(damaged, s.files[name]) {
			continue
		}
		s.fresh()
		outcome(kindOfFile(name), b.name, name)
		s.reset()
	}
}

// TestDamageIsFound: without parity every damage is found by check --read-data, and none comes back from a restore. What is deleted
// and says nothing that anybody needs is not missed: ended runs, labels, settings.
func TestDamageIsFound(t *testing.T) {
	s := newSite(t, 0)
	if _, err := s.checked(); err != nil {
		t.Fatal("before any damage:", err)
	}
	found, silent := tally{}, tally{}
	s.campaign(func(kind, what, name string) {
		restoreErr := s.restored()
		healed, err := s.checked() // an epoch key by its other copy
		switch {
		case err != nil || healed > 0:
			found.count(kind, what)
		case what == "deleted" && (kind == "runs" || kind == "labels" || kind == "settings") && restoreErr == nil:
			silent.count(kind, what)
		default:
			t.Errorf("%s: %s: not found (restore: %v)", name, what, restoreErr)
		}
	})
	t.Log("found by check --read-data:")
	found.log(t)
	t.Log("not missed by anybody:")
	silent.log(t)
}

// TestDamageIsHealed: with parity of 5 % every flipped bit and every lost sector is healed, in memory by a restore, in its place by check. So is whatever else
// leaves enough of an object and of its parity: a small object that is cut or deleted.
func TestDamageIsHealed(t *testing.T) {
	s := newSite(t, 5)
	if healed, err := s.checked(); err != nil || healed > 0 {
		t.Fatal("before any damage:", healed, err)
	}
	healed, found := tally{}, tally{}
	s.campaign(func(kind, what, name string) {
		restoreErr := s.restored()
		n, err := s.checked()
		if err == nil && n > 0 {
			if restoreErr != nil && what != "deleted" && what != "cut" {
				t.Errorf("%s: %s: check heals it, a restore does not: %v", name, what, restoreErr)
			}
			if got, readErr := os.ReadFile(s.path(name)); readErr != nil || !bytes.Equal(got, s.files[name]) && !strings.HasPrefix(name, "epochs/") {
				t.Errorf("%s: %s: check says it is healed, and it is another (%v)", name, what, readErr)
			}
			if again, err := s.checked(); err != nil || again > 0 {
				t.Errorf("%s: %s: healed, and then %d, %v", name, what, again, err)
			}
			healed.count(kind, what)
			return
		}
		switch {
		case what == "bit flipped" || what == "sector lost":
			t.Errorf("%s: %s: not healed (%d, %v)", name, what, n, err)
		case err != nil:
			found.count(kind, what)
		case strings.HasPrefix(name, "parity/") && what == "deleted" && restoreErr == nil: // repair writes it again
			found.count(kind, what)
		default:
			t.Errorf("%s: %s: not found", name, what)
		}
	})
	t.Log("healed by check:")
	healed.log(t)
	t.Log("found, and not healed:")
	found.log(t)
}

// damageAll damages every object of a kind beyond what its parity heals, and returns their names.
func (s *site) damageAll(prefix string) (names []string) {
	s.t.Helper()
	for name, data := range s.files {
		if strings.HasPrefix(name, prefix) {
			b := bytes.Clone(data)
			for i := range b[:len(b)/2] {
				b[len(b)/4+i] ^= 0x55
			}
			s.write(name, b)
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		s.t.Fatalf("there is no %s…", prefix)
	}
	s.fresh()
	return names
}

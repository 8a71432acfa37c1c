package snapshot

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/orthokeep/orthokeep/repo"
)

// repair repairs with the writer key alone or, when it reads the data, with the recovery key.
func (s *site) repair(o RepairOptions) *RepairSummary {
	s.t.Helper()
	with := repo.Credentials{Writer: s.keys.Writer}
	if o.ReadData {
		with = repo.Credentials{Recovery: s.keys.Recovery}
	}
	r, err := repo.OpenDamaged(s.t.Context(), s.st, with, "")
	if err != nil {
		s.t.Fatal(err)
	}
	defer r.Close()
	s.nights++
	o.Started = now.AddDate(0, 0, s.nights)
	sum, err := Repair(s.t.Context(), r, o, NoProgress{})
	if err != nil {
		s.t.Fatal(err)
	}
	return sum
}

// whole sees that nothing is damaged, and that everything restores.
func (s *site) whole() {
	s.t.Helper()
	if _, err := s.checked(); err != nil {
		s.t.Error("check:", err)
	}
	if err := s.restored(); err != nil {
		s.t.Error("restore:", err)
	}
	if _, err := repo.Open(s.t.Context(), s.st, repo.Credentials{Writer: s.keys.Writer}, ""); err != nil {
		s.t.Error("open:", err)
	}
}

// backupAgain takes a snapshot on a new host, and remembers it.
func (s *site) backupAgain() *Root {
	s.t.Helper()
	s.cache = memoryDir(s.t)
	root := s.mustBackup()
	s.saved = append(s.saved, s.state(root))
	return root
}

// packsOf are the names of the packs of a class, the largest first.
func (s *site) packsOf(class repo.Class) (names []string) {
	for name, data := range s.files {
		if strings.HasPrefix(name, "packs/") && data[5] == byte(class) {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, func(a, b string) int { return len(s.files[b]) - len(s.files[a]) })
	return names
}

// spoil turns a byte of an object round.
func (s *site) spoil(name string, at int) {
	s.t.Helper()
	b := bytes.Clone(s.files[name])
	b[at] ^= 0x10
	s.write(name, b)
	s.fresh()
}

// TestRepairLostSegments: packs alone say what segments said.
func TestRepairLostSegments(t *testing.T) {
	for what, lose := range map[string]func(s *site){
		"damaged": func(s *site) { s.damageAll("segments/") },
		"deleted": func(s *site) {
			for name := range s.files {
				if strings.HasPrefix(name, "segments/") {
					s.remove1(name)
				}
			}
			s.fresh()
		},
	} {
		t.Run(what, func(t *testing.T) {
			s := newSite(t, 0)
			lose(s)
			if _, err := s.checked(); err == nil {
				t.Fatal("check finds nothing")
			}
			sum := s.repair(RepairOptions{})
			if sum.Repo.Found == 0 || len(sum.Losses)+len(sum.Left) > 0 {
				t.Errorf("%+v", sum)
			}
			s.whole()
			s.backupAgain()
			s.mustPrune(10)
			s.mustPrune(10)
			s.whole()
			for name := range s.stored() {
				if strings.HasPrefix(name, "quarantine/") {
					t.Errorf("%s is left", name)
				}
			}
		})
	}
}

// TestRepairLostSegmentsOfDamagedPack: a pack that is listed again and damaged is not relied on.
func TestRepairLostSegmentsOfDamagedPack(t *testing.T) {
	s := newSite(t, 0)
	for name := range s.files {
		if strings.HasPrefix(name, "segments/") {
			s.remove1(name)
		}
	}
	s.spoil(s.packsOf(repo.Content)[0], 5000)
	sum := s.repair(RepairOptions{ReadData: true})
	if sum.Repo.Found == 0 || sum.Repo.Packs != 1 || sum.Repo.Moved == 0 || sum.Repo.Lost != 1 {
		t.Errorf("%+v", sum.Repo)
	}
	s.backupAgain()
	s.verify(s.saved[len(s.saved)-1])
}

// TestRepairDamagedContent: of a damaged pack of content the next backup stores again what the server has, and what is whole in it is
// saved where the recovery key is there. The rest is named.
func TestRepairDamagedContent(t *testing.T) {
	for _, readData := range []bool{false, true} {
		s := newSite(t, 0)
		packs := s.packsOf(repo.Content)
		s.spoil(packs[0], 5000)
		if _, err := s.checked(); err == nil {
			t.Fatal("check finds nothing")
		}
		sum := s.repair(RepairOptions{ReadData: readData})
		if sum.Repo.Packs != 1 || readData != (sum.Repo.Moved > 0) || readData != (sum.Repo.Lost == 1) || readData == (sum.Repo.InDanger > 0) || len(sum.Losses) == 0 {
			t.Errorf("read data %v: %+v", readData, sum.Repo)
		}
		for _, loss := range sum.Losses {
			if len(loss.Attachments) == 0 && len(loss.Parts) == 0 {
				t.Errorf("nothing is named: %+v", loss)
			}
		}
		if err := s.restored(); err == nil {
			t.Error("what is lost restores")
		}
		before := s.opened.Load()
		root := s.backupAgain()
		if s.opened.Load() == before {
			t.Error("the backup read nothing again")
		}
		s.fresh()
		r := s.reader()
		problems, err := Check(t.Context(), r, []*Root{root})
		if err != nil || len(problems) > 0 {
			t.Errorf("the new snapshot: %v %v", problems, err)
		}
		s.verify(s.saved[len(s.saved)-1])
		// One more repair finds nothing new, and prune goes on.
		if again := s.repair(RepairOptions{ReadData: readData}); again.Repo.Packs != 1 || again.Repo.Moved > 0 {
			t.Errorf("a second repair: %+v", again.Repo)
		}
		s.mustPrune(1)
		s.mustPrune(1)
		s.mustPrune(1)
		s.saved = slices.DeleteFunc(s.saved, func(st state) bool { return st.root.Name() != root.Name() && st.root != s.saved[1].root })
		for name := range s.stored() {
			if name == packs[0] && readData {
				t.Error("the damaged pack is still there, though nothing in it is needed")
			}
		}
	}
}

// TestRepairLostPack: a pack that is gone is known to be lost; the next backup brings back what the server has, in the same blobs, so that earlier
// snapshots are whole again as far as they share them.
func TestRepairLostPack(t *testing.T) {
	s := newSite(t, 0)
	for _, name := range s.packsOf(repo.Content) {
		s.remove1(name)
	}
	s.fresh()
	sum := s.repair(RepairOptions{})
	if sum.Repo.Packs == 0 || sum.Repo.Lost == 0 || sum.Repo.InDanger != 0 || len(sum.Losses) != len(s.saved) {
		t.Errorf("%+v", sum.Repo)
	}
	lost := func() (n int) {
		r := s.reader()
		roots, err := Roots(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		c := newRootChecker(t.Context(), r)
		if err := c.all(roots); err != nil {
			t.Fatal(err)
		}
		for _, l := range c.lost {
			n += len(l.Attachments)
		}
		return n
	}
	before := lost()
	s.backupAgain()
	s.verify(s.saved[len(s.saved)-1])
	s.fresh()
	if after := lost(); after >= before || after == 0 {
		t.Errorf("%d attachments were lost, %d are after a backup", before, after)
	}
	s.verify(s.saved[len(s.saved)-1])
}

// TestBackupHealsHeads: the heads of attachments that the server still has are stored again in the very chunks that were lost, so
// that the attachments of earlier snapshots are whole again, without exception.
func TestBackupHealsHeads(t *testing.T) {
	s := newSite(t, 0)
	for len(s.list) > 0 {
		s.remove(0)
	}
	s.backupAgain() // with nothing that may be deleted
	first := len(s.saved)
	for range 3 {
		s.add(300, 6000)
		s.add(1, 300_000)
		s.backupAgain()
	}
	s.files = s.stored()
	for _, name := range s.packsOf(repo.Content) {
		s.remove1(name)
	}
	s.fresh()
	if sum := s.repair(RepairOptions{}); sum.Repo.Lost == 0 {
		t.Errorf("%+v", sum.Repo)
	}
	s.backupAgain()
	s.fresh()
	r := s.reader()
	for _, st := range s.saved[first:] {
		dir := memoryDir(t)
		res, err := RestoreAttachments(t.Context(), r, st.root, Destination{Dir: dir, Place: UUID.String, Mode: 0o600}, NoProgress{})
		if err != nil || res.Attachments != int64(len(st.files)) {
			t.Errorf("snapshot %s: %d of %d attachments, %v", st.root.Name(), res.Attachments, len(st.files), err)
		}
	}
}

// TestRepairLostStructure: without the manifests of earlier snapshots a backup begins anew, and prune goes on when they are given up.
func TestRepairLostStructure(t *testing.T) {
	s := newSite(t, 0)
	for _, name := range s.packsOf(repo.Structure) {
		s.remove1(name)
	}
	s.fresh()
	sum := s.repair(RepairOptions{})
	if len(sum.Losses) != len(s.saved) {
		t.Errorf("%d snapshots are damaged, found %d", len(s.saved), len(sum.Losses))
	}
	for _, loss := range sum.Losses {
		if !loss.Unreadable() {
			t.Errorf("%s is said to be readable", loss.Root.Name())
		}
	}
	root := s.backupAgain()
	s.verify(s.saved[len(s.saved)-1])
	if _, err := s.prune(10); err == nil {
		t.Error("prune deletes, though nobody knows what is needed")
	}
	given := s.repair(RepairOptions{Forget: true}).Forgotten
	if len(given) == 0 || slices.Contains(given, root.Name()) { // what the backup has stored again may be all that one of them needs
		t.Errorf("given up: %v", given)
	}
	s.saved = slices.DeleteFunc(s.saved, func(st state) bool { return slices.Contains(given, st.root.Name()) })
	s.mustPrune(10)
	s.mustPrune(10)
	s.fresh()
	s.whole()
	if roots, err := Roots(t.Context(), s.writer()); err != nil || len(roots) != len(s.saved) {
		t.Errorf("%v, %v", roots, err)
	}
}

// TestRepairSmallObjects: everything else that may be damaged without parity leaves a repository that can be used.
func TestRepairSmallObjects(t *testing.T) {
	t.Run("label", func(t *testing.T) {
		s := newSite(t, 0)
		s.damageAll("labels/")
		sum := s.repair(RepairOptions{})
		if len(sum.Held) != 1 || sum.Held[0] != s.saved[1].root.Name() {
			t.Errorf("held: %v", sum.Held)
		}
		s.whole()
		s.mustPrune(1)
		s.fresh()
		if roots, err := Roots(t.Context(), s.writer()); err != nil || len(roots) != 2 || !roots[0].Held {
			t.Errorf("%v, %v", roots, err)
		}
	})
	t.Run("settings", func(t *testing.T) {
		s := newSite(t, 0)
		s.damageAll("settings/")
		sum := s.repair(RepairOptions{})
		if len(sum.Losses) > 0 {
			t.Errorf("%+v", sum)
		}
		s.restoredOK()
		s.backupAgain()
	})
	t.Run("root", func(t *testing.T) {
		s := newSite(t, 0)
		name := "snapshots/" + s.saved[0].root.Name()
		s.spoil(name, 40)
		if sum := s.repair(RepairOptions{}); !slices.Equal(sum.Left, []string{name}) {
			t.Errorf("%+v", sum)
		}
		if _, err := s.prune(1); err == nil {
			t.Error("prune deletes, though nobody knows what is needed")
		}
		if sum := s.repair(RepairOptions{Forget: true}); !slices.Equal(sum.Forgotten, []string{s.saved[0].root.Name()}) {
			t.Errorf("%+v", sum)
		}
		s.saved = s.saved[1:]
		s.mustPrune(10)
		s.fresh()
		s.whole()
		if _, err := os.Stat(s.path(name)); err == nil {
			t.Error("it is still there")
		}
	})
	t.Run("mark", func(t *testing.T) {
		s := newSite(t, 0)
		if err := SetLabel(t.Context(), s.writer(), s.saved[1].root, func(l *Label) { l.Held = false }); err != nil {
			t.Fatal(err)
		}
		for len(s.list) > 0 {
			s.remove(0)
		}
		s.add(3, 1000)
		s.backupAgain()
		s.mustPrune(1)
		s.files = s.stored()
		s.saved = s.saved[3:]
		s.damageAll("marks/")
		s.repair(RepairOptions{})
		s.whole()
		s.mustPrune(1)
		s.mustPrune(1)
		s.mustPrune(1)
		s.fresh()
		s.whole()
	})
	t.Run("epochs", func(t *testing.T) {
		s := newSite(t, 0)
		s.damageAll("epochs/")
		sum := s.repair(RepairOptions{ReadData: true})
		if len(sum.Losses) != 3 || len(sum.Left) > 0 {
			t.Errorf("%+v", sum)
		}
		s.backupAgain()
		s.verify(s.saved[len(s.saved)-1])
		given := s.repair(RepairOptions{Forget: true}).Forgotten // their index, at least
		s.saved = slices.DeleteFunc(s.saved, func(st state) bool { return slices.Contains(given, st.root.Name()) })
		s.mustPrune(1)
		s.mustPrune(1)
		s.mustPrune(1)
		s.fresh()
		for name := range s.stored() {
			if s.files[name] != nil && strings.HasPrefix(name, "epochs/") {
				t.Errorf("%s is still there", name)
			}
		}
	})
}

func (s *site) restoredOK() {
	s.t.Helper()
	if err := s.restored(); err != nil {
		s.t.Error(err)
	}
}

// TestRepairOfWhole: where nothing is damaged repair changes nothing, and writes parity where it is to be.
func TestRepairOfWhole(t *testing.T) {
	s := newSite(t, 0)
	if sum := s.repair(RepairOptions{}); sum.Repo.Healed+sum.Repo.Found+sum.Repo.Packs > 0 {
		t.Errorf("%+v", sum.Repo)
	}
	s.fresh()
	if err := s.writer().Change(t.Context(), repo.Settings{Parity: 5}); err != nil {
		t.Fatal(err)
	}
	if sum := s.repair(RepairOptions{}); sum.Repo.Parity < int64(len(s.files)) {
		t.Errorf("%d of %d objects got parity", sum.Repo.Parity, len(s.files))
	}
	name := s.packsOf(repo.Content)[0]
	s.spoil(name, 99)
	if healed, err := s.checked(); err != nil || healed != 1 {
		t.Errorf("%d healed, %v", healed, err)
	}
	s.whole()
}

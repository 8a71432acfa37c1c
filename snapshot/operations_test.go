package snapshot

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/orthokeep/orthokeep/repo"
	"github.com/orthokeep/orthokeep/repo/storage/faulty"
)

// operations are all that change a repository. One that is added here is crashed, failed and fed with damage at every request.
var operations = []operation{
	{name: "init", run: (*trial).initOnce},
	{name: "first backup", prepare: filled, run: func(tr *trial) error { return tr.night(0, 0) }},
	{name: "incremental backup", prepare: twoNights, run: func(tr *trial) error { tr.addBulk(1); tr.removeBulk(1); return tr.night(4, 3) }},
	{name: "continued backup", prepare: cutOff, run: func(tr *trial) error { return tr.night(2, 1) }},
	{name: "prune that gives up a run", prepare: cutOff, run: func(tr *trial) error { _, err := tr.pruneExpiring(1); return err }},
	{name: "prune", prepare: muchToPrune, run: func(tr *trial) error { _, err := tr.pruneTo(2); return err }},
	{name: "repair of damage that parity heals", prepare: damagedSlightly, run: func(tr *trial) error { return tr.repairOnce(false) }, heavy: true},
	{name: "repair of lost segments", prepare: withoutSegments, run: func(tr *trial) error { return tr.repairOnce(false) }, heavy: true, unsound: true},
	{name: "repair of damaged bulk, and the backup after it", prepare: damagedBulk, run: func(tr *trial) error { return errors.Join(tr.repairOnce(true), tr.snapshot()) }, heavy: true, unsound: true},
	{name: "parity for what has none", prepare: twoNights, run: func(tr *trial) error { tr.parity = 5; return tr.repairOnce(false) }, heavy: true},
}

// repairOnce repairs, with the recovery key or without. Where parity is to be and is not, it asks for it first.
func (tr *trial) repairOnce(readData bool) error {
	with := repo.Credentials{Writer: tr.keys.Writer}
	if readData {
		with = repo.Credentials{Recovery: tr.keys.Recovery}
	}
	r, err := repo.OpenDamaged(tr.context(), tr.st, with, tr.cache)
	if err != nil {
		return err
	}
	defer r.Close()
	if r.Settings().Parity != tr.parity {
		if err := r.Change(tr.context(), repo.Settings{Parity: tr.parity}); err != nil {
			return err
		}
	}
	tr.nights++
	_, err = Repair(tr.context(), r, RepairOptions{ReadData: readData, Started: now.AddDate(0, 0, tr.nights)}, NoProgress{})
	return err
}

// spoil replaces objects below a prefix by what change makes of them; nil deletes them.
func (tr *trial) spoil(prefix string, change func([]byte) []byte) error {
	for o, err := range tr.st.List(tr.context(), prefix) {
		if err != nil {
			return err
		}
		data, err := tr.st.Get(tr.context(), o.Name, o.Size)
		if err != nil {
			return err
		}
		if data = change(data); data == nil {
			err = tr.st.Delete(tr.context(), o.Name)
		} else {
			err = tr.st.Replace(tr.context(), o.Name, data)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func flipped(data []byte) []byte {
	data[len(data)/2] ^= 8
	return data
}

// damagedSlightly has parity, and a flipped bit in each object of each kind.
func damagedSlightly(tr *trial) error {
	tr.parity = 5
	err := twoNights(tr)
	for _, prefix := range []string{"config", "epochs/a/", "keys/", "packs/", segmentNames, "settings/", "snapshots/"} {
		err = errors.Join(err, tr.spoil(prefix, flipped))
	}
	return errors.Join(err, tr.spoil("parity/epochs/b/", flipped))
}

func withoutSegments(tr *trial) error {
	return errors.Join(twoNights(tr), tr.spoil(segmentNames, func([]byte) []byte { return nil }))
}

const segmentNames = "segments/"

// damagedBulk has a pack that is damaged where an attachment lies that the server has still.
func damagedBulk(tr *trial) error {
	err := errors.Join(filled(tr), tr.night(0, 0), tr.night(5, 0))
	damaged := false
	return errors.Join(err, tr.spoil("packs/", func(data []byte) []byte {
		if len(data) > bulkSize/2 && !damaged { // its first blob is bulk: nothing else is so long
			damaged = true
			data[100] ^= 8
		}
		return data
	}))
}

// cutOff leaves a backup that crashed when it had stored everything, and its root as pending: what is in no manifest yet, and a run that is under way.
func cutOff(tr *trial) error {
	if err := twoNights(tr); err != nil {
		return err
	}
	inner := tr.st
	crashing := faulty.Wrap(inner)
	tr.st = &hooked{crashing, func(operation, name string) {
		if operation == "put" && strings.HasPrefix(name, rootsPrefix) {
			crashing.FailChange(crashing.Changes(), faulty.CrashNotStored)
		}
	}}
	tr.addBulk(1)
	err := tr.night(3, 1)
	tr.st = inner
	if !errors.Is(err, faulty.ErrCrashed) {
		return fmt.Errorf("the backup was to crash: %w", err)
	}
	return nil
}

// pruneExpiring is pruneTo, which gives up all runs under way.
func (tr *trial) pruneExpiring(n int) (*PruneSummary, error) {
	tr.mayRemove(n)
	return tr.pruneWith(PruneOptions{Policy: Policy{Last: n}, Expire: true})
}

// initOnce makes the repository unless it is there.
func (tr *trial) initOnce() error {
	err := repo.Init(tr.context(), tr.st, tr.keys, repo.InitOptions{PackSize: 64 << 10, Created: now, Parity: tr.parity})
	if errors.Is(err, repo.ErrExists) {
		return nil
	}
	return err
}

// filled is a repository without a snapshot, and a server with attachments of several packs.
func filled(tr *trial) error {
	tr.add(10, 700)
	tr.addBulk(2)
	return tr.initOnce()
}

const bulkSize = 70_000

// addBulk adds large attachments; two of them, compressed, fill a pack.
func (tr *trial) addBulk(n int) {
	for range n {
		data := make([]byte, bulkSize)
		for i := range data {
			data[i] = byte(tr.rnd.IntN(14))
		}
		tr.addFile(data)
	}
}

// removeBulk deletes the oldest ones.
func (tr *trial) removeBulk(n int) {
	for i := 0; i < len(tr.list) && n > 0; i++ {
		if tr.list[i].Size == bulkSize {
			tr.delete(i)
			i, n = i-1, n-1
		}
	}
}

func twoNights(tr *trial) error {
	return errors.Join(filled(tr), tr.night(0, 0), tr.night(5, 4))
}

// muchToPrune leaves everything to the next prune to two snapshots: marks whose packs it deletes, segments that it replaces, snapshots and
// labels that it gives up, packs that it moves the rest of, and packs that it marks.
func muchToPrune(tr *trial) error {
	label := func() error {
		r, err := repo.Open(tr.context(), tr.st, repo.Credentials{Writer: tr.keys.Writer}, tr.cache)
		if err != nil {
			return err
		}
		defer r.Close()
		return SetLabel(tr.context(), r, tr.must[len(tr.must)-1].root, func(l *Label) { l.Tags = []string{"tag"} })
	}
	prune := func() error { _, err := tr.pruneTo(2); return err }
	if err := filled(tr); err != nil {
		return err
	}
	first := tr.night(0, 0)
	tr.removeBulk(2) // a pack of which nothing is left
	tr.addBulk(2)
	err := errors.Join(first, tr.night(5, 4), tr.night(3, 2), prune(), label())
	tr.removeBulk(1) // half a pack
	return errors.Join(err, tr.night(3, 3), tr.night(3, 2))
}

// The prune of the table does all that a prune may do.
func TestMuchToPrune(t *testing.T) {
	op := operations[slices.IndexFunc(operations, func(op operation) bool { return op.name == "prune" })]
	tr, disk, err := prepared(t, op, testKeys(t))
	if err != nil {
		t.Fatal(err)
	}
	if tr.st, err = (writer{}).open(disk, tr); err != nil {
		t.Fatal(err)
	}
	s, err := tr.pruneTo(2)
	if err != nil {
		t.Fatal(err)
	}
	if s.Removed != 2 || s.Space.Deleted == 0 || s.Space.Moved == 0 || s.Space.Waiting == 0 {
		t.Errorf("%+v", *s)
	}
	if names, err := tr.writer().ListObjects(t.Context(), labelsPrefix); err != nil || len(names) != 0 {
		t.Errorf("labels %v are left, %v", names, err)
	}
	if err := tr.sound(); err != nil {
		t.Error(err)
	}
}

package snapshot

import (
	"fmt"
	"os"
	"strconv"
	"testing"

	"github.com/orthokeep/orthokeep/repo"
	"github.com/orthokeep/orthokeep/repo/storage"
	"github.com/orthokeep/orthokeep/repo/storage/faulty"
)

// A campaign crashes before each change of files that an operation makes, and looks at what may be found afterwards.
type campaign struct {
	seeds  []int  // of what survives, tried at each crash; nil: one, another one each time
	stride int    // tries each so-many-th change
	writer writer // what stands between the operation and its files
	points int    // changes before which it crashed
	states int    // points times seeds
	trials int    // of these, those that differ in what is found
}

// A writer spoils how a repository is written. Its zero value changes nothing.
type writer struct {
	files   func(storage.FS) storage.FS
	objects func(storage.Storage, *trial) storage.Storage
}

func (w writer) open(fsys storage.FS, tr *trial) (storage.Storage, error) {
	if w.files != nil {
		fsys = w.files(fsys)
	}
	local, err := storage.CreateOn(fsys, "/repo")
	if err != nil {
		return nil, err
	}
	if w.objects != nil {
		return w.objects(local, tr), nil
	}
	return local, nil
}

// run returns the first thing that is wrong, nil when nothing is.
func (c *campaign) run(t testing.TB, op operation, keys repo.Keys) error {
	base, disk, err := prepared(t, op, keys)
	if err != nil {
		return fmt.Errorf("prepare %s: %w", op.name, err)
	}
	for k := 0; ; k += max(1, c.stride) {
		ended, err := c.crash(t, op, base, disk, k)
		if err != nil {
			return fmt.Errorf("%s, crash before change %d: %w", op.name, k, err)
		}
		if ended {
			return nil
		}
		c.points++
	}
}

// crash runs the operation with a crash before change k, and looks at each state that may be found. Ended says that there was none.
func (c *campaign) crash(t testing.TB, op operation, base *trial, disk *faulty.FS, k int) (ended bool, err error) {
	fsys := disk.Crash(1) // all of it is durable
	fsys.CrashAt(k)
	tr, err := base.with(nil)
	if err != nil {
		return false, err
	}
	defer tr.discard()
	if tr.st, err = c.writer.open(fsys, tr); err == nil {
		err = op.run(tr)
	}
	if !fsys.Crashed() {
		return true, err
	}
	if err == nil {
		return false, fmt.Errorf("it was not reported")
	}
	seeds := c.seeds
	if seeds == nil {
		seeds = []int{k % 32}
	}
	type found struct {
		disk        [32]byte
		cache       cacheState
		backupFirst bool
	}
	seen := map[found]bool{}
	for _, seed := range seeds {
		c.states++
		after := fsys.Crash(uint64(seed))
		f := found{after.Digest(), cacheState(seed) % cacheStates, seed/int(cacheStates)%2 == 1}
		if seen[f] {
			continue
		}
		seen[f] = true
		c.trials++
		if err := lookAfter(t, op, tr, after, base.cache, f.cache, f.backupFirst); err != nil {
			return false, fmt.Errorf("seed %d: %w", seed, err)
		}
	}
	return false, nil
}

func lookAfter(t testing.TB, op operation, tr *trial, after *faulty.FS, before string, cache cacheState, backupFirst bool) error {
	st, err := storage.CreateOn(after, "/repo")
	if err != nil {
		return err
	}
	defer st.Close()
	again, err := tr.with(st)
	if err != nil {
		return err
	}
	defer again.discard()
	if err := again.age(cache, before); err != nil {
		return err
	}
	if err := again.goesOn(t.Context(), op, backupFirst); err != nil || cache != cacheAsLeft {
		return err // the journal that is lost or old does not know of the run
	}
	return again.noRuns()
}

// crashSeeds are as many as ORTHOKEEP_CRASH says, or nil.
func crashSeeds() (seeds []int) {
	n, _ := strconv.Atoi(os.Getenv("ORTHOKEEP_CRASH")) // not set: 0
	for seed := range n {
		seeds = append(seeds, seed)
	}
	return seeds
}

// stride leaves out changes of operations that take long, unless ORTHOKEEP_CRASH asks for all.
func (op operation) stride(n int) int {
	if op.heavy && crashSeeds() == nil {
		return 13 * n
	}
	return n
}

// crashStride leaves out changes under the race detector, where each takes ten times as long.
func crashStride() int {
	if raceEnabled || testing.Short() {
		return 7
	}
	return 1
}

// TestCrash stops the file system before every change that each operation makes, loses a part of what was not synced, and goes on with the
// cache of then, of before, with none, or with junk. ORTHOKEEP_CRASH=32 tries 32 seeds of what survives at each; else it is one.
func TestCrash(t *testing.T) {
	keys := testKeys(t)
	for _, op := range operations {
		t.Run(op.name, func(t *testing.T) {
			t.Parallel()
			c := campaign{seeds: crashSeeds(), stride: op.stride(crashStride())}
			err := c.run(t, op, keys)
			t.Logf("%s: %d crash points, %d states, %d that differ", op.name, c.points, c.states, c.trials)
			if err != nil {
				t.Fatal(err)
			}
			if c.points < 20/c.stride {
				t.Errorf("only %d changes were tried", c.points)
			}
		})
	}
}

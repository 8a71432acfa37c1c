package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"time"

	"github.com/orthokeep/orthokeep/repo"
	"github.com/orthokeep/orthokeep/repo/storage"
)

// A checkRound is where the next check of a share begins: the file check.json in the cache folder of a repository. It is not missed when it is gone.
type checkRound struct {
	Packs uint64 `json:"read_packs"` // position among the names of packs
	Data  uint64 `json:"read_data"`  // and among attachments, snapshots and packs whose blobs are decoded
}

func checkRoundPath(cache string) string { return filepath.Join(cache, "check.json") }

// readCheckRound begins anywhere, by the clock, where there is no such file or it is not readable.
func readCheckRound(cache string, now time.Time) (r checkRound) {
	raw, err := os.ReadFile(checkRoundPath(cache))
	if err == nil && json.Unmarshal(raw, &r) == nil {
		return r
	}
	at := uint64(now.UnixNano()) * 0x9e3779b97f4a7c15 // spread over all positions
	return checkRound{at, at}
}

// goOn lets the next check begin where this one, which found no damage, has ended.
func (r checkRound) goOn(o repo.CheckOptions, cache string) error {
	next := r
	if !o.ReadPacks.Empty() {
		next.Packs = o.ReadPacks.End()
	}
	if !o.ReadData.Empty() {
		next.Data = o.ReadData.End()
	}
	if next == r {
		return nil
	}
	raw, err := json.Marshal(next)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(cache, 0o700); err != nil {
		return err
	}
	return storage.WriteFile(checkRoundPath(cache), append(raw, '\n'), 0o600)
}

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

// after is where the next check begins when this one has found no damage.
func (r checkRound) after(o repo.CheckOptions) checkRound {
	if !o.ReadPacks.Empty() {
		r.Packs = o.ReadPacks.End()
	}
	if !o.ReadData.Empty() {
		r.Data = o.ReadData.End()
	}
	return r
}

// keep writes where the next check begins.
func (r checkRound) keep(cache string) error {
	raw, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(cache, 0o700); err != nil {
		return err
	}
	return storage.WriteFile(checkRoundPath(cache), append(raw, '\n'), 0o600)
}

package repo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/orthokeep/orthokeep/repo/storage"
)

const settingsPrefix = "settings/"

// Settings are what may change in the life of a repository. Each change is an object of its own; the last one counts.
type Settings struct {
	Parity int `json:"parity"` // bytes of parity for 100 bytes of an object; 0: none
}

const (
	MaxParity     = 100 // bounds Settings.Parity
	defaultParity = 5
	maxSettings   = 1e8 // of 8 digits
)

func parseSettings(name string, body []byte) (s Settings, err error) {
	if err := UnmarshalJSON(body, &s, maxValues); err != nil || s.Parity < 0 || s.Parity > MaxParity {
		return Settings{}, corrupt(name, "not the settings of a repository")
	}
	return s, nil
}

func (s Settings) marshal() []byte {
	b, err := json.Marshal(s)
	if err != nil {
		panic("repo: " + err.Error()) // plain fields
	}
	return b
}

func settingsName(n int) string { return fmt.Sprintf("%s%08d", settingsPrefix, n) }

// readSettings reads the last settings that are not damaged. The number is that of the last ones, 0 when there are none.
func (r *Repository) readSettings(ctx context.Context) (s Settings, number int, err error) {
	names, err := r.listNames(ctx, settingsPrefix)
	if err != nil {
		return s, 0, err
	}
	var numbers []int
	for name := range names {
		if n, err := strconv.Atoi(strings.TrimPrefix(name, settingsPrefix)); err == nil && n > 0 && n < maxSettings && settingsName(n) == name {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	for _, n := range slices.Backward(numbers) {
		number = max(number, n)
		body, err := r.GetObject(ctx, KindSettings, settingsName(n))
		if err == nil {
			s, err = parseSettings(settingsName(n), body)
		}
		if !errors.Is(err, ErrCorrupt) && !errors.Is(err, storage.ErrNotFound) {
			return s, number, err
		}
	}
	return Settings{}, number, nil
}

// Settings returns the settings as they were when the repository was opened, or changed here.
func (r *Repository) Settings() Settings { return r.settings }

// Change writes other settings. They hold for what is written from then on, by those who open the repository afterwards.
func (r *Repository) Change(ctx context.Context, s Settings) error {
	_, n, err := r.readSettings(ctx)
	if err != nil {
		return err
	}
	before, st := r.settings, r.st
	r.settings, r.st = s, protected{r.plainStorage(), s.Parity}
	if err = r.PutObject(ctx, KindSettings, settingsName(n+1), s.marshal()); err != nil {
		r.settings, r.st = before, st
	}
	return err
}

// plainStorage is the storage without parity.
func (r *Repository) plainStorage() storage.Storage {
	if p, ok := r.st.(protected); ok {
		return p.Storage
	}
	return r.st
}

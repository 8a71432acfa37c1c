package repo

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"time"

	"github.com/zeebo/blake3"
)

const (
	configName    = "config"
	configFormat  = "orthokeep repository"
	formatVersion = 0 // development
	maxConfig     = 64 << 10

	// DefaultPackSize is the length in bytes at which a pack is closed.
	DefaultPackSize = 32 << 20
	minPackSize     = 64 << 10
	maxPackSize     = 64 << 20
)

// Config is what stands openly in a repository.
type Config struct {
	Format   string    `json:"format"`
	Version  int       `json:"version"`
	ID       string    `json:"id"` // 32 hexadecimal digits
	Created  time.Time `json:"created"`
	PackSize int       `json:"pack_size"` // bytes

	Compression Compression `json:"compression"`
	Sum         string      `json:"sum"` // of all else, in hexadecimal digits
}

var hexID = regexp.MustCompile(`^[0-9a-f]{32}$`)

// parseConfig reads a config. The version is looked at before anything else.
func parseConfig(b []byte) (Config, error) {
	var head struct {
		Format  string `json:"format"`
		Version *int   `json:"version"`
	}
	if err := UnmarshalJSON(b, &head, maxValues); err != nil || head.Format != configFormat || head.Version == nil {
		return Config{}, corrupt(configName, "not the configuration of a repository")
	}
	if *head.Version != formatVersion {
		return Config{}, fmt.Errorf("repository version %d: %w", *head.Version, ErrUnsupported)
	}
	var c Config
	if err := UnmarshalJSON(b, &c, maxValues); err != nil {
		return Config{}, corrupt(configName, "not the configuration of a repository")
	}
	if _, ok := levels[c.Compression]; !ok {
		return Config{}, fmt.Errorf("compression %q: %w", c.Compression, ErrUnsupported)
	}
	if !hexID.MatchString(c.ID) || c.PackSize < minPackSize || c.PackSize > maxPackSize {
		return Config{}, corrupt(configName, "a value out of bounds")
	}
	if !bytes.Equal(c.marshal(), b) {
		return Config{}, corrupt(configName, "checksum mismatch")
	}
	return c, nil
}

// marshal returns the only text that says this.
func (c Config) marshal() []byte {
	text := func() []byte {
		b, err := json.MarshalIndent(c, "", "  ")
		if err != nil {
			panic("repo: " + err.Error()) // plain fields
		}
		return append(b, '\n')
	}
	c.Sum = ""
	sum := blake3.Sum256(text())
	c.Sum = hex.EncodeToString(sum[:8])
	return text()
}

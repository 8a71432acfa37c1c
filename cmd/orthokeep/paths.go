package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// A places knows where this host keeps what belongs to orthokeep: for root /etc and /var/cache, for others the XDG folders
// or what stands for them on their system.
type places struct {
	root      bool
	configDir func() (string, error) // of the user
	cacheDir  func() (string, error)
}

func hostPlaces() places {
	return places{os.Geteuid() == 0, os.UserConfigDir, os.UserCacheDir}
}

// config is the folder of the configuration file and of the keys.
func (h places) config() (string, error) {
	if h.root {
		return "/etc/orthokeep", nil
	}
	dir, err := h.configDir()
	return filepath.Join(dir, "orthokeep"), err
}

// settings is the configuration file.
func (h places) settings() (string, error) {
	dir, err := h.config()
	return filepath.Join(dir, "config.toml"), err
}

// writerKey is the file of a repository's writer key.
func (h places) writerKey(repository string) (string, error) {
	dir, err := h.config()
	return filepath.Join(dir, "keys", repository), err
}

// cache is the folder of all caches.
func (h places) cache() (string, error) {
	if h.root {
		return "/var/cache/orthokeep", nil
	}
	dir, err := h.cacheDir()
	return filepath.Join(dir, "orthokeep"), err
}

// writerKeyPath is where the writer key of a repository lies: --writer-key, or its usual place.
func (p *program) writerKeyPath(repository string) (string, error) {
	if p.writerKey != "" {
		return p.writerKey, nil
	}
	path, err := hostPlaces().writerKey(repository)
	if err != nil {
		return "", usageError("no place for the writer key (%v): name one with --writer-key", err)
	}
	return path, nil
}

// cachePath is the folder for the cache of a repository, below --cache-dir or the usual place. It need not exist.
func (p *program) cachePath(repository string) (string, error) {
	dir := p.cacheDir
	if dir == "" {
		var err error
		if dir, err = hostPlaces().cache(); err != nil {
			return "", usageError("no place for the cache (%v): name one with --cache-dir", err)
		}
	}
	return filepath.Join(dir, repository), nil
}

// settingsPath is the configuration file, and whether it must exist: only when somebody named it.
func (p *program) settingsPath() (path string, must bool) {
	if p.configFile != "" {
		return p.configFile, true
	}
	path, err := hostPlaces().settings()
	if err != nil {
		return "", false // a user without a home folder has no configuration file
	}
	return path, false
}

// defaultConfigText names the configuration file for the help text.
func defaultConfigText() string {
	path, err := hostPlaces().settings()
	if err != nil {
		return "none"
	}
	return path
}

func isAbsent(err error) bool { return errors.Is(err, fs.ErrNotExist) }

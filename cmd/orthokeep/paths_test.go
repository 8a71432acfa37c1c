package main

import (
	"errors"
	"path/filepath"
	"testing"
)

func TestPlaces(t *testing.T) {
	dir := func(path string) func() (string, error) { return func() (string, error) { return path, nil } }
	user := filepath.Join("home", "config")
	cache := filepath.Join("home", "cache")
	for _, tt := range []struct {
		name                     string
		h                        places
		settings, key, cachePath string
	}{
		{"root", places{true, dir(user), dir(cache)}, filepath.Join("/etc/orthokeep", "config.toml"), filepath.Join("/etc/orthokeep", "keys", "7f3a"), "/var/cache/orthokeep"},
		{"others", places{false, dir(user), dir(cache)}, filepath.Join(user, "orthokeep", "config.toml"), filepath.Join(user, "orthokeep", "keys", "7f3a"),
			filepath.Join(cache, "orthokeep")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			settings, err1 := tt.h.settings()
			key, err2 := tt.h.writerKey("7f3a")
			cachePath, err3 := tt.h.cache()
			if err := errors.Join(err1, err2, err3); err != nil {
				t.Fatal(err)
			}
			if settings != tt.settings || key != tt.key || cachePath != tt.cachePath {
				t.Errorf("places are %s, %s, %s", settings, key, cachePath)
			}
		})
	}
	none := func() (string, error) { return "", errors.New("no home") }
	if _, err := (places{false, none, none}).writerKey("7f3a"); err == nil {
		t.Error("a user without a home folder has a place for keys")
	}
	p := newProgram(nil, nil, nil)
	p.writerKey, p.cacheDir = "w", "c"
	if key, err := p.writerKeyPath("7f3a"); err != nil || key != "w" {
		t.Errorf("--writer-key gives %s, %v", key, err)
	}
	if cache, err := p.cachePath("7f3a"); err != nil || cache != filepath.Join("c", "7f3a") {
		t.Errorf("--cache-dir gives %s, %v", cache, err)
	}
}

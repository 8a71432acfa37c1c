package orthanc

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Plugin is a shared library that Orthanc loads.
type Plugin struct {
	Path  string   // absolute, as the configuration leads to it
	names []string // what it may be: its own name and that of the file it links to, without "lib" and what follows the name
}

// Name returns the file name.
func (p Plugin) Name() string { return filepath.Base(p.Path) }

// is says whether it is the plug-in of that name in lower case, by the start of its own name or its target's.
func (p Plugin) is(name string) bool {
	return slices.ContainsFunc(p.names, func(own string) bool { return strings.HasPrefix(own, name) })
}

// Plugins lists the shared libraries that the configuration loads, by the key Plugins: files, and of folders the
// libraries in them, not below them. A folder that does not exist is left out, as Orthanc does; a folder that cannot
// be read is an error, since what it holds decides whether a backup is possible.
func (c *Configuration) Plugins() ([]Plugin, error) {
	paths, err := c.list("Plugins")
	if err != nil {
		return nil, err
	}
	var found []Plugin
	for _, path := range paths {
		path = c.Resolve(path)
		info, err := os.Stat(c.sight.path(path))
		switch {
		case errors.Is(err, os.ErrNotExist) && !isLibrary(path):
			continue
		case err != nil && !errors.Is(err, os.ErrNotExist):
			return nil, fmt.Errorf("%w: Plugins: %w", ErrConfiguration, err)
		case err != nil || !info.IsDir():
			found = append(found, c.plugin(path))
			continue
		}
		entries, err := os.ReadDir(c.sight.path(path))
		if err != nil {
			return nil, fmt.Errorf("%w: Plugins: %w", ErrConfiguration, err)
		}
		for _, entry := range entries {
			name := filepath.Join(path, entry.Name())
			if info, err := os.Stat(c.sight.path(name)); isLibrary(name) && (err != nil || !info.IsDir()) {
				found = append(found, c.plugin(name))
			}
		}
	}
	return found, nil
}

// isLibrary says whether a file name ends as Orthanc wants it of a plug-in, on any of its systems.
func isLibrary(path string) bool {
	switch strings.ToLower(filepath.Ext(path)) {
	case ".so", ".dll", ".dylib":
		return true
	}
	return false
}

func (c *Configuration) plugin(path string) Plugin {
	return Plugin{Path: path, names: []string{plainName(path), plainName(c.sight.real(path))}}
}

const plainRunes = "abcdefghijklmnopqrstuvwxyz0123456789"

// plainName returns "orthancmysqlindex" for /x/libOrthancMySQLIndex.so.4.0 and for OrthancMySQLIndex-4.0.dll.
func plainName(path string) string {
	name := strings.ToLower(filepath.Base(path))
	name = strings.TrimPrefix(name, "lib")
	return name[:len(name)-len(strings.TrimLeft(name, plainRunes))]
}

// flag returns a boolean of a section, or fallback where it is not given. A value of another type counts as true: when
// in doubt a plug-in is taken to be enabled.
func (c *Configuration) flag(section, key string, fallback bool) bool {
	raw := c.members(section)[key]
	if raw == nil {
		return fallback
	}
	var value *bool
	if json.Unmarshal(raw, &value) != nil || value == nil {
		return true
	}
	return *value
}

package orthanc

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// maxConfiguration bounds one configuration file, in bytes.
const maxConfiguration = 4 << 20

// Configuration is what Orthanc is told when it starts. It holds passwords: String, which fmt uses, gives its path
// alone.
type Configuration struct {
	Path  string   // of the file or folder, absolute
	Files []string // the files read, absolute, in the order read
	Base  string   // the folder that relative paths are relative to

	Name             string // "MyOrthanc"
	StorageDirectory string // absolute; "OrthancStorage" below Base
	IndexDirectory   string // absolute; the storage directory
	DicomPort        int    // 4242
	HTTP             HTTP

	StorageCompression     bool // false: new attachments are compressed by zlib
	StoreMD5ForAttachments bool // true: the index states the MD5 of new attachments
	StoreDicom             bool // true: DICOM files are kept, not only indexed

	sections map[string]json.RawMessage
	sight    *sight // of all paths
}

// String returns the path of the configuration.
func (c *Configuration) String() string { return "configuration " + c.Path }

// GoString returns the path of the configuration.
func (c *Configuration) GoString() string { return c.String() }

// ConfigurationFile is one file of a configuration as it lies on disk.
type ConfigurationFile struct {
	Path string // absolute
	Data []byte
}

// ReadConfiguration reads the file or folder that Orthanc is started with, as Orthanc reads it: of a folder the files
// *.json in it, not below it; variables are replaced by env in the raw text; a key at the top given in two files is an
// error, in one file the last one counts. A nil env is the environment of this process.
//
// Every error matches ErrConfiguration and names the file; none quotes a value.
func ReadConfiguration(path string, env func(string) (string, bool)) (*Configuration, error) {
	return readConfiguration(nil, path, env)
}

// readConfiguration is ReadConfiguration of a server that is seen like that.
func readConfiguration(s *sight, path string, env func(string) (string, bool)) (*Configuration, error) {
	files, err := readConfigurationFiles(s, path)
	if err != nil {
		return nil, err
	}
	return parseConfiguration(s, path, files, env)
}

// ReadConfigurationFiles reads the files of a configuration, a file or a folder, without looking into them.
func ReadConfigurationFiles(path string) ([]ConfigurationFile, error) {
	return readConfigurationFiles(nil, path)
}

func readConfigurationFiles(s *sight, path string) ([]ConfigurationFile, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfiguration, err)
	}
	names := []string{path}
	if info, err := os.Stat(s.path(path)); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfiguration, err)
	} else if info.IsDir() {
		if names, err = jsonFiles(s, path); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrConfiguration, err)
		}
	}
	files := make([]ConfigurationFile, 0, len(names))
	for _, name := range names {
		data, err := readBounded(s.path(name), maxConfiguration)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrConfiguration, err)
		}
		files = append(files, ConfigurationFile{name, data})
	}
	return files, nil
}

// jsonFiles lists the files of a folder that Orthanc reads, by name. Their order has no effect.
func jsonFiles(s *sight, dir string) ([]string, error) {
	entries, err := os.ReadDir(s.path(dir))
	if err != nil {
		return nil, err
	}
	var names []string
	for _, entry := range entries {
		if !strings.EqualFold(filepath.Ext(entry.Name()), ".json") {
			continue
		}
		name := filepath.Join(dir, entry.Name())
		if info, err := os.Stat(s.path(name)); err == nil && info.IsDir() {
			continue
		}
		names = append(names, name)
	}
	return names, nil
}

// readBounded reads a regular file, or a link to one, of at most bound bytes.
func readBounded(name string, bound int64) ([]byte, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("read %s: not a regular file", name)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, bound+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > bound {
		return nil, fmt.Errorf("read %s: larger than %d bytes", name, bound)
	}
	return data, nil
}

// parseConfiguration merges the files and takes from them what the fields say. path says what relative paths are
// relative to: itself when it is a folder, else its folder.
func parseConfiguration(s *sight, path string, files []ConfigurationFile, env func(string) (string, bool)) (*Configuration, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfiguration, err)
	}
	if env == nil {
		env = os.LookupEnv
	}
	c := &Configuration{Path: path, Base: path, sections: map[string]json.RawMessage{}, sight: s}
	if len(files) == 1 && files[0].Path == path {
		c.Base = filepath.Dir(path)
	}
	from := map[string]string{}
	for _, file := range files {
		sections, err := parseSections(file.Data, env)
		if err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrConfiguration, file.Path, err)
		}
		for _, key := range slices.Sorted(maps.Keys(sections)) {
			if other, ok := from[key]; ok {
				return nil, fmt.Errorf("%w: %s: %q is in %s too", ErrConfiguration, file.Path, key, other)
			}
			from[key], c.sections[key] = file.Path, sections[key]
		}
		c.Files = append(c.Files, file.Path)
	}
	if err := c.fill(); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrConfiguration, path, err)
	}
	return c, nil
}

// parseSections returns the members of one file's object.
func parseSections(text []byte, env func(string) (string, bool)) (map[string]json.RawMessage, error) {
	text, err := substitute(text, env)
	if err != nil {
		return nil, err
	}
	value, err := parseJSON(text)
	if err != nil {
		return nil, err
	}
	value.Standardize()
	var sections map[string]json.RawMessage
	if err := json.Unmarshal(value.Pack(), &sections); err != nil || sections == nil {
		return nil, fmt.Errorf("not a JSON object")
	}
	return sections, nil
}

// fill takes what the fields say from the sections, or Orthanc's defaults.
func (c *Configuration) fill() error {
	r := reader{c: c}
	c.Name = r.text("Name", "MyOrthanc")
	storage := r.text("StorageDirectory", "OrthancStorage")
	index := r.text("IndexDirectory", storage)
	c.DicomPort = r.number("DicomPort", 4242)
	c.StorageCompression = r.boolean("StorageCompression", false)
	c.StoreMD5ForAttachments = r.boolean("StoreMD5ForAttachments", true)
	c.StoreDicom = r.boolean("StoreDicom", true)
	c.HTTP = r.http()
	if r.err != nil {
		return r.err
	}
	if storage == "" || index == "" {
		return fmt.Errorf("StorageDirectory or IndexDirectory is empty")
	}
	c.StorageDirectory, c.IndexDirectory = c.Resolve(storage), c.Resolve(index)
	return nil
}

// Resolve returns the absolute path that Orthanc gives to a path of the configuration: relative ones lie below Base.
// ".." behind a link is followed as the kernel does.
func (c *Configuration) Resolve(path string) string {
	if !filepath.IsAbs(path) {
		path = c.Base + string(filepath.Separator) + path
	}
	if strings.Contains(path, "..") {
		return c.sight.real(path)
	}
	return filepath.Clean(path)
}

// Has says whether a key is given at the top of the configuration.
func (c *Configuration) Has(key string) bool { return c.sections[key] != nil }

// Section returns the value of a key at the top of the configuration as JSON without comments, nil where it is not
// given. It may hold passwords.
func (c *Configuration) Section(key string) json.RawMessage { return c.sections[key] }

// members returns the members of an object below the top, nil where key is not given or no object. Unlike a struct, a
// map keeps the case of the keys, as Orthanc does.
func (c *Configuration) members(key string) map[string]json.RawMessage {
	var members map[string]json.RawMessage
	if json.Unmarshal(c.sections[key], &members) != nil {
		return nil
	}
	return members
}

// list returns a list of strings, empty where the key is not given.
func (c *Configuration) list(key string) ([]string, error) {
	var list []string
	if raw := c.sections[key]; raw != nil && json.Unmarshal(raw, &list) != nil {
		return nil, fmt.Errorf("%w: %s: %s is not a list of texts", ErrConfiguration, c.Path, key)
	}
	return list, nil
}

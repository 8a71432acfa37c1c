package orthanc

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/tailscale/hujson"
)

// Rewrite returns the files of a configuration with StorageDirectory and IndexDirectory replaced by storage and index,
// which are absolute, and everything else as it was: comments, order, variables. Where a key is not given it is added
// to the first file; IndexDirectory only if index is another folder than storage. Where the setting Path of plug-in
// DelayedDeletion is given, it is replaced by pending, unless that is empty: the list that it names belongs to the index. env
// is that of ReadConfiguration, and serves to check the result. The files given are not changed.
func Rewrite(files []ConfigurationFile, storage, index, pending string, env func(string) (string, bool)) ([]ConfigurationFile, error) {
	if len(files) == 0 {
		return nil, fmt.Errorf("%w: no files", ErrConfiguration)
	}
	wanted := []struct{ key, path string }{{"IndexDirectory", index}, {"StorageDirectory", storage}}
	out := make([]ConfigurationFile, len(files))
	copy(out, files)
	for _, w := range wanted {
		found := false
		for i := range out {
			data, n, err := replaceKey(out[i].Data, w.path, w.key)
			if err != nil {
				return nil, fmt.Errorf("%w: %s: %w", ErrConfiguration, out[i].Path, err)
			}
			out[i].Data, found = data, found || n > 0
		}
		if found || (w.key == "IndexDirectory" && index == storage) {
			continue
		}
		data, err := addKey(out[0].Data, w.key, w.path)
		if err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrConfiguration, out[0].Path, err)
		}
		out[0].Data = data
	}
	for i := range out {
		if pending == "" {
			break
		}
		data, _, err := replaceKey(out[i].Data, pending, "DelayedDeletion", "Path")
		if err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrConfiguration, out[i].Path, err)
		}
		out[i].Data = data
	}
	c, err := parseConfiguration(nil, out[0].Path, out, env)
	if err != nil {
		return nil, err
	}
	if c.StorageDirectory != storage || c.IndexDirectory != index {
		return nil, fmt.Errorf("%w: %s: StorageDirectory and IndexDirectory cannot be replaced", ErrConfiguration, out[0].Path)
	}
	return out, nil
}

// object parses a file with its variables in place.
func object(text []byte) (*hujson.Object, error) {
	value, err := parseJSON(mask(text))
	if err != nil {
		return nil, err
	}
	members, ok := value.Value.(*hujson.Object)
	if !ok {
		return nil, fmt.Errorf("not a JSON object")
	}
	return members, nil
}

// replaceKey sets each member that the keys lead to, from the top of a file down, and returns how many there were.
func replaceKey(text []byte, path string, keys ...string) ([]byte, int, error) {
	members, err := object(text)
	if err != nil {
		return nil, 0, err
	}
	value, err := json.Marshal(path)
	if err != nil {
		return nil, 0, err
	}
	var out []byte
	end, n := 0, 0
	for _, found := range lookUp(members, keys) {
		out = append(out, text[end:found.StartOffset]...)
		out = append(out, value...)
		end = found.EndOffset
		n++
	}
	return append(out, text[end:]...), n, nil
}

// lookUp returns the values that the keys lead to, in their order; several where a key is given more than once.
func lookUp(members *hujson.Object, keys []string) (found []hujson.Value) {
	for _, member := range members.Members {
		if name, ok := member.Name.Value.(hujson.Literal); !ok || name.String() != keys[0] {
			continue
		}
		if len(keys) == 1 {
			found = append(found, member.Value)
		} else if below, ok := member.Value.Value.(*hujson.Object); ok {
			found = append(found, lookUp(below, keys[1:])...)
		}
	}
	return found
}

// addKey adds a member at the beginning of a file's object.
func addKey(text []byte, key, path string) ([]byte, error) {
	members, err := object(text)
	if err != nil {
		return nil, err
	}
	value, err := json.Marshal(path)
	if err != nil {
		return nil, err
	}
	line := fmt.Sprintf("\n  %q : %s", key, value)
	if len(members.Members) > 0 {
		line += ","
	}
	// Before the object there are spaces and comments only, which are blank here.
	at := bytes.IndexByte(blankComments(mask(text)), '{') + 1
	return append(append(bytes.Clone(text[:at]), line...), text[at:]...), nil
}

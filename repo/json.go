package repo

import (
	"encoding/json"
	"fmt"
)

// maxValues is the number of values that a sealed object of JSON may have, marks apart: runs that a note names, tags of a label.
const maxValues = 1 << 16

// UnmarshalJSON is json.Unmarshal for text from the storage: one with more than most names, values, lists and objects in it is damage. Three
// bytes of text may stand for hundreds in memory. The error matches ErrCorrupt, and quotes nothing.
func UnmarshalJSON(text []byte, into any, most int) error {
	if countValues(text) > most {
		return fmt.Errorf("more than %d values: %w", most, ErrCorrupt)
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("not readable: %w", ErrCorrupt)
	}
	return nil
}

// countValues is not below the number of values of a JSON text: each of them, but the first, comes right behind one of these.
func countValues(text []byte) int {
	n, inText := 1, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			inText = !inText
		case inText && c == '\\':
			i++
		case inText:
		case c == ',' || c == ':' || c == '[' || c == '{':
			n++
		}
	}
	return n
}

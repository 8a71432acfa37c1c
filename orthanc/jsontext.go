package orthanc

import (
	"bytes"
	"fmt"
	"regexp"

	"github.com/tailscale/hujson"
)

// variable finds ${NAME}, ${NAME:-default}, ${NAME:-"default"} and ${NAME:-'default'} in the raw text of a
// configuration, inside strings, comments and bare words alike. The name has no colon.
var variable = regexp.MustCompile(`\$\{([^:]*?)(?:\}|:-(?:([^'"]*?)\}|"([^"]*?)"\}|'([^']*?)'\}))`)

// Bounds of what is parsed. Orthanc's own parser takes no more than a thousand lists and objects inside each other.
const (
	maxExpanded = 4 * maxConfiguration // bytes of a file whose variables have been replaced
	maxNesting  = 1000
	maxValues   = 1 << 18 // of one file; each takes up to 200 bytes of memory
)

// substitute replaces the variables as Orthanc does: by the environment, else by the default, else by nothing. A
// variable without a name is an error, as it is for Orthanc.
func substitute(text []byte, env func(string) (string, bool)) ([]byte, error) {
	var out []byte
	end := 0
	for _, m := range variable.FindAllSubmatchIndex(text, -1) {
		name := string(text[m[2]:m[3]])
		if name == "" {
			return nil, fmt.Errorf("line %d: variable without a name", 1+bytes.Count(text[:m[0]], []byte("\n")))
		}
		out = append(out, text[end:m[0]]...)
		end = m[1]
		if len(out) > maxExpanded {
			return nil, fmt.Errorf("longer than %d bytes with its variables", maxExpanded)
		}
		if value, ok := env(name); ok {
			out = append(out, value...)
			continue
		}
		for i := 4; i < len(m); i += 2 {
			if m[i] >= 0 {
				out = append(out, text[m[i]:m[i+1]]...)
			}
		}
	}
	return append(out, text[end:]...), nil
}

// mask returns text with each variable overwritten by digits, so that it can be parsed as it stands in its file:
// digits are valid in a string and alone. Offsets are those of text.
func mask(text []byte) []byte {
	masked := bytes.Clone(text)
	for _, m := range variable.FindAllIndex(text, -1) {
		for i := m[0]; i < m[1]; i++ {
			masked[i] = '1'
		}
	}
	return masked
}

// parseJSON parses a configuration as leniently as jsoncpp, which Orthanc reads it with: comments, trailing commas, a
// byte order mark, anything after the object, and comments that are not UTF-8 are accepted. Unlike jsoncpp it wants
// control characters in strings written as escapes. Offsets in the result are those of text. An error names line and
// column but quotes nothing: a configuration holds passwords.
func parseJSON(text []byte) (hujson.Value, error) {
	text = blankComments(text)
	if err := checkBounds(text); err != nil {
		return hujson.Value{}, err
	}
	value, err := hujson.Parse(text)
	if err != nil {
		where := "text"
		if at := regexp.MustCompile(`line \d+, column \d+`).FindString(err.Error()); at != "" {
			where = at
		}
		return hujson.Value{}, fmt.Errorf("%s: not valid JSON", where)
	}
	return value, nil
}

// checkBounds refuses a text without comments that is nested too deeply, which would exhaust the stack, or has too many values.
func checkBounds(text []byte) error {
	depth, values, inText := 0, 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			inText = !inText
		case inText && c == '\\':
			i++
		case inText:
		case c == '{' || c == '[':
			depth, values = depth+1, values+1
		case c == '}' || c == ']':
			depth--
		case c == ',' || c == ':':
			values++
		}
		if depth > maxNesting || values > maxValues {
			return fmt.Errorf("line %d: nested too deeply, or too many values", 1+bytes.Count(text[:i], []byte("\n")))
		}
	}
	return nil
}

// blankComments returns text with comments, a byte order mark, and what follows the first object or array overwritten
// by spaces; line ends stay.
func blankComments(text []byte) []byte {
	out := bytes.Clone(text)
	blank := func(from, to int) {
		for i := from; i < to; i++ {
			if out[i] != '\n' && out[i] != '\r' {
				out[i] = ' '
			}
		}
	}
	// until returns the offset just behind the next end mark, or the length of the text.
	until := func(from int, mark string) int {
		if n := bytes.Index(text[from:], []byte(mark)); n >= 0 {
			return from + n + len(mark)
		}
		return len(text)
	}
	depth, i := 0, 0
	if bytes.HasPrefix(text, []byte("\ufeff")) {
		blank(0, 3)
		i = 3
	}
	for i < len(text) {
		switch rest := text[i:]; {
		case rest[0] == '"':
			for i++; i < len(text) && text[i] != '"'; i++ {
				if text[i] == '\\' {
					i++
				}
			}
			i++
		case bytes.HasPrefix(rest, []byte("//")):
			end := until(i, "\n")
			blank(i, end)
			i = end
		case bytes.HasPrefix(rest, []byte("/*")):
			end := until(i+2, "*/")
			if !bytes.HasSuffix(text[i+2:end], []byte("*/")) {
				return out // not ended: the parser says so
			}
			blank(i, end)
			i = end
		case rest[0] == '{' || rest[0] == '[':
			depth++
			i++
		case rest[0] == '}' || rest[0] == ']':
			depth--
			i++
			if depth == 0 {
				blank(i, len(text))
				return out
			}
		default:
			i++
		}
	}
	return out
}

package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// A flag's value comes from the command line, else from the environment, else from the configuration file, else it is the
// default. --repo is ORTHOKEEP_REPO in the environment and repo in the file. There a table named like a command holds what
// is meant for that command alone:
//
//	repo = "/srv/backup"
//	[backup]
//	orthanc = "/etc/orthanc"
//
// Secrets have no flag: a flag names the file that holds one.

const (
	envPrefix   = "ORTHOKEEP_"
	maxSettings = 1 << 20 // bytes of a configuration file
)

// unsettable are the flags that make sense on the command line only.
var unsettable = []string{"help", "version", "config"}

// readSettings gives the flags of c that are not on the command line their values. Every error matches errUsage and names
// the variable, or the key and the file.
func (p *program) readSettings(c *cobra.Command) error {
	if v := os.Getenv(envName("config")); v != "" && !c.Flags().Changed("config") {
		p.configFile = v
	}
	file, err := p.readFile()
	if err != nil {
		return err
	}
	if err := file.check(c.Root(), file.values, ""); err != nil {
		return err
	}
	var errs []error
	c.Flags().VisitAll(func(f *pflag.Flag) {
		if f.Changed || slices.Contains(unsettable, f.Name) {
			return
		}
		if v := os.Getenv(envName(f.Name)); v != "" {
			if err := c.Flags().Set(f.Name, v); err != nil {
				errs = append(errs, usageError("%s: %v", envName(f.Name), withoutFlag(err)))
			}
		} else if v, ok := file.lookup(c, f.Name); ok {
			if err := setFromFile(c.Flags(), f, v); err != nil {
				errs = append(errs, usageError("%s: key %s: %v", file.path, f.Name, withoutFlag(err)))
			}
		}
	})
	return errors.Join(errs...)
}

// envName is a flag's variable.
func envName(flag string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// withoutFlag takes off an error what pflag says about the flag: the value came from elsewhere.
func withoutFlag(err error) error {
	var invalid *pflag.InvalidValueError
	if !errors.As(err, &invalid) {
		return err
	}
	cause := invalid.Unwrap()
	var number *strconv.NumError
	if errors.As(cause, &number) {
		cause = number.Err
	}
	return fmt.Errorf("%q: %w", invalid.GetValue(), cause)
}

// setFromFile gives a flag the value of a key.
func setFromFile(flags *pflag.FlagSet, f *pflag.Flag, value any) error {
	list, isList := value.([]any)
	if !isList {
		text, err := scalar(value)
		if err != nil {
			return err
		}
		return flags.Set(f.Name, text)
	}
	into, ok := f.Value.(pflag.SliceValue)
	if !ok {
		return errors.New("one value is wanted, not a list")
	}
	var texts []string
	for _, v := range list {
		text, err := scalar(v)
		if err != nil {
			return err
		}
		texts = append(texts, text)
	}
	return into.Replace(texts)
}

func scalar(value any) (string, error) {
	switch v := value.(type) {
	case string:
		return v, nil
	case bool, int64, float64:
		return fmt.Sprint(v), nil
	}
	return "", errors.New("a text, a number, true or false is wanted")
}

// A settingsFile is the configuration file; its zero value is that of a host without one.
type settingsFile struct {
	path   string
	values map[string]any
}

func (p *program) readFile() (settingsFile, error) {
	path, must := p.settingsPath()
	if path == "" {
		return settingsFile{}, nil
	}
	f, err := os.Open(path)
	if isAbsent(err) && !must {
		return settingsFile{}, nil
	}
	if err != nil {
		return settingsFile{}, usageError("read settings: %v", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxSettings+1))
	if err != nil {
		return settingsFile{}, usageError("read settings: %v", err)
	}
	if len(text) > maxSettings {
		return settingsFile{}, usageError("read settings: %s is longer than %s", path, formatBytes(maxSettings))
	}
	s := settingsFile{path: path}
	if err := toml.Unmarshal(text, &s.values); err != nil {
		var bad *toml.DecodeError
		if errors.As(err, &bad) {
			row, column := bad.Position()
			return settingsFile{}, usageError("%s: line %d, column %d: %v", path, row, column, err)
		}
		return settingsFile{}, usageError("%s: %v", path, err)
	}
	return s, nil
}

// check reports a key that is no flag of c or of a command below it. at is the name of the table, with a dot.
func (s settingsFile) check(c *cobra.Command, table map[string]any, at string) error {
	for _, key := range slices.Sorted(maps.Keys(table)) {
		inner, isTable := table[key].(map[string]any)
		sub := child(c, key)
		switch {
		case isTable && sub != nil:
			if err := s.check(sub, inner, at+key+"."); err != nil {
				return err
			}
		case hasFlag(c, key):
		case sub != nil:
			return usageError("%s: key %s: %s is a command: a table [%s] is wanted", s.path, at+key, key, at+key)
		default:
			return usageError("%s: unknown key %s", s.path, at+key)
		}
	}
	return nil
}

// lookup returns the value of a flag for the command c: from the table of c, else from one around it.
func (s settingsFile) lookup(c *cobra.Command, flag string) (value any, ok bool) {
	table := s.values
	value, ok = table[flag]
	for name := range strings.FieldsSeq(commandName(c)) {
		table, _ = table[name].(map[string]any)
		if v, inner := table[flag]; inner {
			value, ok = v, true
		}
	}
	return value, ok
}

func child(c *cobra.Command, name string) *cobra.Command {
	for _, sub := range c.Commands() {
		if sub.Name() == name {
			return sub
		}
	}
	return nil
}

// hasFlag says whether a key may stand in the table of c: c or a command below it has such a flag.
func hasFlag(c *cobra.Command, name string) bool {
	if slices.Contains(unsettable, name) {
		return false
	}
	if c.Flag(name) != nil || c.InheritedFlags().Lookup(name) != nil {
		return true
	}
	return slices.ContainsFunc(c.Commands(), func(sub *cobra.Command) bool { return hasFlag(sub, name) })
}

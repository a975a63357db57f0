package cyrus

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Config is an imapd.conf.
type Config struct{ values map[string]string }

// defaults are those of Cyrus 3.6 for the options that this package or its callers ask for. "{configdirectory}" in front of a
// value stands for that option's.
//
// cyrus: lib/imapoptions
var defaults = map[string]string{
	"altnamespace":       "yes",
	"annotation_db_path": "{configdirectory}/annotations.db",
	"altprefix":          "Alt Folders",
	"archive_enabled":    "no",
	"cyrus_user":         "cyrus",
	"defaultdomain":      "internal",
	"fulldirhash":        "no",
	"hashimapspool":      "no",
	"mboxname_lockpath":  "{configdirectory}/lock",
	"mboxname_userpath":  "{configdirectory}",
	"sharedprefix":       "Shared Folders",
	"unixhierarchysep":   "yes",
	"userprefix":         "Other Users",
	"virtdomains":        "off",
}

// switches must be boolean words.
var switches = []string{"altnamespace", "archive_enabled", "fulldirhash", "hashimapspool", "unixhierarchysep"}

// LoadConfig reads an imapd.conf with its @include files. A relative name of one is looked for beside the file that names it.
// A file included twice, an option given twice and a line that is none are errors, as they are for Cyrus.
func LoadConfig(path string) (*Config, error) {
	return loadConfig(path, os.ReadFile)
}

func loadConfig(path string, read func(string) ([]byte, error)) (*Config, error) {
	l := confLoader{read: read, seen: map[string]bool{}, values: map[string]string{}}
	if err := l.file(filepath.Clean(path)); err != nil {
		return nil, err
	}
	c := &Config{l.values}
	dir := c.values["configdirectory"]
	if !filepath.IsAbs(dir) || filepath.Clean(dir) == "/" {
		return nil, fmt.Errorf("%s: configdirectory is %q and must be an absolute path", path, dir)
	}
	for _, key := range switches {
		if _, ok := boolean(c.Get(key)); !ok {
			return nil, fmt.Errorf("%s: %s is %q, neither yes nor no", path, key, c.Get(key))
		}
	}
	return c, nil
}

// confLoader collects the options of a file and of those it includes.
type confLoader struct {
	read   func(string) ([]byte, error)
	seen   map[string]bool
	values map[string]string
}

// file reads one file.
//
// cyrus: lib/libconfig.c config_read_file
func (l *confLoader) file(path string) error {
	if l.seen[path] {
		return fmt.Errorf("%s: included twice", path)
	}
	l.seen[path] = true
	b, err := l.read(path)
	if err != nil {
		return err
	}
	text := strings.ReplaceAll(string(b), "\\\n", "") // a line may go on
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		key, value, ok := strings.Cut(line, ":")
		key, value = strings.ToLower(key), strings.TrimSpace(value)
		if !ok || value == "" || !isOption(strings.TrimPrefix(key, "@")) {
			return fmt.Errorf("%s: not an option: %q", path, line)
		}
		if err := l.option(path, key, value); err != nil {
			return err
		}
	}
	return nil
}

func (l *confLoader) option(path, key, value string) error {
	switch _, twice := l.values[key]; {
	case key == "@include":
		if !filepath.IsAbs(value) {
			value = filepath.Join(filepath.Dir(path), value)
		}
		return l.file(filepath.Clean(value))
	case key[0] == '@':
		return fmt.Errorf("%s: unknown directive %s", path, key)
	case twice:
		return fmt.Errorf("%s: option %s is given twice", path, key)
	}
	l.values[key] = value
	return nil
}

func isOption(key string) bool {
	return key != "" && strings.Trim(key, "abcdefghijklmnopqrstuvwxyz0123456789-_") == ""
}

// Get returns an option, or Cyrus 3.6's default where it is not given, or nothing where there is none.
func (c *Config) Get(key string) string {
	value, ok := c.values[key]
	if !ok {
		value = defaults[key]
	}
	const dir = "{configdirectory}"
	if len(value) >= len(dir) && strings.EqualFold(value[:len(dir)], dir) {
		value = c.values["configdirectory"] + value[len(dir):]
	}
	return value
}

// Bool reads an option as a boolean word; what is none is false.
func (c *Config) Bool(key string) bool {
	on, ok := boolean(c.Get(key))
	return on && ok
}

// boolean reads a word by its first letters, as Cyrus does: 1, y…, on, t… and 0, n…, of…, f….
//
// cyrus: lib/libconfig.c config_parse_switch
func boolean(word string) (on, ok bool) {
	word = strings.ToLower(word)
	for _, p := range []string{"1", "y", "on", "t"} {
		if strings.HasPrefix(word, p) {
			return true, true
		}
	}
	for _, p := range []string{"0", "n", "of", "f"} {
		if strings.HasPrefix(word, p) {
			return false, true
		}
	}
	return false, false
}

// ServerName is servername, else the name of this host.
func (c *Config) ServerName() string {
	if name := c.Get("servername"); name != "" {
		return name
	}
	name, err := os.Hostname()
	if err != nil {
		return "localhost"
	}
	return name
}

// Partitions are the names of the partitions that hold mail, sorted.
func (c *Config) Partitions() []string {
	var names []string
	for key := range c.values {
		if name, ok := strings.CutPrefix(key, "partition-"); ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// CyrusUser is the system user that the server runs as, which owns its files and locks.
func (c *Config) CyrusUser() string { return c.Get("cyrus_user") }

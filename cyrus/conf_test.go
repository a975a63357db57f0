package cyrus

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// filesOf reads from a map.
func filesOf(files map[string]string) func(string) ([]byte, error) {
	return func(path string) ([]byte, error) {
		text, ok := files[path]
		if !ok {
			return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
		}
		return []byte(text), nil
	}
}

func mustConfig(t testing.TB, lines ...string) *Config {
	t.Helper()
	c, err := loadConfig("/etc/imapd.conf", filesOf(map[string]string{"/etc/imapd.conf": strings.Join(append(lines, "configdirectory: /conf"), "\n")}))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestConfig(t *testing.T) {
	files := map[string]string{
		"/etc/imapd.conf":   "# comment\n\n  ConfigDirectory :/x\n",
		"/etc/good.conf":    "# comment: no\nconfigdirectory:/var/lib/cyrus\r\n  HashImapSpool:  yes \npartition-default: /spool/a b: c\n@include: more.conf\n#@include: /none\nservername: mail.example.org\n",
		"/etc/more.conf":    "partition-p2: \\\n/spool2\nfulldirhash: off\nmboxname_lockpath: {ConfigDirectory}/elsewhere\n@include: /usr/last.conf",
		"/usr/last.conf":    "cyrus_user: imap\nsasl_mech_list: PLAIN",
		"/etc/loop.conf":    "configdirectory: /x\n@include: ../etc/loop2.conf",
		"/etc/loop2.conf":   "@include: loop.conf",
		"/etc/twice.conf":   "configdirectory: /x\nadmins: a\nadmins: b\n",
		"/etc/empty.conf":   "configdirectory: /x\nadmins:\n",
		"/etc/nodir.conf":   "admins: a\n",
		"/etc/root.conf":    "configdirectory: /\n",
		"/etc/rel.conf":     "configdirectory: var\n",
		"/etc/word.conf":    "configdirectory: /x\nhashimapspool: maybe\n",
		"/etc/unknown.conf": "configdirectory: /x\n@exec: rm\n",
		"/etc/missing.conf": "configdirectory: /x\n@include: none\n",
		"/etc/noline.conf":  "configdirectory: /x\nwhatever\n",
		"/etc/at.conf":      "@: x\n",
	}
	read := filesOf(files)
	c, err := loadConfig("/etc/good.conf", read)
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{
		"configdirectory": "/var/lib/cyrus", "hashimapspool": "yes", "partition-default": "/spool/a b: c", "partition-p2": "/spool2",
		"mboxname_lockpath": "/var/lib/cyrus/elsewhere", "mboxname_userpath": "/var/lib/cyrus", "virtdomains": "off", "nothing": "",
	} {
		if got := c.Get(key); got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
	if !c.Bool("hashimapspool") || c.Bool("fulldirhash") || !c.Bool("altnamespace") || !c.Bool("unixhierarchysep") || c.Bool("archive_enabled") || c.Bool("nothing") {
		t.Error("switches")
	}
	if got := c.Partitions(); !slices.Equal(got, []string{"default", "p2"}) {
		t.Errorf("partitions %q", got)
	}
	if c.CyrusUser() != "imap" || c.ServerName() != "mail.example.org" {
		t.Errorf("user %s, server %s", c.CyrusUser(), c.ServerName())
	}
	host, err := os.Hostname()
	if c := mustConfig(t); err != nil || c.CyrusUser() != "cyrus" || c.ServerName() != host || len(c.Partitions()) != 0 {
		t.Errorf("defaults: user %s, server %s", c.CyrusUser(), c.ServerName())
	}
	for path := range files {
		switch path {
		case "/etc/good.conf":
			continue
		}
		if c, err := loadConfig(path, read); err == nil || c != nil {
			t.Errorf("%s: %v, %v", path, c, err)
		}
	}
}

func TestBooleanWords(t *testing.T) {
	for word, want := range map[string]bool{"yes": true, "on": true, "true": true, "1": true, "t": true, "YES": true, "y": true,
		"no": false, "off": false, "false": false, "0": false, "f": false, "Off": false} {
		if got := mustConfig(t, "archive_enabled: "+word).Bool("archive_enabled"); got != want {
			t.Errorf("%s is %v", word, got)
		}
	}
}

func TestLoadConfigFromDisk(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"imapd.conf": "configdirectory: /x\n@include: part.conf\n", "part.conf": "partition-a: /a\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, err := LoadConfig(filepath.Join(dir, "imapd.conf"))
	if err != nil || c.Get("partition-a") != "/a" {
		t.Errorf("%v, %v", c, err)
	}
}

// FuzzLoadConfig: two files that may include one another are read, or refused, and every option is then had.
func FuzzLoadConfig(f *testing.F) {
	f.Add("configdirectory: /x\n@include: /b\n", "partition-a: \\\n/y\n#c\n")
	f.Add("configdirectory:/x\n@include:a", "@include: a")
	f.Fuzz(func(t *testing.T, a, b string) {
		c, err := loadConfig("/a", filesOf(map[string]string{"/a": a, "/b": b}))
		if (err == nil) != (c != nil) {
			t.Fatalf("%v and %v", c, err)
		}
		if err != nil {
			return
		}
		for _, p := range c.Partitions() {
			if c.Get("partition-"+p) == "" {
				t.Fatalf("partition %q is nowhere", p)
			}
		}
		if c.ServerName() == "" || c.CyrusUser() == "" {
			t.Fatal("no server or no user")
		}
	})
}

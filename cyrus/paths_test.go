package cyrus

import (
	"errors"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"backupfs/internal/testenv"
)

func TestHash(t *testing.T) {
	for name, want := range map[string]string{"alice": "aL", "jane.doe": "jI", "0zero": "qQ", "carol": "cB", "example.org": "eO", "example.net": "eO",
		"user": "uC", "Alice": "aO", "": "qA", "[x": "q" + hash("[x", true), "\xe9": "q" + hash("\xe9", true)} {
		if got := hash(name, false) + hash(name, true); got != want {
			t.Errorf("%q is filed under %s, want %s", name, got, want)
		}
	}
}

// TestPaths: the rows of docs/cyrus.md; TestServer compares with real servers.
func TestPaths(t *testing.T) {
	const id = "2nbaz13h0000"
	legacy, hashed, full, domains := "mailbox_legacy_dirs: yes", "hashimapspool: yes", "fulldirhash: yes", "virtdomains: userid"
	for _, c := range []struct {
		conf       []string
		name       Name
		data, lock string
	}{
		{nil, "", "uuid/2/n/" + id, id},
		{[]string{hashed}, "", "uuid/2/n/" + id, "q/" + id},
		{[]string{legacy}, "user.u1.Work", "user/u1/Work", ""},
		{[]string{legacy}, "example.org!user.alice", "domain/example.org/user/alice", ""},
		{[]string{legacy, "defaultdomain: example.org"}, "example.org!user.alice", "user/alice", ""},
		{[]string{legacy, full}, "user.alice", "user/alice", ""},
		{[]string{legacy, hashed}, "user.jane^doe.Projects.2024.Q1", "j/user/jane^doe/Projects/2024/Q1", ""},
		{[]string{legacy, hashed}, "user.alice.v1^2 notes", "a/user/alice/v1^2 notes", ""},
		{[]string{legacy, hashed}, "news", "n/news", ""},
		{[]string{legacy, hashed}, "DELETED.user.alice.Gone.6B054A70", "u/DELETED/user/alice/Gone/6B054A70", ""},
		{[]string{legacy, hashed, full, domains}, "example.org!user.alice", "domain/O/example.org/L/user/alice", ""},
		{[]string{legacy, hashed, full, domains}, "example.org!DELETED.user.alice.6B054A70", "domain/O/example.org/C/DELETED/user/alice/6B054A70", ""},
		{[]string{legacy, hashed, full}, "user.jane^doe", "I/user/jane^doe", ""},
	} {
		m := Mailbox{Name: c.name, UniqueID: id, Partition: "default", Legacy: c.lock == ""}
		if m.Legacy {
			c.lock = c.data
		}
		got, err := mustConfig(t, append(c.conf, "partition-default: /spool")...).Paths(m)
		d := "/spool/" + c.data
		want := Paths{d, d, d + "/cyrus.index", d + "/cyrus.header", d + "/cyrus.annotations", d + "/cyrus.cache", "/conf/lock/" + c.lock + ".lock"}
		if err != nil || got != want {
			t.Errorf("%q of %s: %+v, %v", c.conf, c.name, got, err)
		}
	}
	c := mustConfig(t, "partition-default: /spool", "partition-p2: /spool2", "metapartition-default: /meta", "metapartition_files: header index",
		"archivepartition-default: /arch", "archive_enabled: yes", "metadir-cache-default: /cache", "mboxname_lockpath: /run/lock")
	u := "/uuid/2/n/" + id
	for partition, want := range map[string]Paths{
		"default": {"/spool" + u, "/arch" + u, "/meta" + u + "/cyrus.index", "/meta" + u + "/cyrus.header", "/spool" + u + "/cyrus.annotations", "/cache" + u + "/cyrus.cache", "/run/lock/" + id + ".lock"},
		"p2":      {"/spool2" + u, "/spool2" + u, "/spool2" + u + "/cyrus.index", "/spool2" + u + "/cyrus.header", "/spool2" + u + "/cyrus.annotations", "/spool2" + u + "/cyrus.cache", "/run/lock/" + id + ".lock"},
	} {
		if got, err := c.Paths(Mailbox{UniqueID: id, Partition: partition}); err != nil || got != want {
			t.Errorf("on %s: %+v, %v", partition, got, err)
		}
	}
	if p, err := c.Paths(Mailbox{UniqueID: id, Partition: "p3"}); err == nil || p != (Paths{}) {
		t.Errorf("on p3: %+v, %v", p, err)
	}
}

// TestPathsStayInside: no name leads out of the partition.
func TestPathsStayInside(t *testing.T) {
	for _, conf := range [][]string{nil, {"hashimapspool: yes"}, {"hashimapspool: yes", "fulldirhash: yes"}} {
		c := mustConfig(t, append(conf, "partition-p: /p", "metapartition-p: /p")...)
		for _, s := range []string{"", ".", "..", "a..b", "user.", "user.a/b", "user.a.\x00", "/", "a/../..", "../x!user.a", "!user.a", "..!user.a", "a!b!c/d"} {
			if p, err := c.Paths(Mailbox{Name: Name(s), Partition: "p", Legacy: true}); !errors.Is(err, ErrName) {
				t.Errorf("name %q: %+v, %v", s, p, err)
			}
		}
		for _, s := range []string{"", "a", "..", "ab/../..", "a/b", "ab\x00", "ab.c", "!a", "a!b"} {
			if p, err := c.Paths(Mailbox{UniqueID: s, Partition: "p"}); !errors.Is(err, ErrName) {
				t.Errorf("UniqueID %q: %+v, %v", s, p, err)
			}
		}
	}
}

// confs are the settings that change where a legacy mailbox lies.
func confs(t *rapid.T) *Config {
	word := rapid.SampledFrom([]string{"yes", "no"})
	c, err := loadConfig("/a", filesOf(map[string]string{"/a": "configdirectory: /conf\npartition-p: /p\nhashimapspool: " + word.Draw(t, "hash") +
		"\nfulldirhash: " + word.Draw(t, "full") + "\nvirtdomains: " + word.Draw(t, "domains")}))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestNameFromPath: it is the inverse of Paths, whatever the settings.
func TestNameFromPath(t *testing.T) {
	part := rapid.OneOf(rapid.StringMatching(`[ -\-0-^_-~]{1,12}`), rapid.StringMatching(`[^./!\x00]{1,5}`), rapid.Just("user"), rapid.Just("domain"))
	testenv.Check(t, func(t *rapid.T) {
		c := confs(t)
		n := strings.ReplaceAll(strings.Join(rapid.SliceOfN(part, 1, 5).Draw(t, "parts"), "."), "!", "_")
		if c.Bool("virtdomains") {
			if rapid.Bool().Draw(t, "domain") {
				n = rapid.StringMatching(`[a-z]{1,5}(\.[a-z]{2,3}){0,2}`).Draw(t, "domain name") + "!" + n
			} else if !c.Bool("hashimapspool") && (n == "domain" || strings.HasPrefix(n, "domain.")) {
				return // the domains' own
			}
		}
		p, err := c.Paths(Mailbox{Name: Name(n), Partition: "p", Legacy: true})
		if err != nil {
			t.Fatal(err)
		}
		rel, err := filepath.Rel("/p", p.Data)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := c.NameFromPath(rel); err != nil || string(back) != n {
			t.Fatalf("%q lies at %q, which is %q, %v", n, rel, back, err)
		}
	})
}

// TestPathIsOfItsName: a path that has a name is the name's.
func TestPathIsOfItsName(t *testing.T) {
	part := rapid.SampledFrom([]string{"domain", "a", "u", "q", "L", "C", "O", "user", "alice", "example.org", "DELETED", "", ".", "..", "x!y", "^", "6B05"})
	named := 0
	testenv.Check(t, func(t *rapid.T) {
		c := confs(t)
		rel := strings.Join(rapid.SliceOfN(part, 1, 6).Draw(t, "parts"), "/")
		n, err := c.NameFromPath(rel)
		if err != nil {
			if !errors.Is(err, ErrName) || n != "" {
				t.Fatalf("%q: %q, %v", rel, n, err)
			}
			return
		}
		named++
		if p, err := c.Paths(Mailbox{Name: n, Partition: "p", Legacy: true}); err != nil || p.Data != "/p/"+rel {
			t.Fatalf("%q is named %q, which lies at %q, %v", rel, n, p.Data, err)
		}
	})
	if named == 0 {
		t.Error("no path had a name")
	}
}

func TestUniqueIDFromPath(t *testing.T) {
	for path, want := range map[string]string{"uuid/2/n/2nbaz": "2nbaz", "uuid/1/1/117bb5e9-3240-4755": "117bb5e9-3240-4755", "uuid/2/n/3nbaz": "", "uuid/2/n": "",
		"uuid/2/n/2nbaz/x": "", "x/uuid/2/n/2nbaz": "", "user/alice": "", "": "", "uuid/2/n/": "", "uuid/././..": ""} {
		if id, ok := UniqueIDFromPath(path); ok != (want != "") || ok && id != want {
			t.Errorf("%q: %q, %v", path, id, ok)
		}
	}
}

func TestUserFiles(t *testing.T) {
	hashed, full := mustConfig(t), mustConfig(t, "fulldirhash: yes", "defaultdomain: lab.test")
	moved := mustConfig(t, "mboxname_userpath: /users")
	inbox, old := &Mailbox{UniqueID: "c65jakt1"}, &Mailbox{UniqueID: "c65jakt1", Legacy: true}
	for _, c := range []struct {
		conf  *Config
		user  string
		inbox *Mailbox
		seen  string
	}{
		{hashed, "alice", inbox, "/conf/user/uuid/c/6/c65jakt1/seen.db"},
		{moved, "alice", inbox, "/users/user/uuid/c/6/c65jakt1/seen.db"},
		{hashed, "alice", nil, "/conf/user/a/alice.seen"},
		{hashed, "jane.doe", old, "/conf/user/j/jane.doe.seen"},
		{full, "jane.doe", old, "/conf/user/I/jane.doe.seen"},
		{full, "alice@example.org", old, "/conf/domain/O/example.org/user/L/alice.seen"},
		{full, "alice@lab.test", old, "/conf/user/L/alice.seen"},
		{hashed, "alice@example.org", nil, "/conf/domain/e/example.org/user/a/alice.seen"},
	} {
		want := map[string]string{"seen": c.seen, "sub": strings.Replace(c.seen, "seen", "sub", 1)}
		if got := c.conf.UserFiles(c.user, c.inbox); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v, want %v", c.user, got, want)
		}
	}
	for _, user := range []string{"", "a/b", "a\x00", "@example.org", "a@..", "../x"} {
		if got := hashed.UserFiles(user, nil); len(got) != 0 {
			t.Errorf("%q: %v", user, got)
		}
	}
	if got := hashed.UserFiles("alice", &Mailbox{UniqueID: "../x"}); len(got) != 0 {
		t.Errorf("%v", got)
	}
}

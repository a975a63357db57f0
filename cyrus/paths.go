package cyrus

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// Mailbox is one mailbox as mailboxes.db or a spool knows it.
type Mailbox struct {
	Name      Name
	UniqueID  string // empty where the list does not tell it: it stands in cyrus.header
	Partition string
	Legacy    bool // laid out by name, not by UniqueID
	Before36  bool // of a server before 3.6, whose annotations know mailbox and owner by their names
}

// Paths of a mailbox.
type Paths struct {
	Data                              string // message files
	Archive                           string // those with FlagArchived; equal to Data where there is no archivepartition
	Index, Header, Annotations, Cache string // meta files, metapartition_files taken into account
	Lock                              string // of the mailbox
}

// Paths says where a mailbox lies. ErrName if it can lie nowhere.
//
// cyrus: imap/mboxname.c mboxname_datapath, mboxname_archivepath, mboxname_metapath, mboxname_lockpath
func (c *Config) Paths(m Mailbox) (Paths, error) {
	var p Paths
	root := c.Get("partition-" + m.Partition)
	if root == "" {
		return p, fmt.Errorf("%s: no partition %q in imapd.conf", m.Name, m.Partition)
	}
	tail, lock, err := c.tails(m)
	if err != nil {
		return p, err
	}
	p.Data = filepath.Join(root, tail)
	p.Archive = p.Data
	if archive := c.Get("archivepartition-" + m.Partition); archive != "" && c.Bool("archive_enabled") {
		p.Archive = filepath.Join(archive, tail)
	}
	moved := strings.Fields(c.Get("metapartition_files"))
	meta := func(file, option string) string {
		dir := c.Get("metadir-" + option + "-" + m.Partition)
		if dir == "" && slices.Contains(moved, file) {
			dir = c.Get("metapartition-" + m.Partition)
		}
		if dir == "" {
			dir = root
		}
		return filepath.Join(dir, tail, "cyrus."+file)
	}
	p.Index = meta("index", "index")
	p.Header = meta("header", "header")
	p.Annotations = meta("annotations", "index") // as Cyrus has it
	p.Cache = meta("cache", "cache")
	p.Lock = filepath.Join(c.Get("mboxname_lockpath"), lock+".lock")
	return p, nil
}

// tails returns the path of a mailbox below every partition, and of its lock below mboxname_lockpath, without the suffix.
func (c *Config) tails(m Mailbox) (dir, lock string, err error) {
	if m.Legacy {
		dir, err = c.nameTail(m.Name)
		return dir, dir, err
	}
	if dir, err = idTail(m.UniqueID); err != nil {
		return "", "", fmt.Errorf("%s: %w", m.Name, err)
	}
	lock, err = c.nameTail(Name(m.UniqueID)) // the lock's name is taken for a mailbox name
	return dir, lock, err
}

// UserLocks are what the lock of a user may be called: in 3.6 by the user's id, in later versions by the INBOX.
//
// cyrus: imap/user.c _namelock_name_from_userid
func (c *Config) UserLocks(user string) ([]string, error) {
	var paths []string
	for _, name := range []Name{Name(strings.ReplaceAll(user, ".", "^")), c.Inbox(user)} {
		tail, err := c.nameTail("*U*" + name)
		if err != nil {
			return nil, err
		}
		paths = append(paths, filepath.Join(c.Get("mboxname_lockpath"), tail+".lock"))
	}
	return paths, nil
}

// idTail is a path by UniqueID: uuid/2/n/2nbaz….
//
// cyrus: imap/mboxname.c mboxname_id_hash
func idTail(id string) (string, error) {
	if len(id) < 2 || strings.ContainsAny(id, "./!\x00") {
		return "", fmt.Errorf("%w: UniqueID %q", ErrName, id)
	}
	return filepath.Join("uuid", id[:1], id[1:2], id), nil
}

// nameTail is a path by name: [domain/[H/]example.org/][H/]user/alice/Drafts.
//
// cyrus: imap/mboxname.c mboxname_hash
func (c *Config) nameTail(n Name) (string, error) {
	domain, parts := "", strings.Split(string(n), ".")
	if d, rest, ok := strings.Cut(string(n), "!"); ok {
		domain, parts = d, strings.Split(rest, ".")
		if !isDomain(domain) {
			return "", fmt.Errorf("%w: %q", ErrName, n)
		}
	}
	for _, p := range parts {
		if p == "" || strings.ContainsAny(p, "/\x00") {
			return "", fmt.Errorf("%w: %q", ErrName, n)
		}
	}
	hashed := c.Bool("hashimapspool")
	var path []string
	if domain != "" && domain != c.Get("defaultdomain") {
		path = append(path, "domain")
		if hashed {
			path = append(path, c.hash(domain))
		}
		path = append(path, domain)
	}
	if hashed {
		path = append(path, c.spoolHash(parts))
	}
	return filepath.Join(append(path, parts...)...), nil
}

// isDomain: a folder can have its name.
func isDomain(s string) bool {
	return s != "" && s != "." && s != ".." && !strings.ContainsAny(s, "/\x00")
}

// spoolHash is taken of the second part of a name, which is the user, else of the only one.
func (c *Config) spoolHash(parts []string) string {
	part := parts[min(1, len(parts)-1)]
	return c.hash(strings.ReplaceAll(part, "^", "."))
}

func (c *Config) hash(name string) string { return hash(name, c.Bool("fulldirhash")) }

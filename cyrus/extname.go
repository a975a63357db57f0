package cyrus

import (
	"slices"
	"strconv"
	"strings"
)

// Inbox is the internal name of a user's INBOX. The default domain stands in no name.
//
// cyrus: imap/mboxname.c mbname_from_userid
func (c *Config) Inbox(user string) Name {
	local, domain := user, ""
	if at := strings.LastIndexByte(user, '@'); at >= 0 {
		local, domain = user[:at], user[at+1:]
	}
	return c.inDomain(domain, []string{userPrefix, strings.ReplaceAll(local, ".", "^")})
}

func (c *Config) inDomain(domain string, parts []string) Name {
	name := strings.Join(parts, ".")
	if domain != "" && domain != c.Get("defaultdomain") {
		name = domain + "!" + name
	}
	return Name(name)
}

// Namespace is the configuration of a server of which only altnamespace and unixhierarchysep are known.
func Namespace(alt, unix bool) *Config {
	return &Config{map[string]string{"altnamespace": strconv.FormatBool(alt), "unixhierarchysep": strconv.FormatBool(unix)}}
}

// External is the name by which a user's own mailbox is known to its user over IMAP, in the namespace that unixhierarchysep and
// altnamespace make. The alternative one has no names for mailboxes that were deleted with delay; others' have none here.
//
// cyrus: imap/mboxname.c mbname_extname
func (c *Config) External(n Name, user string) (string, bool) {
	if n.User() == "" || n.User() != user {
		return "", false
	}
	_, parts, deleted, time := n.split()
	parts = slices.Clone(parts)
	alt := c.Bool("altnamespace")
	switch folders := parts[2:]; {
	case deleted && alt:
		return "", false
	case deleted:
		parts = slices.Concat([]string{deletedPrefix}, parts, []string{time})
	case !alt || len(folders) == 0:
		parts = append([]string{inbox}, folders...)
	case c.needsAltPrefix(folders):
		parts = append([]string{c.Get("altprefix")}, folders...)
	default:
		parts = folders
	}
	if c.Bool("unixhierarchysep") {
		return strings.ReplaceAll(strings.Join(parts, "/"), "^", "."), true
	}
	return strings.Join(parts, "."), true
}

// Admin is the name by which Cyrus's own tools and an administrator know a mailbox.
//
// cyrus: imap/mboxname.c mbname_extname
func (c *Config) Admin(n Name) string {
	domain, local, ok := strings.Cut(string(n), "!")
	if !ok {
		domain, local = "", string(n)
	}
	if c.Bool("unixhierarchysep") {
		local = strings.NewReplacer(".", "/", "^", ".").Replace(local)
	}
	if domain != "" {
		local += "@" + domain
	}
	return local
}

// needsAltPrefix: what an alternative namespace would take for something else.
func (c *Config) needsAltPrefix(folders []string) bool {
	top := folders[0]
	if strings.EqualFold(top, inbox) {
		return len(folders) == 1 || top != inbox
	}
	return top == c.Get("altprefix") || top == c.Get("userprefix") || top == c.Get("sharedprefix")
}

// Deleted says that a mailbox was deleted with delay.
func (n Name) Deleted() bool {
	_, _, deleted, _ := n.split()
	return deleted
}

// Internal is the mailbox that a user means by an external name; it need not be there, nor be the user's. A name that means nothing is
// empty. Names of special uses (\Sent) are not looked up, and domains within names (crossdomains) are not known.
//
// cyrus: imap/mboxname.c mbname_from_extname
func (c *Config) Internal(external, user string) Name {
	own := c.Inbox(user)
	domain, prefix, found := strings.Cut(string(own), "!")
	if !found {
		domain, prefix = "", string(own)
	}
	levels, ok := c.levels(external)
	if !ok || len(levels) == 0 {
		return ""
	}
	top := levels[0]
	isInbox := strings.EqualFold(top, inbox)
	switch alt := c.Bool("altnamespace"); {
	case !alt && isInbox, alt && (top == c.Get("altprefix") || isInbox && len(levels) == 1):
		levels = append([]string{prefix}, levels[1:]...)
	case alt && top == c.Get("userprefix"):
		levels[0] = userPrefix
	case alt && top == c.Get("sharedprefix"):
		levels = levels[1:]
	case alt && isInbox:
		levels[0] = inbox
		fallthrough
	case alt:
		levels = append([]string{prefix}, levels...)
	}
	if len(levels) == 0 || len(levels) == 1 && levels[0] == userPrefix {
		return ""
	}
	return c.inDomain(domain, levels)
}

// levels are those of an internal name.
func (c *Config) levels(external string) ([]string, bool) {
	sep, never := ".", "/"
	if c.Bool("unixhierarchysep") {
		sep, never = "/", "^"
	}
	if strings.Contains(external, never) {
		return nil, false
	}
	levels := strings.Split(external, sep)
	levels = slices.DeleteFunc(levels, func(l string) bool { return l == "" })
	for i, l := range levels {
		levels[i] = strings.ReplaceAll(l, ".", "^")
	}
	return levels, true
}

// Compare orders names as mailboxes.db does since 3.0: a folder before those below it, and these before its next sibling.
//
// cyrus: imap/mboxlist.c mboxlist_dbname_to_key
func (n Name) Compare(m Name) int { return strings.Compare(n.key(), m.key()) }

var keyLevels = strings.NewReplacer(".", "\x1f", "^", ".")

func (n Name) key() string {
	domain, rest, ok := strings.Cut(string(n), "!")
	if !ok {
		return keyLevels.Replace(string(n))
	}
	return domain + "\x1d" + keyLevels.Replace(rest)
}

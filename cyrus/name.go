package cyrus

import "strings"

const (
	deletedPrefix = "DELETED" // cyrus: lib/imapoptions deletedprefix; a server with another one has its deleted mailboxes among the shared
	userPrefix    = "user"
	inbox         = "INBOX"
)

// Name is an internal mailbox name, as "user.brong.Drafts" or "example.org!user.alice.v1^2 notes": the hierarchy is by dots, a dot
// within a name is a circumflex, and a domain stands in front.
type Name string

// split takes a name to pieces. deleted is true for a mailbox that was deleted with delay: parts then lack DELETED in
// front, and the hex time at the end is in time.
//
// cyrus: imap/mboxname.c mbname_from_intname
func (n Name) split() (domain string, parts []string, deleted bool, time string) {
	rest := string(n)
	if d, r, ok := strings.Cut(rest, "!"); ok {
		domain, rest = d, r
	}
	parts = strings.Split(rest, ".")
	if len(parts) > 2 && parts[0] == deletedPrefix {
		deleted, time = true, parts[len(parts)-1]
		parts = parts[1 : len(parts)-1]
	}
	return domain, parts, deleted, time
}

// User returns the user id that a name belongs to ("alice@example.org", "jane.doe"), empty for shared mailboxes. Names
// below DELETED belong to their user too.
func (n Name) User() string {
	domain, parts, _, _ := n.split()
	if len(parts) < 2 || parts[0] != userPrefix || parts[1] == "" {
		return ""
	}
	user := strings.ReplaceAll(parts[1], "^", ".")
	if domain != "" {
		user += "@" + domain
	}
	return user
}

// Archived returns the name by which the archive files it (docs/format.md): "INBOX.Drafts", "DELETED.user.brong.Gone.6B054A70",
// the internal name for shared ones. Different names of one user stay different; the domain is not repeated.
func (n Name) Archived() string {
	if n.User() == "" {
		return string(n)
	}
	_, parts, deleted, time := n.split()
	if deleted {
		return deletedPrefix + "." + strings.Join(parts, ".") + "." + time
	}
	return strings.Join(append([]string{inbox}, parts[2:]...), ".")
}

// Canonical turns the names of one run that another tool wrote (docs/format.md: slash as the separator, no INBOX in front)
// into archived names.
//
// One name with a slash shows that all have it; then a dot is a dot. One name outside INBOX shows that the server hides INBOX in all
// others, since a user's run holds no mailbox of anybody else.
func Canonical(names []string) []string {
	list := make([]string, len(names))
	copy(list, names)
	for _, n := range names {
		if strings.Contains(n, "/") {
			swap := strings.NewReplacer(".", "^", "/", ".")
			for i := range list {
				list[i] = swap.Replace(list[i])
			}
			break
		}
	}
	hidden := false
	for _, n := range list {
		hidden = hidden || n != inbox && !strings.HasPrefix(n, inbox+".") && !isDeleted(n)
	}
	if hidden {
		for i, n := range list {
			if n != inbox && !isDeleted(n) {
				list[i] = inbox + "." + n
			}
		}
	}
	return list
}

// isDeleted: an archived name of a user's mailbox that was deleted with delay.
func isDeleted(archived string) bool {
	return strings.HasPrefix(archived, deletedPrefix+"."+userPrefix+".")
}

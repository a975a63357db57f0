package cyruslab

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Append stores a message; a zero date is now.
func (c *Client) Append(mailbox string, msg []byte, date time.Time, flags ...string) error {
	args := []any{"APPEND", Quote(mailbox), "(" + strings.Join(flags, " ") + ")"}
	if !date.IsZero() {
		args = append(args, Quote(date.Format(dateLayout)))
	}
	_, err := c.Cmd(append(args, msg)...)
	return err
}

const dateLayout = "_2-Jan-2006 15:04:05 -0700" // RFC 3501, date-time

func (c *Client) simple(args ...any) error {
	_, err := c.Cmd(args...)
	return err
}

// Select opens a mailbox for reading and writing and returns the number of its messages.
func (c *Client) Select(mailbox string) (int, error) { return c.open("SELECT", mailbox) }

// Examine opens a mailbox for reading.
func (c *Client) Examine(mailbox string) (int, error) { return c.open("EXAMINE", mailbox) }

func (c *Client) open(verb, mailbox string) (int, error) {
	rs, err := c.Cmd(verb, Quote(mailbox))
	if err != nil {
		return 0, err
	}
	for _, r := range rs {
		if r.Str(2) == "EXISTS" {
			return strconv.Atoi(r.Str(1))
		}
	}
	return 0, fmt.Errorf("%s %s: no EXISTS", verb, mailbox)
}

// UIDs returns the UIDs of the opened mailbox, ascending.
func (c *Client) UIDs() ([]uint32, error) {
	rs, err := c.Cmd("UID SEARCH ALL")
	if err != nil {
		return nil, err
	}
	var uids []uint32
	for _, r := range rs {
		if r.Str(1) != "SEARCH" {
			continue
		}
		for _, s := range r[2:].Strings() {
			n, err := strconv.ParseUint(s, 10, 32)
			if err != nil {
				return nil, err
			}
			uids = append(uids, uint32(n))
		}
	}
	return uids, nil
}

// In all of these set is a set of UIDs ("1:3,7", "1:*") of the selected mailbox.

// Store changes flags: how is "FLAGS", "+FLAGS" or "-FLAGS".
func (c *Client) Store(set, how string, flags ...string) error {
	return c.simple("UID STORE", set, how+".SILENT", "("+strings.Join(flags, " ")+")")
}

// Expunge marks messages as deleted and expunges them.
func (c *Client) Expunge(set string) error {
	if err := c.Store(set, "+FLAGS", `\Deleted`); err != nil {
		return err
	}
	return c.simple("UID EXPUNGE", set)
}

func (c *Client) Copy(set, to string) error { return c.simple("UID COPY", set, Quote(to)) }
func (c *Client) Move(set, to string) error { return c.simple("UID MOVE", set, Quote(to)) }

// Unselect leaves the selected mailbox without expunging.
func (c *Client) Unselect() error { return c.simple("UNSELECT") }

func (c *Client) Create(mailbox string) error      { return c.simple("CREATE", Quote(mailbox)) }
func (c *Client) Delete(mailbox string) error      { return c.simple("DELETE", Quote(mailbox)) }
func (c *Client) Rename(from, to string) error     { return c.simple("RENAME", Quote(from), Quote(to)) }
func (c *Client) Subscribe(mailbox string) error   { return c.simple("SUBSCRIBE", Quote(mailbox)) }
func (c *Client) Unsubscribe(mailbox string) error { return c.simple("UNSUBSCRIBE", Quote(mailbox)) }

// CreateOn makes a mailbox on a partition; for administrators.
func (c *Client) CreateOn(mailbox, partition string) error {
	return c.simple("CREATE", Quote(mailbox), partition)
}

// SetACL gives user rights to a mailbox, "" takes them.
func (c *Client) SetACL(mailbox, user, rights string) error {
	return c.simple("SETACL", Quote(mailbox), Quote(user), Quote(rights))
}

// SetMetadata sets an entry ("/private/comment") of a mailbox; an empty value takes it away.
func (c *Client) SetMetadata(mailbox, entry, value string) error {
	if value == "" {
		return c.simple("SETMETADATA", Quote(mailbox), "("+entry+" NIL)")
	}
	return c.simple("SETMETADATA", Quote(mailbox), fmt.Sprintf("(%s {%d+}\r\n%s)", entry, len(value), value)) // any bytes
}

// Metadata returns all entries of a mailbox that have a value, but for those that the server makes up.
func (c *Client) Metadata(mailbox string) (map[string]string, error) {
	rs, err := c.Cmd("GETMETADATA", "(DEPTH infinity)", Quote(mailbox), "(/shared /private)")
	if err != nil {
		return nil, err
	}
	entries := map[string]string{}
	for _, r := range rs {
		if r.Str(1) != "METADATA" {
			continue
		}
		for list := r.Sub(3); len(list) > 1; list = list[2:] {
			if entry, value := list.Str(0), list.Str(1); value != "NIL" && !strings.Contains(entry, "/vendor/cmu/") {
				entries[entry] = value
			}
		}
	}
	return entries, nil
}

// Annotate sets a message annotation (RFC 5257), as "/comment", of the user's own; an empty value takes it away.
func (c *Client) Annotate(set, entry, value string) error {
	return c.annotate(set, entry, "value.priv", value)
}

// AnnotateShared sets one for all.
func (c *Client) AnnotateShared(set, entry, value string) error {
	return c.annotate(set, entry, "value.shared", value)
}

func (c *Client) annotate(set, entry, attribute, value string) error {
	if value == "" {
		return c.simple("UID STORE", set, "ANNOTATION", "("+entry+" ("+attribute+" NIL))")
	}
	return c.simple("UID STORE", set, "ANNOTATION", "("+entry+" ("+attribute, fmt.Sprintf("{%d+}\r\n%s))", len(value), value)) // any bytes
}

// AddUsers makes the INBOX of users, "alice" or "alice@example.org".
func (l *Lab) AddUsers(names ...string) error {
	c, err := l.Admin()
	if err != nil {
		return err
	}
	defer c.Close()
	for _, name := range names {
		if err := c.Create(l.AdminName(name)); err != nil {
			return err
		}
	}
	return nil
}

// AdminName is the name by which an administrator knows a user's mailbox; folders are its levels below INBOX, as they are
// (a dot in them is "^" where dots separate).
func (l *Lab) AdminName(user string, folders ...string) string {
	local, domain, _ := strings.Cut(user, "@")
	if domain != "" {
		domain = "@" + domain
	}
	if !l.Options.UnixHierarchySep {
		local = strings.ReplaceAll(local, ".", "^")
	}
	return strings.Join(append([]string{"user", local}, folders...), l.Sep()) + domain
}

package cyruslab

import (
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"backupfs/internal/truth"
)

// SharedUser stands for the mailboxes of no user, as elsewhere in the project.
const SharedUser = "@shared"

// Truth asks over IMAP what users hold now: folders, messages, flags, dates, digests, METADATA, subscriptions. Nothing is changed by it.
// For SharedUser the administrator asks, who needs rights on these mailboxes (SetACL).
func (l *Lab) Truth(users ...string) (*truth.Truth, error) {
	t := &truth.Truth{Sep: l.Sep(), AltNamespace: l.Options.AltNamespace, Users: map[string]*truth.User{}}
	for _, name := range users {
		u, err := l.truthOf(name)
		if err != nil {
			return nil, fmt.Errorf("user %s: %w", name, err)
		}
		t.Users[name] = u
	}
	return t, nil
}

func (l *Lab) truthOf(user string) (*truth.User, error) {
	login := user
	if user == SharedUser {
		login = adminUser
	}
	c, err := l.Login(login)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	u := &truth.User{Folders: map[string]*truth.Folder{}}
	names, err := c.list("LIST", func(name string) bool { return l.owns(user, name) })
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		f, err := c.folder(name)
		if err != nil {
			return nil, err
		}
		f.DotName = strings.Join(truth.Levels(name, l.Sep()), ".")
		if user == SharedUser {
			f.DotName = strings.TrimPrefix(f.DotName, "INBOX.")
		}
		u.Folders[name] = f
	}
	u.Subscribed, err = c.list("LSUB", func(string) bool { return true })
	return u, err
}

// owns reports whether a mailbox that the user sees is one of his own.
func (l *Lab) owns(user, name string) bool {
	in := func(root string) bool { return name == root || strings.HasPrefix(name, root+l.Sep()) }
	switch {
	case user == SharedUser:
		return !in("user") && !in("DELETED") && !in("INBOX")
	case l.Options.AltNamespace:
		return !in("Other Users") && !in("Shared Folders")
	}
	return in("INBOX")
}

// list returns the names of LIST or LSUB that exist as mailboxes and that want asks for.
func (c *Client) list(verb string, want func(string) bool) ([]string, error) {
	rs, err := c.Cmd(verb, `""`, `"*"`)
	if err != nil {
		return nil, err
	}
	names := []string{}
	for _, r := range rs {
		attrs := strings.ToLower(strings.Join(r.Sub(2).Strings(), " "))
		if r.Str(1) != verb || strings.Contains(attrs, `\noselect`) || strings.Contains(attrs, `\nonexistent`) {
			continue
		}
		if name := r.Str(4); want(name) {
			names = append(names, name)
		}
	}
	return names, nil
}

func (c *Client) folder(name string) (*truth.Folder, error) {
	f := &truth.Folder{Messages: []truth.Message{}}
	var err error
	// Alone: with other items 3.6 can answer rubbish.
	if f.UniqueID, err = c.status(name, "MAILBOXID"); err != nil {
		return nil, err
	}
	validity, err := c.status(name, "UIDVALIDITY")
	if err != nil {
		return nil, err
	}
	if f.UIDValidity, err = strconv.ParseInt(validity, 10, 64); err != nil {
		return nil, err
	}
	if f.Metadata, err = c.Metadata(name); err != nil {
		return nil, err
	}
	n, err := c.Examine(name)
	if err != nil || n == 0 {
		return f, err
	}
	err = c.each(func(r List) error {
		if r.Str(2) != "FETCH" {
			return nil
		}
		m, err := message(r.Sub(3))
		f.Messages = append(f.Messages, m)
		return err
	}, "UID FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[] ANNOTATION (/* (value.priv value.shared)))")
	if err == nil && len(f.Messages) != n {
		err = fmt.Errorf("%s: %d messages fetched of %d", name, len(f.Messages), n)
	}
	return f, errors.Join(err, c.Unselect())
}

// status asks for one item.
func (c *Client) status(mailbox, item string) (string, error) {
	rs, err := c.Cmd("STATUS", Quote(mailbox), "("+item+")")
	if err != nil {
		return "", err
	}
	for _, r := range rs {
		if r.Str(1) != "STATUS" {
			continue
		}
		items := r.Sub(3)
		i := items.After(item)
		if v := items.Sub(i); len(v) == 1 { // MAILBOXID (id)
			return v.Str(0), nil
		}
		if v := items.Str(i); v != "" {
			return v, nil
		}
	}
	return "", fmt.Errorf("%s: no %s", mailbox, item)
}

func message(items List) (truth.Message, error) {
	var m truth.Message
	uid, err := strconv.ParseUint(items.Str(items.After("UID")), 10, 32)
	if err != nil {
		return m, err
	}
	date, err := time.Parse(dateLayout, items.Str(items.After("INTERNALDATE")))
	if err != nil {
		return m, err
	}
	size, err := strconv.ParseInt(items.Str(items.After("RFC822.SIZE")), 10, 64)
	if err != nil {
		return m, err
	}
	at := items.After("BODY[]")
	if at < 0 {
		return m, fmt.Errorf("UID %d: no BODY[]", uid)
	}
	sum := sha1.Sum([]byte(items.Str(at)))
	return truth.Message{UID: uint32(uid), Flags: items.Sub(items.After("FLAGS")).Strings(), InternalDate: truth.Date(date.Unix()),
		Size: size, SHA1: hex.EncodeToString(sum[:]), Annotations: annotations(items.Sub(items.After("ANNOTATION")))}, nil
}

// annotations reads (entry (attribute value …) …).
func annotations(list List) (all map[string]string) {
	for ; len(list) > 1; list = list[2:] {
		for of := list.Sub(1); len(of) > 1; of = of[2:] {
			entry, value := list.Str(0), of.Str(1)
			if value == "NIL" || strings.HasPrefix(entry, "/vendor/cmu/") {
				continue
			}
			if all == nil {
				all = map[string]string{}
			}
			all[entry+" "+of.Str(0)] = value
		}
	}
	return all
}

package restore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/emersion/go-imap/utf7"
	"github.com/emersion/go-imap/v2"

	"backupfs/cyrus"
)

// IMAP is the live mail of a user on any IMAP server. Folders are made, and messages appended with their flags and dates, under new UIDs.
// It asks nothing of the server but IMAP4rev1; with NAMESPACE it knows where the user's own folders are, with UIDPLUS which UIDs came out.
//
// No IMAP server can be asked for digests. Those messages that are as long as one that is looked for are read, once, and compared: what is
// called twice adds nothing, and messages of other lengths cost nothing.
type IMAP struct {
	session *session
	below   string                     // where the folders go; empty: where they were
	delim   string                     // parts the levels of a name; empty: there is one level
	prefix  string                     // of the user's own folders
	others  []imap.NamespaceDescriptor // where those of other users are
	shared  []imap.NamespaceDescriptor // where nobody's are
	boxes   map[string]*imapBox
	seen    map[string]bool // all folders, of whomever
}

// OpenIMAP logs in. Folders are put where they were, or below a folder of another name ("RESTORED.2026-11-16"). When the context ends, so
// does the connection.
func OpenIMAP(ctx context.Context, server Server, below string) (*IMAP, error) {
	s := &IMAP{session: &session{ctx: ctx, server: server}, below: below, boxes: map[string]*imapBox{}, seen: map[string]bool{}}
	others, err := s.namespace()
	if err == nil {
		err = s.list(others)
	}
	if err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// Close ends the connection.
func (s *IMAP) Close() { s.session.close() }

// namespace learns how folders are called, and what others' folders begin with.
func (s *IMAP) namespace() (others []string, err error) {
	client, err := s.session.open()
	if err != nil {
		return nil, err
	}
	if !client.Caps().Has(imap.CapNamespace) {
		root, err := client.List("", "", nil).Collect()
		if err == nil && len(root) > 0 {
			s.delim = delimiter(root[0].Delim)
		}
		return nil, s.said(err)
	}
	n, err := client.Namespace().Wait()
	if err != nil {
		return nil, s.said(err)
	}
	if len(n.Personal) == 0 {
		return nil, fmt.Errorf("%s: %s has no folders there", s.session.server.Address, s.session.server.User)
	}
	s.prefix, s.delim = n.Personal[0].Prefix, delimiter(n.Personal[0].Delim)
	s.others, s.shared = n.Other, n.Shared
	for _, other := range slices.Concat(n.Other, n.Shared) {
		if !strings.HasPrefix(s.prefix, other.Prefix) {
			others = append(others, other.Prefix)
		}
	}
	return others, nil
}

func delimiter(r rune) string {
	if r == 0 {
		return ""
	}
	return string(r)
}

// list learns which folders the user has.
func (s *IMAP) list(others []string) error {
	client, err := s.session.open()
	if err != nil {
		return err
	}
	names, err := client.List("", "*", nil).Collect()
	for _, l := range names {
		if slices.Contains(l.Attrs, imap.MailboxAttrNoSelect) || slices.Contains(l.Attrs, imap.MailboxAttrNonExistent) {
			continue
		}
		s.seen[l.Mailbox] = true
		if slices.ContainsFunc(others, func(prefix string) bool { return strings.HasPrefix(l.Mailbox, prefix) }) {
			continue
		}
		name := l.Mailbox
		if strings.EqualFold(name, "INBOX") {
			name = "INBOX"
		}
		s.boxes[name] = &imapBox{session: s.session, name: name}
	}
	return s.said(err)
}

// said wraps what the server said.
func (s *IMAP) said(err error) error {
	if err != nil {
		err = fmt.Errorf("%s: %w", s.session.server.Address, err)
	}
	return err
}

// Place is the folder that a folder's messages go to.
func (s *IMAP) Place(_ context.Context, f *Folder) (Place, error) {
	name, err := s.name(f.Archived)
	if err != nil {
		return nil, err
	}
	box, ok := s.boxes[name]
	if !ok {
		box = &imapBox{session: s.session, name: name, absent: true}
		s.boxes[name] = box
	}
	return &imapPlace{box: box, uids: map[uint32]uint32{}, owner: f.user, beside: s.below != ""}, nil
}

// name is the folder's name for an archived one, in UTF-8.
func (s *IMAP) name(archived string) (string, error) {
	levels := liveLevels(archived, s.below)
	if len(levels) == 0 {
		return "INBOX", nil
	}
	if s.delim == "" && len(levels) > 1 {
		return "", errors.New("the server has no folders in folders")
	}
	return s.prefix + s.levels(levels), nil
}

// levels are put together as the server does it, in UTF-8.
func (s *IMAP) levels(levels []string) string {
	texts := make([]string, len(levels))
	for i, level := range levels {
		text, err := utf7.Encoding.NewDecoder().String(level)
		if err != nil { // of a server that allowed it
			text = level
		}
		// Cyrus's "^" is a dot, where that is not what parts levels; and what parts them has no place in one.
		if s.delim != "." {
			text = strings.ReplaceAll(text, "^", ".")
		}
		if s.delim != "" {
			text = strings.ReplaceAll(text, s.delim, "_")
		}
		texts[i] = text
	}
	return strings.Join(texts, s.delim)
}

// other is the folder that a mailbox of somebody else's, or of nobody's, is; false if the user is not shown it. By NAMESPACE others' names begin
// with who it is (RFC 2342, section 5). In another domain nobody is looked for.
func (s *IMAP) other(n cyrus.Name) (name string, ok bool) {
	if _, mailbox, ok := strings.Cut(string(n), "!"); ok {
		_, domain, _ := strings.Cut(s.session.server.User, "@")
		if n != cyrus.Name(domain+"!"+mailbox) {
			return "", false
		}
		n = cyrus.Name(mailbox)
	}
	spaces, levels := s.shared, strings.Split(string(n), ".")
	if n.User() != "" {
		spaces, levels = s.others, levels[1:]
	}
	if len(spaces) > 0 {
		name = spaces[0].Prefix + s.levels(levels)
	}
	return name, s.seen[name]
}

// Held looks into all of the user's folders: what is in none is missing.
func (s *IMAP) Held(context.Context) (Held, error) {
	return func(m *Message) (bool, error) {
		for _, box := range s.boxes {
			if here, err := box.has(m); here || err != nil {
				return here, err
			}
		}
		return false, nil
	}, nil
}

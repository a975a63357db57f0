package cyrus

import (
	"bytes"
	"fmt"
	"strings"
)

// Header is a cyrus.header, of either form.
type Header struct {
	Old       bool   // the form of before 3.6, three lines
	MboxType  string // letters, "e" for mail; new form only
	Name      string // internal mailbox name, new form only; of before a RENAME or delayed DELETE where the layout is by name
	UniqueID  string // empty in ancient files
	JMAPID    string
	QuotaRoot string
	Flags     []string // keywords; an empty string where a bit is unused
	ACL       []ACLEntry
}

// ACLEntry is what one identifier may do.
type ACLEntry struct{ User, Rights string }

const (
	headerMagic = "\xa1\x02\x8b\x0dCyrus mailbox header\n"
	maxFlags    = 128 // cyrus: imap/mailbox.h MAX_USER_FLAGS
)

// ParseHeader reads a cyrus.header. ErrDamaged with the offset if it is none; the caller adds the file's name.
//
// cyrus: imap/mailbox.c mailbox_read_header
func ParseHeader(b []byte) (*Header, error) {
	rest, ok := bytes.CutPrefix(b, []byte(headerMagic))
	for range 2 { // the motto
		_, rest, ok = cutLine(rest, ok)
	}
	if !ok {
		return nil, fmt.Errorf("%w: no cyrus.header: its first lines are not those", ErrDamaged)
	}
	if bytes.HasPrefix(rest, []byte("%")) {
		return parseDlistHeader(rest, len(b)-len(rest))
	}
	return parseOldHeader(rest, len(b))
}

// parseOldHeader reads the form of before 3.6, three lines: quota root TAB UniqueID; keywords, each with a blank behind it, the last
// perhaps without; identifier TAB rights TAB, repeated.
func parseOldHeader(b []byte, end int) (*Header, error) {
	first, b, ok := cutLine(b, true)
	flags, b, ok := cutLine(b, ok)
	acl, _, ok := cutLine(b, ok)
	if !ok {
		return nil, fmt.Errorf("%w: ends at %d, within its three lines", ErrDamaged, end)
	}
	h := &Header{Old: true}
	words := strings.Split(first, "\t")
	h.QuotaRoot = words[0]
	if len(words) > 1 {
		h.UniqueID = words[1]
	}
	h.Flags = withoutUnused(strings.Split(flags, " "))
	if len(h.Flags) > maxFlags {
		return nil, fmt.Errorf("%w: %d keywords, there can be %d", ErrDamaged, len(h.Flags), maxFlags)
	}
	words = strings.Split(acl, "\t")
	for ; len(words) > 1; words = words[2:] {
		h.ACL = append(h.ACL, ACLEntry{words[0], words[1]})
	}
	return h, nil
}

// withoutUnused takes the unused bits off the end; nil if none is used.
func withoutUnused(flags []string) []string {
	for n := len(flags); n > 0; n-- {
		if flags[n-1] != "" {
			return flags[:n]
		}
	}
	return nil
}

func cutLine(b []byte, ok bool) (line string, rest []byte, _ bool) {
	l, rest, found := bytes.Cut(b, []byte("\n"))
	return string(l), rest, ok && found
}

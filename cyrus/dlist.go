package cyrus

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// parseDlistHeader reads the form of 3.6 and later: one list of keys and values, which may stand over several lines, since a value
// can be a literal. Keys that it does not know are skipped. base is the offset of b in the file.
//
// cyrus: imap/mailbox.c mailbox_header_data_cstring, imap/dlist.c dlist_parsesax
func parseDlistHeader(b []byte, base int) (*Header, error) {
	d := &dlist{b: b}
	h := new(Header)
	words := map[string]*string{"T": &h.MboxType, "N": &h.Name, "I": &h.UniqueID, "J": &h.JMAPID, "Q": &h.QuotaRoot}
	err := d.pairs(func(key string) error {
		switch {
		case words[key] != nil:
			return d.word(words[key])
		case key == "A":
			return d.pairs(func(user string) error {
				e := ACLEntry{User: user}
				err := d.word(&e.Rights)
				h.ACL = append(h.ACL, e)
				return err
			})
		case key == "U":
			return d.list(func() error {
				var flag string
				if len(h.Flags) == maxFlags {
					return fmt.Errorf("more than %d keywords", maxFlags)
				}
				err := d.word(&flag)
				h.Flags = append(h.Flags, flag)
				return err
			})
		default:
			return d.skip(0)
		}
	})
	if err == nil && string(d.b[d.pos:]) != "\n" && d.pos != len(d.b) {
		err = errors.New("something stands behind the list")
	}
	if err != nil {
		return nil, fmt.Errorf("%w: at %d: %v", ErrDamaged, base+d.pos, err)
	}
	h.Flags = withoutUnused(h.Flags)
	return h, nil
}

// dlist is Cyrus's notation of lists: (a b c), %(key value key value), and words that are atoms, "quoted" or {literals}.
type dlist struct {
	b   []byte
	pos int
}

const maxDepth = 16 // of lists that nobody knows; Cyrus writes 2

// pairs reads %(key value …); value reads the value of key.
func (d *dlist) pairs(value func(key string) error) error {
	return d.sequence("%(", func() error {
		var key string
		if err := d.word(&key); err != nil {
			return err
		}
		if err := d.expect(" "); err != nil {
			return err
		}
		return value(key)
	})
}

// list reads (item …).
func (d *dlist) list(item func() error) error { return d.sequence("(", item) }

func (d *dlist) sequence(open string, item func() error) error {
	if err := d.expect(open); err != nil {
		return err
	}
	for first := true; !d.at(")"); first = false {
		if !first {
			if err := d.expect(" "); err != nil {
				return err
			}
		}
		if err := item(); err != nil {
			return err
		}
	}
	return d.expect(")")
}

// skip reads one value of whatever kind.
func (d *dlist) skip(depth int) error {
	var word string
	deeper := func() error { return d.skip(depth + 1) }
	switch {
	case depth > maxDepth:
		return errors.New("lists within lists")
	case d.at("("):
		return d.list(deeper)
	case d.at("%("):
		return d.pairs(func(string) error { return deeper() })
	default:
		return d.word(&word)
	}
}

// word reads an atom, a quoted string or a literal. NIL is an empty word.
func (d *dlist) word(to *string) error {
	switch {
	case d.at(`"`):
		return d.quoted(to)
	case d.at("{"):
		return d.literal(to)
	}
	atom := d.b[d.pos:]
	if end := bytes.IndexAny(atom, " \r\n"); end >= 0 {
		atom = atom[:end]
	}
	atom = bytes.TrimRight(atom, ")") // within an atom it stands for itself
	if len(atom) == 0 {
		return errors.New("a word is missing")
	}
	d.pos += len(atom)
	*to = ""
	if string(atom) != "NIL" {
		*to = string(atom)
	}
	return nil
}

func (d *dlist) quoted(to *string) error {
	var word strings.Builder
	for i := d.pos + 1; i < len(d.b); i++ {
		switch d.b[i] {
		case '"':
			d.pos = i + 1
			*to = word.String()
			return nil
		case '\\':
			if i++; i == len(d.b) {
				continue
			}
		}
		word.WriteByte(d.b[i])
	}
	return errors.New("a quoted word does not end")
}

func (d *dlist) literal(to *string) error {
	head, body, ok := bytes.Cut(d.b[d.pos+1:], []byte("}\r\n"))
	n, err := strconv.ParseUint(strings.TrimSuffix(string(head), "+"), 10, 31)
	if !ok || err != nil || n > uint64(len(body)) {
		return errors.New("a literal is longer than the file, or has no length")
	}
	*to = string(body[:n])
	d.pos = len(d.b) - len(body) + int(n)
	return nil
}

func (d *dlist) at(s string) bool { return bytes.HasPrefix(d.b[d.pos:], []byte(s)) }

func (d *dlist) expect(s string) error {
	if !d.at(s) {
		return fmt.Errorf("%q is missing", s)
	}
	d.pos += len(s)
	return nil
}

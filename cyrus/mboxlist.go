package cyrus

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// ParseMboxlist reads what ctl_mboxlist -d prints: JSON lines or one object (3.6 and later), or tab-separated text, which
// tells no UniqueID. Tombstones, reservations, intermediates and remote mailboxes are left out, since they have no mail here.
func ParseMboxlist(b []byte) ([]Mailbox, error) {
	if bytes.HasPrefix(bytes.TrimSpace(b), []byte("{")) {
		return parseJSONList(b)
	}
	return parseTextList(b)
}

// letters of an mbtype that leave a mailbox out: tombstone, reserved, intermediate, remote. Those of the types are others.
//
// cyrus: imap/mboxlist.c mboxlist_mbtype_to_string
const (
	absentLetters = "dzir"
	legacyLetter  = "l"
)

// parseJSONList: objects with a member for each mailbox, by its name.
//
// cyrus: imap/ctl_mboxlist.c dump_cb
func parseJSONList(b []byte) ([]Mailbox, error) {
	var list []Mailbox
	dec := json.NewDecoder(bytes.NewReader(b))
	fail := func(err error) ([]Mailbox, error) {
		return nil, fmt.Errorf("%w: list of mailboxes at %d: %v", ErrDamaged, dec.InputOffset(), err)
	}
	for {
		open, err := dec.Token()
		if err == io.EOF {
			return list, nil
		}
		if err != nil {
			return fail(err)
		}
		if open != json.Delim('{') {
			return fail(fmt.Errorf("%v is no object", open))
		}
		for dec.More() {
			name, err := dec.Token()
			if err != nil {
				return fail(err)
			}
			var m struct{ MBType, Partition, UniqueID string }
			if err := dec.Decode(&m); err != nil {
				return fail(err)
			}
			if strings.ContainsAny(m.MBType, absentLetters) {
				continue
			}
			list = append(list, Mailbox{
				Name:      Name(name.(string)), // what a member begins with
				UniqueID:  m.UniqueID,
				Partition: m.Partition,
				Legacy:    strings.Contains(m.MBType, legacyLetter),
			})
		}
		if _, err := dec.Token(); err != nil {
			return fail(err)
		}
	}
}

// bits of an mbtype in the text form that leave a mailbox out: remote, reserved, tombstone, intermediate.
//
// cyrus: imap/mboxlist.h of 3.4 and before
const absentBits = 1<<0 | 1<<1 | 1<<4 | 1<<8

// parseTextList: name TAB mbtype BLANK [server!]partition BLANK acl. All such mailboxes are laid out by name.
//
// cyrus: imap/ctl_mboxlist.c dump_cb of 3.4 and before
func parseTextList(b []byte) ([]Mailbox, error) {
	var list []Mailbox
	n := 0
	for line := range strings.Lines(string(b)) {
		n++
		if line = strings.TrimSuffix(line, "\n"); line == "" {
			continue
		}
		name, rest, ok := strings.Cut(line, "\t")
		mbtype, rest, ok2 := strings.Cut(rest, " ")
		bits, err := strconv.ParseUint(mbtype, 10, 32)
		if name == "" || !ok || !ok2 || err != nil {
			return nil, fmt.Errorf("%w: list of mailboxes, line %d: %q", ErrDamaged, n, line)
		}
		if bits&absentBits != 0 {
			continue
		}
		partition, _, _ := strings.Cut(rest, " ")
		partition = partition[strings.LastIndexByte(partition, '!')+1:] // of one that is being moved
		list = append(list, Mailbox{Name: Name(name), Partition: partition, Legacy: true, Before36: true})
	}
	return list, nil
}

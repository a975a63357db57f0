package cyrus

import (
	"bytes"
	"fmt"
	"strings"
)

// UserRecords reads one of the databases of a user, "seen" or "sub", whichever of the server's types it is of.
//
// cyrus: lib/cyrusdb_flat.c mycommit
func UserRecords(b []byte) (map[string]string, error) {
	records := map[string]string{}
	if bytes.HasPrefix(b, []byte(twoskipMagic[:4])) {
		err := eachRecord(b, func(key, value []byte) error {
			records[string(key)] = string(value)
			return nil
		})
		return records, err
	}
	for line := range strings.Lines(string(b)) { // a flat one: a line a record
		key, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		if !ok || !strings.HasSuffix(line, "\n") {
			return nil, fmt.Errorf("%w: %.40q", ErrDatabase, line)
		}
		records[key] = value
	}
	return records, nil
}

// Keys of the database "sub" since Cyrus 3.6: a record for its version, and names as the user sees them, with their levels parted so.
//
// cyrus: imap/mboxlist.c mboxlist_opensubs
const (
	SubVersionKey = "\x1fVER\x1f"
	subPrefix     = "N"
	subSeparator  = "\x1f"
	subDomain     = "\x1d" // behind a domain
)

// Subscribed is the archived name of the user's own folder that a key of "sub" is of; false if it is of another's.
func Subscribed(key, user string) (archived string, own bool) {
	if name, ok := strings.CutPrefix(key, subPrefix+inbox); ok && (name == "" || strings.HasPrefix(name, subSeparator)) {
		levels := strings.Split(name, subSeparator)
		levels[0] = inbox
		return strings.Join(dotless(levels), "."), true
	}
	name := Name(key)
	return name.Archived(), name.User() == user
}

func dotless(levels []string) []string {
	for i := range levels {
		levels[i] = strings.ReplaceAll(levels[i], ".", "^")
	}
	return levels
}

// SubscriptionKey is the key of a mailbox of the user's own in "sub", of that version; levels are those below his INBOX.
func SubscriptionKey(n Name, levels []string, version2 bool) string {
	if !version2 {
		return string(n)
	}
	key := subPrefix + inbox
	for _, l := range levels {
		key += subSeparator + strings.ReplaceAll(l, "^", ".")
	}
	return key
}

// OtherSubscribed is the mailbox that a key of "sub", of that version, is of, if it is not the user's own.
//
// cyrus: imap/mboxlist.c mbname_from_dbname
func OtherSubscribed(key string, version2 bool) Name {
	if !version2 {
		return Name(key)
	}
	key = strings.TrimPrefix(key, subPrefix)
	domain, rest, ok := strings.Cut(key, subDomain)
	if !ok {
		domain, rest = "", key
	} else {
		domain += "!"
	}
	return Name(domain + strings.Join(dotless(strings.Split(rest, subSeparator)), "."))
}

// OtherSubscriptionKey is the inverse of OtherSubscribed.
func OtherSubscriptionKey(n Name, version2 bool) string {
	if !version2 {
		return string(n)
	}
	domain, rest, ok := strings.Cut(string(n), "!")
	if !ok {
		domain, rest = "", string(n)
	} else {
		domain += subDomain
	}
	return subPrefix + domain + strings.NewReplacer(".", subSeparator, "^", ".").Replace(rest)
}

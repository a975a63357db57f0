package cyrus

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Annotation is one value of a folder's METADATA (RFC 5464).
type Annotation struct {
	Entry string // as the server has it: "/comment" is both /shared/comment and /private/comment
	User  string // whose it is; empty: it is shared
	Value string
}

// Metadata is what the server's database (annotations.db) has of all folders.
type Metadata struct{ of map[string][]Annotation }

// owner stands for the mailbox's owner in a key: the mailbox can be renamed.
//
// cyrus: imap/annotate.c OWNER_USERID_TOKEN
const owner = "[.OwNeR.]"

// ParseMetadata reads annotations.db as it is under its lock. ErrDatabase, ErrDamaged: what the folders have cannot be known.
//
// cyrus: imap/annotate.c split_key, find_cb
func ParseMetadata(b []byte) (*Metadata, error) {
	m := &Metadata{of: map[string][]Annotation{}}
	err := eachRecord(b, func(key, data []byte) error {
		of, rest, isEntry := bytes.Cut(key, []byte{0})
		entry, user, hasUser := bytes.Cut(rest, []byte{0})
		if !isEntry || !hasUser || len(of) == 0 { // the last is the server's own
			return nil
		}
		value, err := annotationValue(data)
		if err != nil {
			return fmt.Errorf("%w: the value of %q", err, key)
		}
		a := Annotation{Entry: string(entry), User: cString(user), Value: cString(value)}
		if len(value) > 0 { // else it was taken away
			m.of[string(of)] = append(m.of[string(of)], a)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return m, nil
}

func cString(b []byte) string {
	b, _, _ = bytes.Cut(b, []byte{0})
	return string(b)
}

// annotationValue is the value in a record: its length, in the first or last half of a C long; the value; what is of no use any more.
//
// cyrus: imap/annotate.c split_attribs
func annotationValue(b []byte) ([]byte, error) {
	if len(b) < 8 {
		return nil, ErrDamaged
	}
	length, rest := uint64(binary.BigEndian.Uint32(b)), b[8:]
	switch low := binary.BigEndian.Uint32(b[4:]); {
	case low == 0: // a little-endian server of 64 bits
	case length == 0: // a big-endian one
		length = uint64(low)
	default: // one of 32 bits
		rest = b[4:]
	}
	if length > uint64(len(rest)) {
		return nil, ErrDamaged
	}
	return rest[:length], nil
}

// Of is the METADATA of a mailbox, in the order of the database: by entry, then by user, with what is shared first. The database of a server before
// 3.6 has the mailbox's name for its UniqueID.
func (m *Metadata) Of(mb Mailbox) []Annotation {
	stored := m.of[mb.UniqueID]
	if stored == nil {
		stored = m.of[string(mb.Name)]
	}
	var list []Annotation
	for _, a := range stored {
		if a.User == owner {
			if a.User = mb.Name.User(); a.User == "" {
				continue // nobody's
			}
		}
		list = append(list, a)
	}
	return list
}

// MarshalAnnotations is what Cyrus makes of a folder's METADATA for a backup: a JSON array of [entry, user, value]. What JSON cannot hold is left
// out; nothing if nothing is left.
//
// cyrus: imap/backupcyrusd.c read_annot
func MarshalAnnotations(list []Annotation) []byte {
	var b bytes.Buffer
	for _, a := range list {
		if !utf8.ValidString(a.Entry + a.User + a.Value) {
			continue
		}
		sep := "[\n"
		if b.Len() > 0 {
			sep = ",\n"
		}
		b.WriteString(sep + "  [\n    " + jsonString(a.Entry) + ",\n    " + jsonString(a.User) + ",\n    " + jsonString(a.Value) + "\n  ]")
	}
	if b.Len() > 0 {
		b.WriteString("\n]")
	}
	return b.Bytes()
}

// jsonString quotes no more than must be, and a control character as Cyrus's library does: \u001F.
func jsonString(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b.Write([]byte{'\\', c})
		case c >= 0x20:
			b.WriteByte(c)
		case strings.IndexByte("\b\f\n\r\t", c) >= 0:
			b.Write([]byte{'\\', "bfnrt"[strings.IndexByte("\b\f\n\r\t", c)]})
		default:
			fmt.Fprintf(&b, `\u%04X`, c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// ParseAnnotations is the inverse of MarshalAnnotations, and reads such JSON however it is indented.
func ParseAnnotations(b []byte) ([]Annotation, error) {
	var rows [][]string
	if err := json.Unmarshal(b, &rows); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	list := make([]Annotation, 0, len(rows))
	for i, row := range rows {
		if len(row) != 3 {
			return nil, fmt.Errorf("%w: row %d is not an entry, a user and a value", ErrDamaged, i+1)
		}
		list = append(list, Annotation{row[0], row[1], row[2]})
	}
	return list, nil
}

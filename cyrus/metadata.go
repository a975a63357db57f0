package cyrus

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Metadata is what the server's database (annotations.db) has of all folders.
type Metadata struct{ of map[string][]Annotation }

// ParseMetadata reads annotations.db as it is under its lock. ErrDatabase, ErrDamaged: what the folders have cannot be known.
func ParseMetadata(b []byte) (*Metadata, error) {
	m := &Metadata{of: map[string][]Annotation{}}
	err := eachAnnotation(b, func(of string, a Annotation) {
		if of != "" {
			m.of[of] = append(m.of[of], a)
		}
	})
	if err != nil {
		return nil, err
	}
	return m, nil
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

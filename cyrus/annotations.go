package cyrus

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strconv"
)

// Annotation is one value of a folder's METADATA (RFC 5464), or an annotation of a message (RFC 5257). The server keeps both in the same way: those of all
// folders in annotations.db, those of a folder's messages in its cyrus.annotations.
type Annotation struct {
	Entry string // as the server has it: "/comment" is both /shared/comment and /private/comment
	User  string // whose it is; empty: it is shared
	Value string
}

// owner stands for the mailbox's owner in a key: the mailbox can be renamed.
//
// cyrus: imap/annotate.c OWNER_USERID_TOKEN
const owner = "[.OwNeR.]"

// eachAnnotation hands on what a database has, with what it is of: a mailbox or a UID; nothing if it is the server's own.
//
// cyrus: imap/annotate.c split_key, find_cb
func eachAnnotation(b []byte, each func(of string, a Annotation)) error {
	return eachRecord(b, func(key, data []byte) error {
		of, rest, isEntry := bytes.Cut(key, []byte{0})
		entry, user, hasUser := bytes.Cut(rest, []byte{0})
		if !isEntry || !hasUser {
			return nil
		}
		value, err := annotationValue(data)
		if err != nil {
			return fmt.Errorf("%w: the value of %q", err, key)
		}
		if len(value) > 0 { // else it was taken away
			each(string(of), Annotation{Entry: string(entry), User: cString(user), Value: cString(value)})
		}
		return nil
	})
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

// MessageAnnotations reads a cyrus.annotations, which is a user's: what the messages have, by UID.
func MessageAnnotations(b []byte, user string) (map[uint32][]Annotation, error) {
	all := map[uint32][]Annotation{}
	err := eachAnnotation(b, func(of string, a Annotation) {
		uid, err := strconv.ParseUint(of, 10, 32)
		if err != nil {
			return // of no message
		}
		if a.User == owner {
			a.User = user
		}
		all[uint32(uid)] = append(all[uint32(uid)], a)
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// AnnotationKey is the key of an annotation of the mailbox, or of its message with that UID, in the server's database.
//
// cyrus: imap/annotate.c make_key
func (mb Mailbox) AnnotationKey(uid uint32, a Annotation) string {
	of := mb.UniqueID
	switch {
	case uid != 0:
		of = strconv.FormatUint(uint64(uid), 10)
	case mb.Before36:
		of = string(mb.Name)
	}
	if !mb.Before36 && a.User != "" && a.User == mb.Name.User() {
		a.User = owner
	}
	return of + "\x00" + a.Entry + "\x00" + a.User + "\x00"
}

// AnnotationData is a value as the server on this host puts it into a record: its length in network byte order, in a long; the value; a type and a time, for
// servers of long ago; the mailbox's modseq at that time, 0 for METADATA; no flags.
//
// cyrus: imap/annotate.c make_entry
func AnnotationData(value string, modseq uint64) string {
	length := binary.NativeEndian.Uint32(binary.BigEndian.AppendUint32(nil, uint32(len(value))))
	b := binary.NativeEndian.AppendUint64(nil, uint64(length))
	b = append(b, value+"\x00text/plain\x00"...)
	b = append(b, make([]byte, 8)...)
	return string(append(binary.BigEndian.AppendUint64(b, modseq), 0))
}

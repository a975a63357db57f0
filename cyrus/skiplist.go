package cyrus

import (
	"encoding/binary"
	"fmt"
)

// A skiplist file is a header, records in the order of their keys as of the last checkpoint, and a log of changes. Each record has pointers to
// the next one on some levels; we follow the first, the lowest. There are no checksums.
//
//	header  magic 20, version 4, minor version 4, levels 4, levels in use 4, records 4, start of the log 4, last recovery 4
//	record  type 4, length of key 4, key, zeros up to a multiple of 4, length of value 4, value, zeros as before, pointers of 4, all ones
//	log     such records; deletions, of 8; the end of a transaction, of 4
//
// cyrus: lib/cyrusdb_skiplist.c read_header, RECSIZE_safe
const (
	skiplistHeader = 48

	skiplistFirst   = 257 // types of records: the first, which has no key
	skiplistInOrder = 1   // of the last checkpoint
	skiplistAdd     = 2   // of the log
	skiplistCommit  = 255
	skiplistPadding = 1<<32 - 1
)

func eachSkiplist(b []byte, each func(key, value []byte) error) error {
	word := func(at int) uint32 { return binary.BigEndian.Uint32(b[at:]) }
	first, err := skiplistAt(b, skiplistHeader)
	if err != nil {
		return err
	}
	if version := word(20); version != 1 {
		return fmt.Errorf("%w: skiplist, version %d", ErrDatabase, version)
	}
	if first.kind != skiplistFirst {
		return fmt.Errorf("%w: its first record is none", ErrDamaged)
	}
	// Where a transaction did not end, pointers lead to what is not to be.
	//
	// cyrus: lib/cyrusdb_skiplist.c SAFE_TO_APPEND
	end := uint32(skiplistCommit)
	if uint32(len(b)) == word(40) {
		end = skiplistPadding
	}
	if len(b)%4 != 0 || word(len(b)-4) != end {
		return fmt.Errorf("%w: its last change was not completed", ErrDamaged)
	}
	var last []byte
	for at := first.next; at != 0; {
		r, err := skiplistAt(b, at)
		if err != nil {
			return err
		}
		if r.kind != skiplistInOrder && r.kind != skiplistAdd || compareSigned(r.key, last) <= 0 {
			return fmt.Errorf("%w: the record at %d is out of order", ErrDamaged, at)
		}
		if err := each(r.key, r.value); err != nil {
			return err
		}
		at, last = r.next, r.key
	}
	return nil
}

// skiplistEntry is one record; next is where the next one begins, 0 if there is none.
type skiplistEntry struct {
	kind, next uint32
	key, value []byte
}

// skiplistAt reads the record at a place.
func skiplistAt(b []byte, at uint32) (r skiplistEntry, err error) {
	short := func() error { return fmt.Errorf("%w: the record at %d ends behind the file", ErrDamaged, at) }
	if at < skiplistHeader || uint64(at)+4 > uint64(len(b)) {
		return r, short()
	}
	r.kind = binary.BigEndian.Uint32(b[at:])
	rest := b[at+4:]
	for _, word := range []*[]byte{&r.key, &r.value} {
		if len(rest) < 4 {
			return r, short()
		}
		length := uint64(binary.BigEndian.Uint32(rest))
		rest = rest[4:]
		if (length+3)&^3 > uint64(len(rest)) {
			return r, short()
		}
		*word, rest = rest[:length], rest[(length+3)&^3:]
	}
	if len(rest) < 8 { // one pointer and the padding
		return r, short()
	}
	if r.next = binary.BigEndian.Uint32(rest); r.next == skiplistPadding {
		return r, fmt.Errorf("%w: the record at %d is on no level", ErrDamaged, at)
	}
	return r, nil
}

// compareSigned is the order of a skiplist: of bytes that have a sign.
//
// cyrus: lib/cyrusdb_skiplist.c compare_signed
func compareSigned(a, b []byte) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return int(int8(a[i])) - int(int8(b[i]))
		}
	}
	return len(a) - len(b)
}

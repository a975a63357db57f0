package cyrus

import (
	"bytes"
	"errors"
)

// ErrDatabase: a database of another type than twoskip and skiplist, or of a version that is not known. Nothing is guessed.
var ErrDatabase = errors.New("a database of a type that is not known")

const (
	twoskipMagic  = "\xa1\x02\x8b\x0dtwoskip file\x00\x00\x00\x00"
	skiplistMagic = "\xa1\x02\x8b\x0dskiplist file\x00\x00\x00"
)

// eachRecord hands on the records of a database, read under its lock, in the order of its keys. An error of each ends it. All numbers in
// both types are big-endian.
//
// cyrus: lib/cyrusdb.c cyrusdb_detect
func eachRecord(b []byte, each func(key, value []byte) error) error {
	switch {
	case len(b) == 0: // the server makes it so, before its first record
		return nil
	case bytes.HasPrefix(b, []byte(twoskipMagic)):
		return eachTwoskip(b, each)
	case bytes.HasPrefix(b, []byte(skiplistMagic)):
		return eachSkiplist(b, each)
	}
	return ErrDatabase
}

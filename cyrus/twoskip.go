package cyrus

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// A twoskip file is a header and records that are appended. Each record has pointers to the next one, in the order of the keys, on some levels;
// we follow the lowest, of which there are two: one is of before the last change.
//
//	header  magic 20, version 4, generation 8, number of records 8, size at the last repack 8, size 8, flags 4, CRC 4
//	record  type 1, level 1, length of key 2, of value 4; where these are all ones, the lengths in 8 each; level+1 pointers of 8; CRC of all
//	        that 4; CRC of what follows 4; key, value, zeros up to a multiple of 8
//
// cyrus: lib/cyrusdb_twoskip.c read_header, read_onerecord
const (
	twoskipHeader   = 64
	twoskipDirty    = 1 // flag: a transaction is, or was, under way
	twoskipMaxLevel = 31

	twoskipFirst  = '=' // types of records: the first, which has no key
	twoskipRecord = '+'
	twoskipDelete = '-' // stands for a key that is no more, and has one pointer
)

// eachTwoskip leaves out what stands behind the size in the header: a transaction that did not end. As long as no record of before
// was torn by it, all is there as if it had not begun.
//
// cyrus: lib/cyrusdb_twoskip.c myconsistent, recovery1
func eachTwoskip(b []byte, each func(key, value []byte) error) error {
	if len(b) < twoskipHeader || crc32.ChecksumIEEE(b[:60]) != binary.BigEndian.Uint32(b[60:]) {
		return fmt.Errorf("%w: the checksum of its header is wrong", ErrDamaged)
	}
	if version := binary.BigEndian.Uint32(b[20:]); version != 1 {
		return fmt.Errorf("%w: twoskip, version %d", ErrDatabase, version)
	}
	count, size := binary.BigEndian.Uint64(b[32:]), binary.BigEndian.Uint64(b[48:])
	if size > uint64(len(b)) {
		return fmt.Errorf("%w: it has %d bytes of %d", ErrDamaged, len(b), size)
	}
	clean := size == uint64(len(b)) && binary.BigEndian.Uint32(b[56:])&twoskipDirty == 0
	b = b[:size]
	first, err := twoskipAt(b, twoskipHeader)
	if err != nil {
		return err
	}
	if first.kind != twoskipFirst {
		return fmt.Errorf("%w: its first record is none", ErrDamaged)
	}
	var last []byte
	var n uint64
	for steps, at := 0, first.next; at != 0; steps++ {
		r, err := twoskipAt(b, at)
		switch {
		case err != nil:
			return err
		case steps > len(b)/24: // each is as long at least
			return fmt.Errorf("%w: its records run in a circle", ErrDamaged)
		}
		at = r.next
		if r.kind == twoskipDelete {
			continue
		}
		if r.kind != twoskipRecord || bytes.Compare(r.key, last) <= 0 {
			return fmt.Errorf("%w: the record at %d is out of order", ErrDamaged, r.at)
		}
		last = r.key
		n++
		if err := each(r.key, r.value); err != nil {
			return err
		}
	}
	if clean && n != count {
		return fmt.Errorf("%w: it says %d records and has %d", ErrDamaged, count, n)
	}
	return nil
}

// twoskipEntry is one record; next is where the next one begins, 0 if there is none.
type twoskipEntry struct {
	at, next   uint64
	kind       byte
	key, value []byte
}

// twoskipAt reads the record at a place.
func twoskipAt(b []byte, at uint64) (r twoskipEntry, err error) {
	short := func() error { return fmt.Errorf("%w: the record at %d ends behind the file", ErrDamaged, at) }
	if at < twoskipHeader || at > uint64(len(b)) || uint64(len(b))-at < 24 {
		return r, short()
	}
	head := b[at:]
	level, rest := int(head[1]), head[8:]
	keyLen, valueLen := uint64(binary.BigEndian.Uint16(head[2:])), uint64(binary.BigEndian.Uint32(head[4:]))
	for _, long := range []struct {
		length *uint64
		ones   uint64
	}{{&keyLen, 1<<16 - 1}, {&valueLen, 1<<32 - 1}} {
		if *long.length == long.ones {
			if len(rest) < 8 {
				return r, short()
			}
			*long.length, rest = binary.BigEndian.Uint64(rest), rest[8:]
		}
	}
	pointers := rest
	if level > twoskipMaxLevel || len(rest) < 8*(level+1)+8 {
		return r, short()
	}
	rest = rest[8*(level+1):]
	headCRC, tailCRC := binary.BigEndian.Uint32(rest), binary.BigEndian.Uint32(rest[4:])
	head, rest = head[:len(head)-len(rest)], rest[8:]
	left := uint64(len(rest))
	if keyLen > left || valueLen > left-keyLen || (keyLen+valueLen+7)&^7 > left {
		return r, short()
	}
	if crc32.ChecksumIEEE(head) != headCRC || crc32.ChecksumIEEE(rest[:(keyLen+valueLen+7)&^7]) != tailCRC {
		return r, fmt.Errorf("%w: the checksum of the record at %d is wrong", ErrDamaged, at)
	}
	r = twoskipEntry{at: at, next: binary.BigEndian.Uint64(pointers), kind: head[0], key: rest[:keyLen], value: rest[keyLen:][:valueLen]}
	if r.kind != twoskipDelete {
		if level == 0 {
			return r, fmt.Errorf("%w: the record at %d is on no level", ErrDamaged, at)
		}
		r.next = twoskipNext(r.next, binary.BigEndian.Uint64(pointers[8:]), uint64(len(b)))
	}
	return r, nil
}

// twoskipNext is which of the two pointers counts: the later one that is not of a transaction behind the end.
//
// cyrus: lib/cyrusdb_twoskip.c _getloc
func twoskipNext(a, b, end uint64) uint64 {
	switch {
	case a >= end:
		return b
	case b >= end:
		return a
	}
	return max(a, b)
}

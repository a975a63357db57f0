package cyrus

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// Time is a moment as the index keeps it: whole seconds up to version 19, nanoseconds in version 20.
type Time struct {
	Sec  int64 // since 1970, UTC
	Nsec int32 // 0 to 999,999,999
}

// Index is a cyrus.index in memory. Fields that a version lacks are zero.
type Index struct {
	Generation        uint32 // of the cache
	Format            uint32
	Version           uint32 // minor version, 9 to 20
	StartOffset       uint32 // of the first record
	RecordSize        uint32
	NumRecords        uint32 // expunged ones too
	Exists            uint32 // those that IMAP shows; from version 12
	LastAppend        Time
	LastUID           uint32
	QuotaUsed         uint64 // bytes
	Pop3LastLogin     Time
	UIDValidity       uint32
	Deleted           uint32 // messages with \Deleted
	Answered          uint32
	Flagged           uint32
	Options           uint32
	LeakedCache       uint32
	HighestModseq     uint64
	DeletedModseq     uint64
	FirstExpunged     Time
	LastCleanup       Time
	HeaderFileCRC     uint32 // CRC-32 (IEEE) of the whole cyrus.header
	SyncCRC           uint32
	RecentUID         uint32
	RecentTime        Time
	HeaderCRC         uint32
	Pop3ShowAfter     Time
	QuotaAnnotUsed    uint64
	SyncCRCAnnot      uint32
	Unseen            uint32
	CreatedModseq     uint64
	ChangesEpoch      Time
	QuotaDeletedUsed  uint64
	QuotaExpungedUsed uint64

	HeaderCRCOK bool // true where the version has none

	// Records are as the file has them: a server writes them in the order of their UIDs, a damaged file need not.
	Records []Record
}

// Record is one record of a cyrus.index.
type Record struct {
	UID           uint32
	InternalDate  int64 // Unix seconds
	InternalNsec  int32 // version 20
	SentDate      Time
	Size          uint64
	HeaderSize    uint32
	ContentOffset uint32 // versions 9 and 10
	CacheOffset   uint32 // its higher bits are the high half of CacheVersion
	LastUpdated   Time
	SystemFlags   uint32
	UserFlags     [4]uint32 // bit n of word w is flag 32*w+n of cyrus.header
	ContentLines  uint32    // up to version 14
	CacheVersion  uint32
	UUID          [12]byte // version 9, no digest of anything
	Modseq        uint64
	GUID          GUID // zero in version 9
	GmTime        Time
	CacheCRC      uint32
	RecordCRC     uint32
	CID           uint64
	SaveDate      Time
	CreatedModseq uint64
	BaseCID       uint64

	CRCOK bool // true where the version has none
}

// ParseIndex reads a whole cyrus.index. CRCs that are wrong are noted, not refused; anything else that cannot be is an
// error with the offset (the caller adds the file's name): ErrVersion, ErrDamaged.
// The file may be longer than its header says, since a record is appended before it is counted.
func ParseIndex(b []byte) (*Index, error) {
	if len(b) < versionEnd {
		return nil, fmt.Errorf("%w: ends at %d, within the header", ErrDamaged, len(b))
	}
	version := binary.BigEndian.Uint32(b[versionEnd-4:])
	l, ok := layouts()[version]
	if !ok {
		return nil, fmt.Errorf("%w: %d", ErrVersion, version)
	}
	if len(b) < l.headerSize {
		return nil, fmt.Errorf("%w: ends at %d, within the header of %d bytes", ErrDamaged, len(b), l.headerSize)
	}
	ix := new(Index)
	decode(l.header, ix, b)
	ix.HeaderCRCOK = l.headerCRC < 0 || ix.HeaderCRC == crc32.ChecksumIEEE(b[:l.headerCRC])
	if int64(ix.StartOffset) != int64(l.headerSize) {
		return nil, fmt.Errorf("%w: start offset %d at 12, version %d has %d", ErrDamaged, ix.StartOffset, version, l.headerSize)
	}
	if !l.allows(ix.RecordSize) {
		return nil, fmt.Errorf("%w: record size %d at 16, version %d has %d", ErrDamaged, ix.RecordSize, version, l.recordSize)
	}
	if have := (len(b) - l.headerSize) / int(ix.RecordSize); int64(ix.NumRecords) > int64(have) {
		return nil, fmt.Errorf("%w: %d records at 20, but the file ends at %d and holds %d", ErrDamaged, ix.NumRecords, len(b), have)
	}
	ix.Records = make([]Record, ix.NumRecords)
	for n := range ix.Records {
		r, b := &ix.Records[n], b[l.headerSize+n*int(ix.RecordSize):]
		decode(l.record, r, b)
		r.CRCOK = l.recordCRC < 0 || r.RecordCRC == crc32.ChecksumIEEE(b[:l.recordCRC])
		if version < seenVersion {
			r.SystemFlags &^= FlagSeen
		}
	}
	return ix, nil
}

// Marshal returns the file of ix.Version. It computes StartOffset, NumRecords, all CRCs, and RecordSize where that is none
// of the version; other fields are written as they are, and those that the version lacks are left out. A value that its
// field cannot hold is an error.
func (ix *Index) Marshal() ([]byte, error) {
	l, ok := layouts()[ix.Version]
	if !ok {
		return nil, fmt.Errorf("%w: %d", ErrVersion, ix.Version)
	}
	head := *ix
	head.StartOffset = uint32(l.headerSize)
	head.NumRecords = uint32(len(ix.Records))
	if !l.allows(head.RecordSize) {
		head.RecordSize = uint32(l.recordSize)
	}
	b := make([]byte, l.headerSize+len(ix.Records)*int(head.RecordSize))
	if err := encode(l.header, &head, b); err != nil {
		return nil, err
	}
	if l.headerCRC >= 0 {
		binary.BigEndian.PutUint32(b[l.headerCRC:], crc32.ChecksumIEEE(b[:l.headerCRC]))
	}
	for n := range ix.Records {
		r, b := ix.Records[n], b[l.headerSize+n*int(head.RecordSize):]
		if ix.Version < seenVersion {
			r.SystemFlags &^= FlagSeen
		}
		if err := encode(l.record, &r, b); err != nil {
			return nil, fmt.Errorf("UID %d: %w", r.UID, err)
		}
		if l.recordCRC >= 0 {
			binary.BigEndian.PutUint32(b[l.recordCRC:], crc32.ChecksumIEEE(b[:l.recordCRC]))
		}
	}
	return b, nil
}

package cyrus

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
)

const (
	versionEnd  = 12 // the minor version ends here in every version
	seenVersion = 12 // before it the owner's \Seen was only in the user's seen file
)

// sizes are those of the header and of a record.
//
// cyrus: imap/mailbox.c mailbox_buf_to_index_header
var sizes = []struct{ version, header, record int }{
	{9, 96, 80}, {10, 96, 88}, {12, 128, 96}, {13, 128, 104}, {14, 160, 104}, {15, 160, 104},
	{16, 160, 112}, {17, 160, 112}, {18, 160, 112}, {19, 160, 112}, {20, 192, 144},
}

// headerFields and recordFields are the layout of all versions, read and written. A cell is offset:size in bytes, "-" where a version
// lacks the field; the columns are those of sizes. All numbers are big-endian and unsigned; a time of 8 bytes is in
// nanoseconds and signed.
//
// cyrus: perl/imap/lib/Cyrus/IndexFile.pm
var headerFields = []field[Index]{
	//                    9     10    12    13    14    15    16    17    18    19    20
	{"Generation", "0:4   0:4   0:4   0:4   0:4   0:4   0:4   0:4   0:4   0:4   0:4", func(i *Index) any { return &i.Generation }},
	{"Format", "4:4   4:4   4:4   4:4   4:4   4:4   4:4   4:4   4:4   4:4   4:4", func(i *Index) any { return &i.Format }},
	{"MinorVersion", "8:4   8:4   8:4   8:4   8:4   8:4   8:4   8:4   8:4   8:4   8:4", func(i *Index) any { return &i.Version }},
	{"StartOffset", "12:4  12:4  12:4  12:4  12:4  12:4  12:4  12:4  12:4  12:4  12:4", func(i *Index) any { return &i.StartOffset }},
	{"RecordSize", "16:4  16:4  16:4  16:4  16:4  16:4  16:4  16:4  16:4  16:4  16:4", func(i *Index) any { return &i.RecordSize }},
	{"NumRecords", "20:4  20:4  20:4  20:4  20:4  20:4  20:4  20:4  20:4  20:4  20:4", func(i *Index) any { return &i.NumRecords }},
	{"Exists", "-     -     84:4  84:4  84:4  84:4  84:4  84:4  84:4  60:4  60:4", func(i *Index) any { return &i.Exists }},
	{"LastAppenddate", "24:4  24:4  24:4  24:4  24:4  24:4  24:4  24:4  24:4  24:4  24:8", func(i *Index) any { return &i.LastAppend }},
	{"LastUid", "28:4  28:4  28:4  28:4  28:4  28:4  28:4  28:4  28:4  28:4  88:4", func(i *Index) any { return &i.LastUID }},
	{"QuotaUsed", "32:8  32:8  32:8  32:8  32:8  32:8  32:8  32:8  32:8  32:8  32:8", func(i *Index) any { return &i.QuotaUsed }},
	{"Pop3LastLogin", "40:4  40:4  40:4  40:4  40:4  40:4  40:4  40:4  40:4  40:4  40:8", func(i *Index) any { return &i.Pop3LastLogin }},
	{"UidValidity", "44:4  44:4  44:4  44:4  44:4  44:4  44:4  44:4  44:4  44:4  92:4", func(i *Index) any { return &i.UIDValidity }},
	{"Deleted", "48:4  48:4  48:4  48:4  48:4  48:4  48:4  48:4  48:4  48:4  48:4", func(i *Index) any { return &i.Deleted }},
	{"Answered", "52:4  52:4  52:4  52:4  52:4  52:4  52:4  52:4  52:4  52:4  52:4", func(i *Index) any { return &i.Answered }},
	{"Flagged", "56:4  56:4  56:4  56:4  56:4  56:4  56:4  56:4  56:4  56:4  56:4", func(i *Index) any { return &i.Flagged }},
	{"Options", "60:4  60:4  60:4  60:4  60:4  60:4  60:4  60:4  60:4  64:4  64:4", func(i *Index) any { return &i.Options }},
	{"LeakedCache", "64:4  64:4  64:4  64:4  64:4  64:4  64:4  64:4  64:4  68:4  68:4", func(i *Index) any { return &i.LeakedCache }},
	{"HighestModseq", "68:8  68:8  68:8  68:8  68:8  68:8  68:8  68:8  68:8  72:8  72:8", func(i *Index) any { return &i.HighestModseq }},
	{"DeletedModseq", "-     -     76:8  76:8  76:8  76:8  76:8  76:8  76:8  80:8  80:8", func(i *Index) any { return &i.DeletedModseq }},
	{"FirstExpunged", "-     -     88:4  88:4  88:4  88:4  88:4  88:4  88:4  88:4  168:8", func(i *Index) any { return &i.FirstExpunged }},
	{"LastCleanup", "-     -     92:4  92:4  92:4  92:4  92:4  92:4  92:4  92:4  176:8", func(i *Index) any { return &i.LastCleanup }},
	{"HeaderFileCRC", "-     -     96:4  96:4  96:4  96:4  96:4  96:4  96:4  96:4  96:4", func(i *Index) any { return &i.HeaderFileCRC }},
	{"SyncCRC", "-     -     100:4 100:4 100:4 100:4 100:4 100:4 100:4 100:4 100:4", func(i *Index) any { return &i.SyncCRC }},
	{"RecentUid", "-     -     104:4 104:4 104:4 104:4 104:4 104:4 104:4 104:4 184:4", func(i *Index) any { return &i.RecentUID }},
	{"RecentTime", "-     -     108:4 108:4 108:4 108:4 108:4 108:4 108:4 108:4 104:8", func(i *Index) any { return &i.RecentTime }},
	{"HeaderCrc", "-     -     124:4 124:4 156:4 156:4 156:4 156:4 156:4 156:4 188:4", func(i *Index) any { return &i.HeaderCRC }},
	{"Pop3ShowAfter", "-     -     -     112:4 112:4 112:4 112:4 112:4 112:4 112:4 112:8", func(i *Index) any { return &i.Pop3ShowAfter }},
	{"QuotaAnnotUsed", "-     -     -     116:4 116:4 116:4 116:4 116:4 116:4 116:4 152:8", func(i *Index) any { return &i.QuotaAnnotUsed }},
	{"SyncCRCsAnnot", "-     -     -     120:4 120:4 120:4 120:4 120:4 120:4 120:4 120:4", func(i *Index) any { return &i.SyncCRCAnnot }},
	{"Unseen", "-     -     -     -     124:4 124:4 124:4 124:4 124:4 124:4 124:4", func(i *Index) any { return &i.Unseen }},
	{"CreatedModseq", "-     -     -     -     -     -     128:8 128:8 128:8 128:8 128:8", func(i *Index) any { return &i.CreatedModseq }},
	{"ChangesEpoch", "-     -     -     -     -     -     -     136:4 136:4 152:4 160:8", func(i *Index) any { return &i.ChangesEpoch }},
	{"QuotaDeletedUsed", "-     -     -     -     -     -     -     -     140:8 136:8 136:8", func(i *Index) any { return &i.QuotaDeletedUsed }},
	{"QuotaExpungedUsed", "-     -     -     -     -     -     -     -     148:8 144:8 144:8", func(i *Index) any { return &i.QuotaExpungedUsed }},
}

var recordFields = []field[Record]{
	//                   9     10    12    13    14     15     16     17     18     19     20
	{"Uid", "0:4   0:4   0:4   0:4   0:4    0:4    0:4    0:4    0:4    0:4    0:4", func(r *Record) any { return &r.UID }},
	{"InternalDate", "4:4   4:4   4:4   4:4   4:4    4:4    4:4    4:4    4:4    4:4    8:8", func(r *Record) any { return (*internalDate)(r) }},
	{"SentDate", "8:4   8:4   8:4   8:4   8:4    8:4    8:4    8:4    8:4    8:4    16:8", func(r *Record) any { return &r.SentDate }},
	{"Size", "12:4  12:4  12:4  12:4  12:4   12:4   12:4   12:4   12:4   12:4   24:8", func(r *Record) any { return &r.Size }},
	{"HeaderSize", "16:4  16:4  16:4  16:4  16:4   16:4   16:4   16:4   16:4   16:4   32:4", func(r *Record) any { return &r.HeaderSize }},
	{"ContentOffset", "20:4  20:4  -     -     -      -      -      -      -      -      -", func(r *Record) any { return &r.ContentOffset }},
	{"CacheOffset", "24:4  24:4  24:4  24:4  24:4   24:4   24:4   24:4   24:4   24:4   4:4", func(r *Record) any { return &r.CacheOffset }},
	{"LastUpdated", "28:4  28:4  28:4  28:4  28:4   28:4   28:4   28:4   28:4   28:4   112:8", func(r *Record) any { return &r.LastUpdated }},
	{"SystemFlags", "32:4  32:4  32:4  32:4  32:4   32:4   32:4   32:4   32:4   32:4   36:4", func(r *Record) any { return &r.SystemFlags }},
	{"UserFlags", "36:16 36:16 36:16 36:16 36:16  36:16  36:16  36:16  36:16  36:16  40:16", func(r *Record) any { return &r.UserFlags }},
	{"ContentLines", "52:4  52:4  52:4  52:4  52:4   -      -      -      -      -      -", func(r *Record) any { return &r.ContentLines }},
	{"CacheVersion", "56:4  56:4  56:4  56:4  56:4   56:4   56:4   56:4   56:4   56:4   56:4", func(r *Record) any { return &r.CacheVersion }},
	{"MessageUuid", "60:12 -     -     -     -      -      -      -      -      -      -", func(r *Record) any { return &r.UUID }},
	{"Modseq", "72:8  80:8  80:8  80:8  80:8   80:8   80:8   80:8   80:8   80:8   80:8", func(r *Record) any { return &r.Modseq }},
	{"MessageGuid", "-     60:20 60:20 60:20 60:20  60:20  60:20  60:20  60:20  60:20  60:20", func(r *Record) any { return &r.GUID }},
	{"GmTime", "-     -     20:4  20:4  20:4   20:4   20:4   20:4   20:4   20:4   104:8", func(r *Record) any { return &r.GmTime }},
	{"CacheCrc", "-     -     88:4  96:4  96:4   96:4   104:4  104:4  104:4  104:4  136:4", func(r *Record) any { return &r.CacheCRC }},
	{"RecordCrc", "-     -     92:4  100:4 100:4  100:4  108:4  108:4  108:4  108:4  140:4", func(r *Record) any { return &r.RecordCRC }},
	{"CID", "-     -     -     88:8  88:8   88:8   88:8   88:8   88:8   88:8   88:8", func(r *Record) any { return &r.CID }},
	{"SaveDate", "-     -     -     -     -      52:4   52:4   52:4   52:4   52:4   120:8", func(r *Record) any { return &r.SaveDate }},
	{"CreatedModseq", "-     -     -     -     -      -      96:8   96:8   96:8   96:8   96:8", func(r *Record) any { return &r.CreatedModseq }},
	{"BaseCID", "-     -     -     -     -      -      -      -      -      -      128:8", func(r *Record) any { return &r.BaseCID }},
}

// field is one row: ref points to the field in memory, and its type says how the bytes are read (index_codec.go).
type field[T any] struct {
	name  string
	cells string
	ref   func(*T) any
}

// op is a field of one version.
type op[T any] struct {
	name      string
	off, size int
	ref       func(*T) any
}

// layout is one version.
type layout struct {
	version                uint32
	headerSize, recordSize int
	header                 []op[Index]
	record                 []op[Record]
	headerCRC, recordCRC   int // offset of the CRC of all bytes before it, -1 if there is none
}

// layouts are made when the first index is read: a run in which nothing changed reads none, and making them takes longer than much of what else
// it does.
var layouts = sync.OnceValue(func() map[uint32]*layout {
	m := make(map[uint32]*layout)
	for column, s := range sizes {
		l := &layout{version: uint32(s.version), headerSize: s.header, recordSize: s.record}
		l.header, l.headerCRC = ops(headerFields, column, "HeaderCrc")
		l.record, l.recordCRC = ops(recordFields, column, "RecordCrc")
		m[l.version] = l
	}
	return m
})

// ops picks a column. The tables are constants, so a cell that does not parse is a fault of this file.
func ops[T any](fields []field[T], column int, crcName string) (list []op[T], crc int) {
	crc = -1
	for _, f := range fields {
		cells := strings.Fields(f.cells)
		if len(cells) != len(sizes) {
			panic(fmt.Sprintf("%s has %d cells", f.name, len(cells)))
		}
		off, size, ok := strings.Cut(cells[column], ":")
		if !ok {
			continue
		}
		o := op[T]{name: f.name, ref: f.ref}
		var err1, err2 error
		o.off, err1 = strconv.Atoi(off)
		o.size, err2 = strconv.Atoi(size)
		if err1 != nil || err2 != nil {
			panic(fmt.Sprintf("%s has a cell %q", f.name, cells[column]))
		}
		if f.name == crcName {
			crc = o.off
		}
		list = append(list, o)
	}
	return list, crc
}

// allows says whether records may be that far apart. Some development versions wrote minor version 19 with the record size
// of version 20; the fields are those of 19.
//
// cyrus: imap/mailbox.c mailbox_buf_to_index_header
func (l *layout) allows(recordSize uint32) bool {
	return int64(recordSize) == int64(l.recordSize) || l.version == 19 && recordSize == 144
}

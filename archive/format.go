package archive

import (
	"errors"
	"time"
)

// The tables of docs/format.md, in their order. No I/O here.

// Version is the version of the archive format that this package writes.
const Version = 1

// Sizes, see docs/format.md.
const (
	BlockSize = 512
	// MemberSize is the most tar that a member holds. 256 KiB costs 1.4 % against one stream, and one
	// member inflates in a third of a millisecond (docs/benchmarks.md).
	MemberSize = 256 << 10
	// WholeSize is the largest entry, with headers and padding, that the writer keeps within one member.
	WholeSize = 64 << 10
	// MaxSize is the largest content of an entry: eleven octal digits.
	MaxSize = 1<<33 - 1
	// MaxName is the longest name or link name, in bytes. Cyrus allows 490 (cyrus: imap/mboxname.h MAX_MAILBOX_NAME).
	MaxName = 16 << 10
	// MemberHeaderSize is a gzip header with our extra field: 10 + 2 (XLEN) + 4 (subfield) + 32.
	MemberHeaderSize = 48
	// MaxInflate is the most tar of a foreign member that is inflated into memory at once. A member of Cyrus's tools
	// holds at most 1,001 entries, which is some 5 MB of ordinary mail.
	MaxInflate = 16 << 20
	// NoEntry says that no tar header begins in a member.
	NoEntry = ^uint32(0)

	memberTrailerSize = 8                 // CRC-32 and ISIZE
	maxMemberFile     = 2 * MemberSize    // more than any deflate makes of MemberSize
	maxMarker         = MemberSize - 2048 // content of a marker, so that its entry fits in a member
)

// Errors of the archive; they are wrapped with the file's path and an offset.
var (
	// ErrDamaged: bytes are not what they must be. Disk errors are not wrapped in it.
	ErrDamaged = errors.New("archive is damaged")
	// ErrBehind: the archive ends, or is damaged, before the end of a run that a Hint knows. It comes with ErrDamaged.
	ErrBehind = errors.New("the index knows a later run, which is damaged or gone")
	// ErrTooLarge: a message is larger than the format can hold.
	ErrTooLarge = errors.New("message is larger than 8 GiB, which a tar header cannot hold")
	// ErrPoisoned: an earlier write or sync failed, and nothing more can be appended before a Recover.
	ErrPoisoned = errors.New("an earlier write to the archive failed")
	// ErrEntry: an entry that the format does not allow a writer to write.
	ErrEntry = errors.New("entry cannot be archived")
	// ErrVersion: a newer version of this program wrote the archive.
	ErrVersion = errors.New("archive is of a newer format version")
	// ErrPlain: a plain tar, not compressed, is read but not appended to.
	ErrPlain = errors.New("a plain tar cannot be appended to")
)

// Position is a place in an archive: in the file, and in the tar stream inside it.
type Position struct {
	File int64 // offset in the .tar.gz
	Tar  int64 // offset in the inflated stream
}

// Member is one gzip member. Of a plain tar, which has none, it is a stretch of at most MemberSize bytes.
type Member struct {
	Position
	FileSize int64 // bytes in the file
	TarSize  int64 // bytes of tar in it
	// First is where in them the first tar header begins, or NoEntry. It is 0 for a foreign member, whatever begins there.
	First   uint32
	ID      uint32 // 0 for a foreign member
	Marker  bool   // it holds a run marker and nothing else
	Foreign bool   // it has no extra field: another tool wrote it
}

// End is the position behind the member.
func (m Member) End() Position { return Position{m.File + m.FileSize, m.Tar + m.TarSize} }

// Entry types of the tar stream that mean something to us.
const (
	TypeFile = '0'
	TypeLink = '2'
)

// Entry is one entry of the tar stream.
type Entry struct {
	Name     string
	Linkname string
	Type     byte
	Size     int64
	Mtime    int64 // Unix seconds
	Inode    uint64
	// Offset is where its first header stands in the tar stream (an L or K header, if one precedes).
	Offset int64
	// Data is where its content stands in the tar stream.
	Data int64
}

// End is where what stands behind it in the tar stream begins.
func (e Entry) End() int64 { return e.Data + contentSize(e) }

// Gone reports whether the entry says that its file or folder is no more.
func (e Entry) Gone() bool { return e.Size == 0 && e.Linkname == "" }

// MarkerName is the entry that ends a run.
const MarkerName = "meta/snapshot"

// Marker is the content of meta/snapshot.
type Marker struct {
	Format      int       `json:"format"`
	Run         int       `json:"run"`
	Begun       time.Time `json:"begun"`
	Ended       time.Time `json:"ended"`
	Clock       time.Time `json:"clock,omitzero"`
	User        string    `json:"user"`
	Source      string    `json:"source"`
	Offset      int64     `json:"offset"`
	Folders     int       `json:"folders"`
	Messages    int       `json:"messages"`
	Bytes       int64     `json:"bytes"`
	NewMessages int       `json:"new_messages"`
	NewBytes    int64     `json:"new_bytes"`
	Skipped     []string  `json:"skipped,omitempty"`
	Missing     int       `json:"missing,omitempty"`
	Mismatched  int       `json:"mismatched,omitempty"`
	Lost        int       `json:"lost,omitempty"`
	Digest      string    `json:"digest"`
}

// Clocked is when the run began by the clock of its host. Where that was put back it is before the run before: one of the two is wrong.
func (m Marker) Clocked() time.Time {
	if m.Clock.IsZero() {
		return m.Begun
	}
	return m.Clock
}

// Run is one complete run as found in an archive.
type Run struct {
	Marker         // of an inferred run: Run, Begun, Ended, Offset (of its end) only
	Inferred bool  // another tool wrote it
	Start    int64 // tar offset of its first byte; -1 where it is not known (Appender.Last)
	End      Position
}

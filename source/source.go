package source

import (
	"context"
	"errors"
	"io"

	"backupfs/cyrus"
)

// SharedUser owns the mailboxes that belong to no user.
const SharedUser = "@shared"

// Errors of a source, wrapped with the mailbox or file.
var (
	// ErrNoUser: the server has no such user.
	ErrNoUser = errors.New("no such user on the server")
	// ErrBusy: the locks of a mailbox, or of a user's file, could not be had in time. Others may go on; the next run tries again.
	ErrBusy = errors.New("locked by the server")
	// ErrGone: the mailbox vanished after it was listed. It is not a failure.
	ErrGone = errors.New("mailbox is gone")
	// ErrLost: the source itself cannot be reached. It says nothing of a mailbox: nothing else can be had now.
	ErrLost = errors.New("connection lost")
)

// Source delivers the mail of a server's users.
type Source interface {
	// Name of the server, as it is written into a run's marker.
	Name() string

	// Users lists all users that have mailboxes now, sorted; SharedUser among them if there are shared mailboxes.
	Users(ctx context.Context) ([]User, error)

	// Mailboxes lists a user's mailboxes, deleted ones that the server still keeps too, INBOX first, then by name.
	// It takes no lock of a mailbox. ErrNoUser if there are none. The list may be a few seconds old, but not older than the last Users, Vanished, or
	// ErrGone of a Fetch; the fingerprints are of now, or of a UserFiles just before.
	Mailboxes(ctx context.Context, user string) ([]Mailbox, error)

	// Vanished is asked about mailboxes of a user that an archive has, and that Mailboxes did not list or whose user it did not
	// know. A list can be incomplete, so that what it lacks need not have been deleted. The source asks a second list, made after
	// another that lacks them all, and looks for the files of these mailboxes. It answers for each, in the same order: nil if a mailbox of this name is gone for certain, because it
	// was deleted, or because its UniqueID is listed under another name; else why that is not certain. A later Mailboxes is of a list as new:
	// what that has is there, whatever is answered here.
	Vanished(ctx context.Context, user string, had []Known) ([]error, error)

	// UserFiles returns the user's own files, "seen" and "sub", as far as they exist. A file whose SHA-1 is in known
	// (by name) is returned without Data; one that exists and cannot be read, because it is locked or for another reason, has Err.
	UserFiles(ctx context.Context, user string, known map[string]cyrus.GUID) ([]File, error)

	// Fetch takes a consistent snapshot of a mailbox: it hands to deliver each message that the index lists (expunged ones
	// too, as long as their files are there) and that want asks for, and returns the meta files as they were when everything
	// which the index lists had been delivered or was not wanted.
	//
	// want may be called under the mailbox's lock and must not block; it may be asked again about a message. deliver is called
	// under no lock. An error of deliver ends it and is returned as it is. Cancelling ctx releases everything.
	// ErrBusy, ErrGone as above. It is not retried here.
	Fetch(ctx context.Context, m Mailbox, want func(*cyrus.Index, *cyrus.Record) bool, deliver func(Message) error) (*Snapshot, error)

	Close() error
}

// Announcer is a Source that gains by knowing what comes next.
type Announcer interface {
	// Announce says which mailboxes of a user will be fetched, in this order, if nothing comes in between; none: the run is over. The source
	// may look at them ahead: what a Fetch returns may then be of a moment before it was called, but not before this call.
	Announce(user string, next []Mailbox)
}

// User is one user of a server.
type User struct {
	Name      string
	DriveUnit string // the partition of the INBOX
}

// Mailbox is one mailbox as Mailboxes lists it.
type Mailbox struct {
	cyrus.Mailbox
	// Archived is the name by which it is filed (docs/format.md).
	Archived string
	// Fingerprint changes when the mailbox changes: flags, messages, annotations, header, METADATA. Empty: unknown. It is a word without
	// spaces. A fingerprint taken so soon after a change that a further change could hide behind it is empty.
	Fingerprint string
}

// Known is a mailbox as an archive knows it.
type Known struct {
	Archived string
	UniqueID string // empty if none is known
}

// File is one meta file.
type File struct {
	Name  string // "cyrus.index", "cyrus.header", "cyrus.annotations", "cyrus.mailbox_annotations"; "seen", "sub"
	Data  []byte
	Mtime int64 // Unix seconds
	Inode uint64
	SHA1  cyrus.GUID // of a user's file, and of METADATA
	// Err is why a user's file could not be read, or the METADATA of a folder be known; then all but Name is zero. What is known of it
	// stays as it is. If it is cyrus.ErrDatabase, that METADATA cannot be read is told of the server as a whole, too.
	Err error
}

// Message is one message file of a snapshot. Body is valid during deliver only, and can be read more than once.
type Message struct {
	Record cyrus.Record
	Size   int64 // of the file
	Mtime  int64 // of the file, Unix seconds
	Inode  uint64
	Body   io.ReaderAt
}

// Snapshot is a mailbox's meta files, all of one moment, and its METADATA of a moment before.
type Snapshot struct {
	Files       []File // index first, then header, annotations, mailbox_annotations (the METADATA) as far as they exist
	Index       *cyrus.Index
	Header      *cyrus.Header
	Fingerprint string           // of exactly this state; empty if unknown
	Missing     map[uint32]error // UIDs that were wanted, not unlinked, and whose file could not be read, and why
	Problems    []error          // what is doubtful about the mailbox, though all of it is here
}

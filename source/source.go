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
	// ErrBusy: the locks of a mailbox could not be had in time. Others may go on; the next run tries again.
	ErrBusy = errors.New("mailbox is locked by the server")
	// ErrGone: the mailbox vanished after it was listed. It is not a failure.
	ErrGone = errors.New("mailbox is gone")
)

// Source delivers the mail of a server's users.
type Source interface {
	// Name of the server, as it is written into a run's marker.
	Name() string

	// Users lists all users that have mailboxes now, sorted; SharedUser among them if there are shared mailboxes.
	Users(ctx context.Context) ([]User, error)

	// Mailboxes lists a user's mailboxes, deleted ones that the server still keeps too, INBOX first, then by name.
	// It takes no lock. ErrNoUser if there are none. The list may be some seconds old, but not older than the last call of Users; the
	// fingerprints are of now.
	Mailboxes(ctx context.Context, user string) ([]Mailbox, error)

	// UserFiles returns the user's own files, "seen" and "sub", as far as they exist. A file whose fingerprint is in known
	// (by name) is returned without Data.
	UserFiles(ctx context.Context, user string, known map[string]string) ([]File, error)

	// Fetch takes a consistent snapshot of a mailbox: it hands to deliver each message that the index lists (expunged ones
	// too, as long as their files are there) and that want asks for, and returns the meta files as they were when everything
	// which the index lists had been delivered or was not wanted.
	//
	// No lock is held while deliver or want's caller blocks on anything but memory: want is called under the mailbox's lock and must
	// not block; deliver is called under none. An error of deliver ends it and is returned as it is. Cancelling ctx releases everything.
	// ErrBusy, ErrGone as above. It is not retried here.
	Fetch(ctx context.Context, m Mailbox, want func(*cyrus.Index, *cyrus.Record) bool, deliver func(Message) error) (*Snapshot, error)

	Close() error
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
	// Fingerprint changes when the mailbox changes: flags, messages, annotations, header. Empty: unknown. It is a word without
	// spaces. A fingerprint taken so soon after a change that a further change could hide behind it is empty.
	Fingerprint string
}

// File is one meta file.
type File struct {
	Name        string // "cyrus.index", "cyrus.header", "cyrus.annotations", "cyrus.mailbox_annotations"; "seen", "sub"
	Data        []byte
	Mtime       int64 // Unix seconds
	Inode       uint64
	Fingerprint string // of a user's file
}

// Message is one message file of a snapshot. Body is valid during deliver only, and can be read more than once.
type Message struct {
	Record cyrus.Record
	Size   int64 // of the file
	Mtime  int64 // of the file, Unix seconds
	Inode  uint64
	Body   io.ReaderAt
}

// Snapshot is a mailbox's meta files, all of one moment.
type Snapshot struct {
	Files       []File // index first, then header, annotations, mailbox_annotations as far as they exist
	Index       *cyrus.Index
	Header      *cyrus.Header
	Fingerprint string           // of exactly this state; empty if unknown
	Missing     map[uint32]error // UIDs that were wanted, not unlinked, and whose file could not be read, and why
}

package source

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"backupfs/cyrus"
)

// Stat is what a folder tells of a meta file or user's file that exists, no lock taken.
type Stat struct {
	Name  string // as in File
	Size  int64
	Mtime int64 // Unix seconds
	Inode uint64
}

// Config is the server's configuration.
func (l *Local) Config() *cyrus.Config { return l.conf }

// Owner is the system user that the server runs as.
func (l *Local) Owner() (uid, gid int) { return l.owner.UID, l.owner.GID }

// Inboxes lists the INBOXes of all users, afresh and in the order of mailboxes.db.
func (l *Local) Inboxes(ctx context.Context) ([]Mailbox, error) {
	ls, err := l.list(ctx, time.Now())
	if err != nil {
		return nil, err
	}
	var inboxes []Mailbox
	for user, boxes := range ls.boxes {
		if user != SharedUser && boxes[0].Archived == inbox {
			inboxes = append(inboxes, boxes[0])
		}
	}
	slices.SortFunc(inboxes, func(a, b Mailbox) int { return a.Mailbox.Name.Compare(b.Mailbox.Name) })
	return inboxes, nil
}

// Listed lists a user's mailboxes as Mailboxes does, but looks at no file: a fingerprint is unknown, and a UniqueID that the
// list does not tell. None if there is no such user. It is for those who take what is not listed for deleted: if the list may lack one, or
// METADATA be there that nobody can read now, that is an error.
func (l *Local) Listed(ctx context.Context, user string) ([]Mailbox, error) {
	ls, err := l.list(ctx, time.Time{})
	if err != nil {
		return nil, err
	}
	if err := ls.doubt(user); err != nil {
		return nil, fmt.Errorf("the list of mailboxes may not be whole: %w", err)
	}
	if _, err := l.Metadata(ctx); err != nil && !errors.Is(err, cyrus.ErrDatabase) {
		return nil, err
	}
	return slices.Clone(ls.boxes[user]), nil
}

// Find finds a mailbox by its name, in a list that is new, or else not older than one of Mailboxes. ErrGone if it is not there.
func (l *Local) Find(ctx context.Context, name cyrus.Name, fresh bool) (Mailbox, error) {
	var notBefore time.Time
	if fresh {
		notBefore = time.Now()
	}
	ls, err := l.list(ctx, notBefore)
	if err != nil {
		return Mailbox{}, err
	}
	for _, m := range ls.boxes[userOf(name)] {
		if m.Mailbox.Name == name {
			return m, nil
		}
	}
	return Mailbox{}, fmt.Errorf("%s: %w", name, ErrGone)
}

// MetaStats are the meta files of a mailbox that exist: header, index, annotations, mailbox_annotations. header is nil where it cannot be
// understood. No lock of the mailbox is taken: they need not be of one moment, and a Fetch may find others.
func (l *Local) MetaStats(ctx context.Context, m Mailbox) (header *cyrus.Header, stats []Stat, err error) {
	p, err := l.conf.Paths(m.Mailbox)
	if err != nil {
		return nil, nil, err
	}
	if b, err := os.ReadFile(p.Header); err == nil {
		header, _ = cyrus.ParseHeader(b) // what is wrong with it, a Fetch says
	}
	for _, path := range []string{p.Header, p.Index, p.Annotations} {
		st, err := statOf(filepath.Base(path), path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		stats = append(stats, st)
	}
	if len(stats) == 0 { // it is gone
		return header, nil, nil
	}
	all, err := l.Metadata(ctx)
	switch {
	case errors.Is(err, cyrus.ErrDatabase): // as if there were none
		return header, stats, nil
	case err != nil:
		return nil, nil, err
	}
	if f := metadataOf(all, nil, m.Mailbox); f.Name != "" {
		stats = append(stats, StatOf(f))
	}
	return header, stats, nil
}

// StatOf is what is told of a file that was read.
func StatOf(f File) Stat {
	return Stat{Name: f.Name, Size: int64(len(f.Data)), Mtime: f.Mtime, Inode: f.Inode}
}

// UserFileStats are the user's own files that exist, in the order of UserFiles. ErrNoUser as there.
func (l *Local) UserFileStats(ctx context.Context, user string) ([]Stat, error) {
	paths, err := l.userPaths(ctx, user)
	if err != nil {
		return nil, err
	}
	var stats []Stat
	for _, name := range userFiles {
		path, ok := paths[name]
		if !ok {
			continue
		}
		st, err := statOf(name, path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		stats = append(stats, st)
	}
	return stats, nil
}

func statOf(name, path string) (Stat, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return Stat{}, &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	return Stat{Name: name, Size: st.Size, Mtime: int64(st.Mtim.Sec), Inode: st.Ino}, nil
}

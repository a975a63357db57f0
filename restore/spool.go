package restore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"backupfs/cyrus"
	"backupfs/lock"
	"backupfs/source"
)

// Spool is the live mail of a user, on the Cyrus server of this host. A folder that the server does not have is made, with what its
// messages were and their UIDs; into one that it has they are merged, with flags and dates, under new UIDs.
type Spool struct {
	src   *source.Local
	owner lock.Owner
	user  string
	was   string // what the archive calls him
	below string // where the folders go; empty: where they were
	inbox source.Mailbox
	boxes map[cyrus.Name]source.Mailbox
	held  map[cyrus.GUID]bool // by any of the user's mailboxes; nil: not asked for yet

	changed []cyrus.Mailbox // that Finish is for
}

// ErrNoUser: there is no live mail that something could be put back into.
var ErrNoUser = errors.New("the server has no INBOX of this user")

// Live says whose live mail it is, and where in it folders are put.
type Live struct {
	User  string
	Was   string // what the user was called when he was backed up
	Below string // the folder below which they go ("RESTORED.2026-11-16"); empty: where they were
}

// NewSpool opens a user's live mail.
func NewSpool(ctx context.Context, src *source.Local, to Live) (*Spool, error) {
	uid, gid := src.Owner()
	s := &Spool{src: src, owner: lock.Owner{UID: uid, GID: gid}, user: to.User, was: to.Was, below: to.Below, boxes: map[cyrus.Name]source.Mailbox{}}
	if _, err := src.Users(ctx); err != nil { // the list is a new one
		return nil, err
	}
	boxes, err := src.Mailboxes(ctx, to.User)
	if err != nil && !errors.Is(err, source.ErrNoUser) {
		return nil, err
	}
	for _, m := range boxes {
		s.boxes[m.Mailbox.Name] = m
	}
	var ok bool
	if s.inbox, ok = s.boxes[src.Config().Inbox(to.User)]; !ok {
		return nil, fmt.Errorf("%s: %w", to.User, ErrNoUser)
	}
	return s, nil
}

// Place is the mailbox that a folder's messages go to: that of its name, or else the folder itself, whatever it is called by now.
func (s *Spool) Place(_ context.Context, f *Folder) (Place, error) {
	name := s.name(f.Archived)
	m, ok := s.boxes[name]
	if !ok {
		m, ok = s.renamed(f)
	}
	if !ok {
		return s.newPlace(name, f)
	}
	paths, err := s.src.Config().Paths(m.Mailbox)
	return &livePlace{spool: s, folder: f, box: m, paths: paths}, err
}

// renamed finds a folder by its UniqueID, which it keeps when it is renamed or moved.
func (s *Spool) renamed(f *Folder) (m source.Mailbox, ok bool) {
	if s.below != "" || f.UniqueID == "" {
		return m, false
	}
	for name, m := range s.boxes {
		if m.UniqueID == f.UniqueID && !name.Deleted() {
			return m, true
		}
	}
	return m, false
}

// name is the mailbox for an archived name.
func (s *Spool) name(archived string) cyrus.Name {
	return cyrus.Name(strings.Join(append([]string{string(s.inbox.Mailbox.Name)}, liveLevels(archived, s.below)...), "."))
}

// liveLevels is where the folder of an archived name goes, level by level below the INBOX, which has none. A folder that was deleted with
// delay is called as it was before.
func liveLevels(archived, below string) []string {
	levels := strings.Split(archived, ".")
	if cyrus.Name(archived).Deleted() { // DELETED.user.brong.Gone.6B054A70
		levels = append([]string{"INBOX"}, levels[3:len(levels)-1]...)
	}
	switch {
	case below != "" && len(levels) == 1:
		return append(strings.Split(below, "."), levels[0])
	case below != "":
		return append(strings.Split(below, "."), levels[1:]...)
	}
	return levels[1:]
}

// Held returns the messages that the user has in any live mailbox: all others are missing.
func (s *Spool) Held(ctx context.Context) (Held, error) {
	if s.held != nil {
		return heldIn(s.held), nil
	}
	held := map[cyrus.GUID]bool{}
	for _, m := range s.boxes {
		if m.Mailbox.Name.Deleted() {
			continue
		}
		paths, err := s.src.Config().Paths(m.Mailbox)
		if err != nil {
			return nil, err
		}
		ix, err := readIndex(ctx, paths.Index)
		if errors.Is(err, fs.ErrNotExist) {
			continue // deleted meanwhile
		}
		if err != nil {
			return nil, err
		}
		shown(ix, held)
	}
	s.held = held
	return heldIn(held), nil
}

// shown adds the messages of an index that IMAP shows.
func shown(ix *cyrus.Index, guids map[cyrus.GUID]bool) {
	for i := range ix.Records {
		if r := &ix.Records[i]; !r.Expunged() {
			guids[r.GUID] = true
		}
	}
}

// readIndex reads a live cyrus.index, under its lock.
func readIndex(ctx context.Context, path string) (*cyrus.Index, error) {
	f, err := lock.OpenRead(ctx, path, lockTimeout)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return parseIndex(f)
}

// parseIndex reads an open and locked cyrus.index.
func parseIndex(f *os.File) (*cyrus.Index, error) {
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.NewSectionReader(f, 0, st.Size()))
	if err != nil {
		return nil, err
	}
	ix, err := cyrus.ParseIndex(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.Name(), err)
	}
	return ix, nil
}

// give writes a file of the server's, which it owns.
func (s *Spool) give(path string, write func(*os.File) error) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err = errors.Join(err, f.Close()); err != nil {
			err = errors.Join(err, os.Remove(path))
		}
	}()
	if err := write(f); err != nil {
		return err
	}
	return f.Chown(s.owner.UID, s.owner.GID)
}

func (s *Spool) giveBytes(path string, b []byte) error {
	return s.give(path, func(f *os.File) error {
		_, err := f.Write(b)
		return err
	})
}

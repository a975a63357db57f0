package restore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"

	"backupfs/archive"
	"backupfs/cyrus"
	"backupfs/index"
	"backupfs/match"
)

// ErrNoFolder: the date has no such folder.
var ErrNoFolder = errors.New("no such folder on this date")

// Selection is what is to be brought back. The zero value is all that IMAP showed.
type Selection struct {
	// Folders by their names in the mounted tree ("INBOX/Contracts") or in the archive ("INBOX.Contracts"), with those below them.
	// None: all but those that were deleted already.
	Folders []string
	UIDs    *cyrus.UIDSet // nil: all
	Match   *match.Expr   // nil: every message
}

// whole: no message of a folder is left out.
func (s *Selection) whole() bool { return s.UIDs == nil && s.Match == nil }

// folders returns the folders of a date that are selected, once each.
func (s *Selection) folders(all []index.Folder) ([]index.Folder, error) {
	chosen := make([]bool, len(all))
	for i, f := range all {
		chosen[i] = len(s.Folders) == 0 && !strings.HasPrefix(f.Path[0], ".")
	}
	for _, name := range s.Folders {
		found := false
		path := strings.Split(strings.Trim(name, "/"), "/")
		if !strings.Contains(name, "/") {
			path = cyrus.TreePath(name)
		}
		for i, f := range all {
			if len(f.Path) >= len(path) && slices.Equal(f.Path[:len(path)], path) {
				chosen[i], found = true, true
			}
		}
		if !found {
			return nil, fmt.Errorf("%s: %w", name, ErrNoFolder)
		}
	}
	var folders []index.Folder
	seen := map[int64]bool{} // a folder with two names is there twice
	for i, f := range all {
		if chosen[i] && !seen[f.ID] {
			seen[f.ID] = true
			folders = append(folders, f)
		}
	}
	return folders, nil
}

// Messages yields a folder's selected messages by UID. An error with a message is about this one alone.
func (d *Date) Messages(ctx context.Context, f *Folder, s *Selection) iter.Seq2[*Message, error] {
	return func(yield func(*Message, error) bool) {
		records := make(map[uint32]*cyrus.Record, len(f.Index.Records))
		for i := range f.Index.Records {
			records[f.Index.Records[i].UID] = &f.Index.Records[i]
		}
		for is, err := range d.index.Messages(f.ID, d.Run.Run.Run) {
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				yield(nil, err)
				return
			}
			record := records[is.UID]
			if is.Expunged || record == nil || s.UIDs != nil && !s.UIDs.Has(is.UID) {
				continue
			}
			m := &Message{Record: *record, Flags: record.FlagNames(f.Header.Flags), Body: d.members.Section(ctx, d.archive, d.known, is.Tar, is.Size), buffer: d.buffer}
			m.Record.GUID, m.Record.Size = is.GUID, uint64(is.Size)
			matches, err := s.matches(m, is)
			if err == nil && matches {
				err = missing(is)
			}
			if err != nil {
				err = fmt.Errorf("UID %d: %w", is.UID, err)
			} else if !matches {
				continue
			}
			if !yield(m, err) {
				return
			}
		}
	}
}

// matches reports whether a message is as Match says. Of one whose bytes are not there, nothing but its record is known.
func (s *Selection) matches(m *Message, is index.Message) (bool, error) {
	if s.Match == nil {
		return true, nil
	}
	return s.Match.Match(match.Message{
		InternalDate: m.Record.InternalDate,
		Size:         is.Size,
		Flags:        func() ([]string, error) { return m.Flags, nil },
		Header: func() (io.Reader, error) {
			return io.NewSectionReader(m.Body, 0, is.Size), missing(is)
		},
	})
}

// errMissing: the server had no file for a message when it was backed up.
var errMissing = errors.New("it was missing on the server")

// missing is why a message's bytes are not there, nil if they are.
func missing(m index.Message) error {
	switch {
	case m.Tar >= 0:
		return nil
	case m.Lost:
		return archive.ErrDamaged
	}
	return errMissing
}

package agent

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"backupfs/cyrus"
	"backupfs/internal/wire"
	"backupfs/source"
)

// ping offers the extension to who asks for it.
func (s *session) ping(c int) (last int) {
	s.print("OK\n")
	if c == ' ' {
		var word string
		if word, c = s.in.word(); upper(word) == wire.Extension {
			s.print("%s %s\n", wire.Extension, wire.Version)
		}
	}
	s.print("DONE PING\n")
	return c
}

// extended answers the extension's requests about a user, of which c stands before the user's name. An error ends the connection.
func (s *session) extended(ctx context.Context, c int, answer func(ctx context.Context, user string, words []string) error) (last int, err error) {
	words, c := s.in.rest(c)
	if err := s.in.whole(); err != nil {
		return c, err
	}
	for i, w := range words {
		words[i] = wire.Decode(w)
	}
	return c, answer(ctx, words[0], words[1:])
}

// badCommand answers what has not the right words.
func (s *session) badCommand() error {
	s.print("NO bad command\n")
	return nil
}

// refuse says why a request could not be done. what is a mailbox, or the user.
func (s *session) refuse(ctx context.Context, what string, err error) {
	switch {
	case errors.Is(err, source.ErrNoUser):
		s.print("NO no such user %s\n", wire.Encode(what))
	case errors.Is(err, source.ErrGone):
		s.print("NO no such folder %s\n", wire.Encode(what))
	case errors.Is(err, source.ErrBusy):
		s.print("NO busy %s %s\n", waited(ctx), wire.Encode(err.Error()))
	default:
		s.report(err)
		s.print("NO failed %s\n", wire.Encode(err.Error()))
	}
}

// maxWaited bounds what a client says: no run waits longer.
const maxWaited = 24 * time.Hour

// waiting makes a ctx for a client who waited for locks so long.
func waiting(ctx context.Context, word string) context.Context {
	ms, err := strconv.ParseUint(word, 10, 32)
	if err != nil {
		return ctx
	}
	ctx = source.OneWait(ctx)
	source.AddWaited(ctx, min(time.Duration(ms)*time.Millisecond, maxWaited))
	return ctx
}

// waited is the word for a client's next request.
func waited(ctx context.Context) string {
	d, ok := source.Waited(ctx)
	if !ok {
		return wire.None
	}
	return strconv.FormatInt(d.Milliseconds(), 10)
}

// units lists all users.
func (s *session) units(ctx context.Context) {
	users, err := s.src.Users(ctx)
	if err != nil {
		s.refuse(ctx, "", err)
		return
	}
	_, problems := s.src.Listing()
	s.print("OK\n")
	for _, err := range problems {
		if !errors.Is(err, source.ErrNoTool) { // costs nothing
			s.print("PROBLEM %s\n", wire.Encode(err.Error()))
		}
	}
	for _, u := range users {
		s.print("USER %s %s\n", wire.Encode(u.Name), wire.Encode(u.DriveUnit))
	}
	s.print("DONE UNITS\n")
}

// state tells all of a user that a backup needs when nothing changed.
func (s *session) state(ctx context.Context, user string, words []string) error {
	if len(words) != 1 {
		return s.badCommand()
	}
	ctx = waiting(ctx, words[0])
	files, err := s.src.UserFiles(ctx, user, nil)
	if err != nil {
		s.refuse(ctx, user, err)
		return nil
	}
	boxes, err := s.src.Mailboxes(ctx, user)
	if err != nil {
		s.refuse(ctx, user, err)
		return nil
	}
	s.print("OK\n")
	for _, f := range files {
		if f.Err != nil {
			s.print("BAD %s %s\n", f.Name, wire.Encode(f.Err.Error()))
		} else {
			s.print("FILE %s %s\n", f.Name, f.SHA1)
		}
	}
	for _, m := range boxes {
		layout := wire.ByID
		if m.Legacy {
			layout = wire.ByName
		}
		s.print("MAILBOX %s %s %s %s %s\n", wire.Encode(string(m.Mailbox.Name)), wire.Encode(m.UniqueID), wire.Encode(m.Partition), layout, wire.Encode(m.Fingerprint))
	}
	s.print("DONE STATE %s\n", waited(ctx))
	return nil
}

// vanished says which mailboxes are gone for certain.
func (s *session) vanished(ctx context.Context, user string, words []string) error {
	if len(words)%2 != 0 {
		return s.badCommand()
	}
	var had []source.Known
	for ; len(words) > 0; words = words[2:] {
		had = append(had, source.Known{Archived: words[0], UniqueID: words[1]})
	}
	why, err := s.src.Vanished(ctx, user, had)
	if err != nil {
		s.refuse(ctx, user, err)
		return nil
	}
	s.print("OK\n")
	for _, err := range why {
		if err == nil {
			s.print("GONE\n")
		} else {
			s.print("KEPT %s\n", wire.Encode(err.Error()))
		}
	}
	s.print("DONE VANISHED\n")
	return nil
}

// listed finds a user's mailbox by name and UniqueID, as Find does. The list of an old server does not tell the id: Fetch compares it with
// the header's.
func (s *session) listed(ctx context.Context, user string, name cyrus.Name, id string, fresh bool) (source.Mailbox, error) {
	gone := fmt.Errorf("%s: %w", name, source.ErrGone)
	if owner := name.User(); owner != user && (owner != "" || user != source.SharedUser) {
		return source.Mailbox{}, gone
	}
	m, err := s.src.Find(ctx, name, fresh)
	if err == nil && m.UniqueID == "" {
		m.UniqueID = id
	}
	if err == nil && id != "" && m.UniqueID != id {
		err = gone
	}
	return m, err
}

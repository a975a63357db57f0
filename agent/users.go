package agent

import (
	"context"
	"errors"

	"backupfs/internal/wire"
	"backupfs/source"
)

// users lists those that have an INBOX.
//
// cyrus: imap/mboxlist.c mboxlist_alluser
func (s *session) users(ctx context.Context) {
	inboxes, err := s.src.Inboxes(ctx)
	if err != nil {
		s.failed("USERS", err)
		return
	}
	s.print("OK\n")
	for _, m := range inboxes {
		s.print("USER %s\n", wire.Encode(m.Mailbox.Name.User()))
	}
	s.print("DONE USERS\n")
}

// meta tells of a user's own files, or sends them.
//
// cyrus: imap/backupcyrusd.c do_meta
func (s *session) meta(ctx context.Context) (last int, err error) {
	user, c := s.user()
	if c < 0 {
		return c, nil
	}
	if c != ' ' {
		s.userStats(ctx, user)
		return c, nil
	}
	names, c := s.in.rest(c)
	if err := s.in.whole(); err != nil {
		return c, err
	}
	files, err := s.src.UserFiles(ctx, user, nil)
	if err != nil && !errors.Is(err, source.ErrNoUser) {
		s.failed("META", err)
		return c, nil
	}
	s.print("OK\n")
	for _, name := range names {
		if name != "seen" && name != "sub" {
			continue
		}
		if err := s.file(name, name, files); err != nil {
			return c, err
		}
	}
	s.print("DONE META\n")
	return c, nil
}

func (s *session) userStats(ctx context.Context, user string) {
	stats, err := s.src.UserFileStats(ctx, user)
	if err != nil && !errors.Is(err, source.ErrNoUser) {
		s.failed("META", err)
		return
	}
	s.print("OK\n")
	s.stats("", stats)
	s.print("DONE META\n")
}

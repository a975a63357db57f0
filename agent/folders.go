package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"backupfs/cyrus"
	"backupfs/internal/wire"
	"backupfs/source"
)

// folders tells of all folders of a user and their meta files, without a lock.
//
// cyrus: imap/backupcyrusd.c do_fmultistatus
func (s *session) folders(ctx context.Context) (last int, err error) {
	user, c := s.user()
	if c < 0 {
		return c, nil
	}
	boxes, err := s.src.Listed(ctx, user)
	if err != nil {
		s.failed("FMULTISTATUS", err)
		return c, nil
	}
	slices.SortFunc(boxes, inOrder)
	s.print("OK\n")
	for _, m := range boxes {
		s.folder(ctx, user, m)
	}
	s.print("DONE FMULTISTATUS\n")
	return c, nil
}

// inOrder: INBOX, what is below it, and then what was deleted.
//
// cyrus: imap/mboxlist.c mboxlist_mboxtree
func inOrder(a, b source.Mailbox) int {
	return cmp.Or(cmp.Compare(rank(a), rank(b)), a.Mailbox.Name.Compare(b.Mailbox.Name))
}

func rank(m source.Mailbox) int {
	if m.Mailbox.Name.Deleted() {
		return 1
	}
	return 0
}

// folder tells of one folder. One without a name in this namespace is left out, and so is one that was struck off the list lately. Where the files
// cannot be looked at, it is there all the same: a client takes what is not listed for deleted.
func (s *session) folder(ctx context.Context, user string, m source.Mailbox) {
	external, ok := s.src.Config().External(m.Mailbox.Name, user)
	if !ok {
		return
	}
	header, stats, err := s.src.MetaStats(ctx, m)
	if err != nil {
		s.report(fmt.Errorf("%s: %w", m.Mailbox.Name, err))
	} else if len(stats) == 0 {
		if _, err := s.src.Find(ctx, m.Mailbox.Name, true); errors.Is(err, source.ErrGone) {
			return
		}
	}
	id, jmapID := m.UniqueID, ""
	if header != nil {
		id, jmapID = cmp.Or(id, header.UniqueID), header.JMAPID
	}
	external = wire.Encode(external)
	s.print("FOLDER %s %s %s\n", external, wire.Encode(id), wire.Encode(jmapID))
	s.stats(external, stats)
}

// folderMeta tells of a folder's meta files, or sends them, all of one moment.
//
// cyrus: imap/backupcyrusd.c do_fmeta
func (s *session) folderMeta(ctx context.Context) (last int, err error) {
	user, c := s.in.name()
	if c < 0 {
		return c, nil
	}
	if c != ' ' {
		s.print("NO missing user\n")
		return c, nil
	}
	external, c := s.in.name()
	if c < 0 {
		return c, nil
	}
	listing := c != ' '
	names, c := s.in.rest(c)
	if err := s.in.whole(); err != nil {
		return c, err
	}
	name, own := s.internal(external, user)
	snap, err := s.snapshot(ctx, name, own)
	if err != nil {
		s.noFolder(string(name), err)
		return c, nil
	}
	s.print("OK\n")
	if listing {
		s.stats("", statsOf(snap.Files))
	}
	for _, name := range names {
		switch name {
		case "header", "index", "annotations", metadata:
			if err := s.file(name, metaPrefix+name, snap.Files); err != nil {
				return c, err
			}
		}
	}
	s.done("FMETA", snap.Header)
	return c, nil
}

// internal is what mailbox a user means, and whether it is his own.
func (s *session) internal(external, user string) (name cyrus.Name, own bool) {
	conf := s.src.Config()
	user = conf.Inbox(user).User()
	name = conf.Internal(external, user)
	return name, user != "" && name.User() == user
}

// snapshot copies the meta files under the locks.
func (s *session) snapshot(ctx context.Context, name cyrus.Name, own bool) (snap *source.Snapshot, err error) {
	err = s.open(ctx, name, own, func(m source.Mailbox) (*cyrus.Header, error) {
		if snap, err = s.src.Fetch(ctx, m, nothing, nil); err != nil {
			return nil, err
		}
		return snap.Header, nil
	})
	return snap, err
}

func nothing(*cyrus.Index, *cyrus.Record) bool { return false }

// open finds a mailbox and uses it, and again in a new list if it was gone or had another name by then.
func (s *session) open(ctx context.Context, name cyrus.Name, own bool, use func(source.Mailbox) (*cyrus.Header, error)) error {
	err := fmt.Errorf("%s: %w", name, source.ErrGone)
	if !own {
		return err
	}
	for _, fresh := range []bool{false, true} {
		var m source.Mailbox
		var header *cyrus.Header
		if m, err = s.src.Find(ctx, name, fresh); err == nil {
			header, err = use(m)
		}
		renamed := err == nil && !m.Legacy && header.Name != "" && header.Name != string(name)
		if !renamed && !errors.Is(err, source.ErrGone) {
			return err
		}
	}
	return err
}

// noFolder says why a folder cannot be had. One that the server keeps locked, or that is damaged, must not look as if it were not there.
func (s *session) noFolder(name string, err error) {
	if errors.Is(err, source.ErrGone) {
		s.print("NO no such folder %s\n", wire.Encode(name))
		return
	}
	s.failed(name, err)
}

// statsOf is in the order in which files are told of: header, index, annotations, METADATA.
func statsOf(files []source.File) []source.Stat {
	var stats []source.Stat
	for _, name := range []string{"cyrus.header", "cyrus.index", "cyrus.annotations", "cyrus." + metadata} {
		for _, f := range files {
			if f.Name == name && f.Err == nil {
				stats = append(stats, source.StatOf(f))
			}
		}
	}
	return stats
}

func (s *session) done(verb string, h *cyrus.Header) {
	s.print("DONE %s %s %s\n", verb, wire.Encode(h.UniqueID), wire.Encode(h.JMAPID))
}

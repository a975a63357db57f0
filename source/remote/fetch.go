package remote

import (
	"cmp"
	"context"
	"errors"
	"io/fs"

	"backupfs/cyrus"
	"backupfs/source"
)

// Fetch looks at the mailbox, asks for the messages that are wanted of what it has seen, and sees what the mailbox is then, until nothing
// more is wanted. When the connection breaks it goes on over another one, without what has been delivered.
func (s *Source) Fetch(ctx context.Context, m source.Mailbox, want func(*cyrus.Index, *cyrus.Record) bool, deliver func(source.Message) error) (*source.Snapshot, error) {
	f := &fetch{
		s: s, m: m, user: cmp.Or(m.Mailbox.Name.User(), source.SharedUser), want: want, deliver: deliver,
		handled: map[uint32]bool{}, missing: map[uint32]error{},
	}
	defer f.body.close()
	err := s.exchange(ctx, func() int { return f.delivered }, func(c *conn) error { return f.run(ctx, c) })
	if errors.Is(err, source.ErrGone) {
		s.stated.forget()
	}
	if err != nil {
		return nil, err
	}
	return f.end(), nil
}

// fetch is one Fetch.
type fetch struct {
	s       *Source
	m       source.Mailbox
	user    string
	want    func(*cyrus.Index, *cyrus.Record) bool
	deliver func(source.Message) error

	snap      *source.Snapshot // last seen, of the UIDVALIDITY that the two below are of
	handled   map[uint32]bool  // UIDs that were delivered, or could not be had
	missing   map[uint32]error // of these, those that could not be had
	delivered int
	doubtful  bool // something was not as snap has it: it must be looked at again
	body      body
}

// run gets what is not had yet.
func (f *fetch) run(ctx context.Context, c *conn) error {
	for {
		if f.snap == nil || f.doubtful {
			if err := f.look(ctx, c); err != nil {
				return err
			}
		}
		f.doubtful = false
		pending := f.pending()
		if len(pending) == 0 {
			return nil
		}
		if err := f.get(ctx, c, pending); err != nil {
			return err
		}
	}
}

func (f *fetch) look(ctx context.Context, c *conn) error {
	switch {
	case !f.s.extended:
		return f.plainLook(c)
	case f.snap == nil && f.lookedAhead(ctx):
		return nil
	}
	return f.snapshot(ctx, c, nil, false)
}

// get gets messages, or the first of them.
func (f *fetch) get(ctx context.Context, c *conn, pending []*cyrus.Record) error {
	if f.s.extended {
		some := pending[:min(len(pending), maxAsked)]
		return f.snapshot(ctx, c, some, len(some) == len(pending))
	}
	return f.plainGet(ctx, c, pending[:min(len(pending), maxAskedPlain)])
}

// pending is what is wanted and neither delivered nor missing.
func (f *fetch) pending() (pending []*cyrus.Record) {
	ix := f.snap.Index
	for i := range ix.Records {
		if r := &ix.Records[i]; !r.Unlinked() && !f.handled[r.UID] && f.want(ix, r) {
			pending = append(pending, r)
		}
	}
	return pending
}

// seen notes how the mailbox is now. Where it was renumbered, all that was had is of other messages.
func (f *fetch) seen(snap *source.Snapshot) {
	if f.snap != nil && f.snap.Index.UIDValidity != snap.Index.UIDValidity {
		clear(f.handled)
		clear(f.missing)
	}
	f.snap = snap
}

// hand delivers a message.
func (f *fetch) hand(ctx context.Context, m source.Message) error {
	f.handled[m.Record.UID] = true
	f.delivered++
	unread, err := source.Deliver(m, f.deliver)
	if unread != nil {
		f.missing[m.Record.UID] = unread
	}
	return cmp.Or(err, ctx.Err())
}

// lacks notes a message that cannot be had.
func (f *fetch) lacks(uid uint32, why error) { f.handled[uid], f.missing[uid] = true, why }

// end completes the snapshot with what could not be had of it. An expunged message may be without its file.
func (f *fetch) end() *source.Snapshot {
	for i := range f.snap.Index.Records {
		r := &f.snap.Index.Records[i]
		why := f.missing[r.UID]
		if why != nil && !r.Unlinked() && !(r.Expunged() && errors.Is(why, fs.ErrNotExist)) {
			f.snap.Missing[r.UID] = why
		}
	}
	return f.snap
}

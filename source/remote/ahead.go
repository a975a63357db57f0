package remote

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"backupfs/cyrus"
	"backupfs/source"
)

// maxAhead is how many mailboxes are looked at ahead. What the agent answers waits in the network, not in our memory, and holds no lock.
var maxAhead = 16

// ahead is what is looked at ahead for a user: on a connection of its own all of it is asked for at once, and answered in the same order.
// Whatever goes wrong, the mailbox is looked at when its turn comes, which says why. One goroutine uses it, the user's run.
type ahead struct {
	next  []source.Mailbox
	c     *conn // nil until it is needed
	asked int   // so many of next are asked for
}

// Announce drops what was looked at ahead before, and begins with the first Fetch.
func (s *Source) Announce(user string, next []source.Mailbox) {
	s.mu.Lock()
	before := s.ahead[user]
	delete(s.ahead, user)
	if s.extended && len(next) > 1 {
		s.ahead[user] = &ahead{next: slices.Clone(next)}
	}
	s.mu.Unlock()
	if before != nil {
		before.end(s)
	}
}

// end gives the connection back, if nothing more is answered on it.
func (a *ahead) end(s *Source) {
	if a.c != nil {
		a.c.clean = a.c.clean && a.asked == 0
		s.give(a.c, false)
	}
	a.c, a.asked = nil, 0
}

// lookedAhead looks at the mailbox by what was asked for ahead, if it was.
func (f *fetch) lookedAhead(ctx context.Context) bool {
	f.s.mu.Lock()
	a := f.s.ahead[f.user]
	f.s.mu.Unlock()
	if a == nil || len(a.next) == 0 || a.next[0] != f.m {
		return false
	}
	err := a.look(ctx, f)
	if errors.Is(err, source.ErrLost) || ctx.Err() != nil {
		a.end(f.s)
	}
	return err == nil
}

// look asks for as many as may be, and reads the first answer. For locks it waits hardly at all: where that is not enough, the mailbox's own
// look waits, by what the run has left for it.
func (a *ahead) look(ctx context.Context, f *fetch) (err error) {
	if a.c == nil {
		if a.c, err = f.s.another(ctx); err != nil {
			a.next = nil
			return err
		}
	}
	ctx = source.OneWait(ctx)
	source.AddWaited(ctx, time.Hour)
	return a.c.during(ctx, func() error {
		if a.asked <= maxAhead/2 && a.asked < len(a.next) {
			var lines strings.Builder
			for ; a.asked < min(len(a.next), maxAhead); a.asked++ {
				lines.WriteString(snapshotLine(ctx, a.c, f.user, a.next[a.asked], 0, cyrus.UIDSet{}) + "\n")
			}
			if err := a.c.send(lines.String()); err != nil {
				return err
			}
		}
		a.next, a.asked = a.next[1:], a.asked-1
		return newAnswer(ctx, f, a.c).read()
	})
}

// another is a connection beside that of a call: where there can be none, the call goes on without.
func (s *Source) another(ctx context.Context) (*conn, error) {
	c, err := s.idleConn()
	if c == nil && err == nil {
		c, err = s.connect(ctx)
	}
	if err == nil && c.name != s.name {
		_ = c.nc.Close()
		err = source.ErrLost
	}
	return c, err
}

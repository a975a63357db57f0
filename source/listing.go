package source

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"backupfs/cyrus"
)

// How the mailboxes were listed.
const (
	ByMboxlist = "ctl_mboxlist"
	BySpool    = "spool"
)

// ErrNoTool: ctl_mboxlist could not list the mailboxes. The spool does it as well.
var ErrNoTool = errors.New("ctl_mboxlist is not used")

// defaultListAge: by so much the mailboxes of a user's run may be older than the run.
const defaultListAge = 5 * time.Second

// listing is all mailboxes of the server at one moment.
type listing struct {
	before      *listing // the one before it, without its own
	begun, made time.Time
	by          string
	database    string // fingerprint of mailboxes.db, from before it was read; empty if it does not count
	problems    []problem
	metadata    error // why the METADATA of no mailbox can be read, if that stays so
	users       []User
	boxes       map[string][]Mailbox // by user, without fingerprints; INBOX first, then by name
}

// problem is why a listing is not complete, or may not be.
type problem struct {
	user string // whose mailboxes it is about; empty if that cannot be known
	err  error
}

// doubt is why a user's mailboxes may be more than the listing has, nil if they are not.
func (ls *listing) doubt(user string) error {
	for _, p := range ls.problems {
		if p.user == user || p.user == "" && !errors.Is(p.err, ErrNoTool) {
			return p.err
		}
	}
	return nil
}

// lists keeps the last listing. turn is held (a value is in it) by whoever reads or replaces what is in it.
type lists struct {
	turn     chan struct{}
	last     *listing
	problems []error         // of all listings, each once
	known    map[string]bool // their texts
}

// Listing says how the last list of mailboxes was made, ByMboxlist or BySpool, and what was wrong with any so far: why
// ctl_mboxlist was not used (ErrNoTool), what of the spool may be missing in the list, because it cannot be understood; and, of the last one,
// that the METADATA of folders is in a database which cannot be read (cyrus.ErrDatabase).
func (l *Local) Listing() (by string, problems []error) {
	l.lists.turn <- struct{}{}
	defer func() { <-l.lists.turn }()
	if l.lists.last == nil {
		return "", nil
	}
	problems = slices.Clone(l.lists.problems)
	if err := l.lists.last.metadata; err != nil {
		problems = append(problems, err)
	}
	return l.lists.last.by, problems
}

// keep replaces the last listing. The caller has the turn.
func (s *lists) keep(ls *listing) {
	if s.last != nil {
		before := *s.last // others read that one
		before.before = nil
		ls.before = &before
	}
	s.last = ls
	for _, p := range ls.problems {
		if text := p.err.Error(); !s.known[text] {
			s.known[text] = true
			s.problems = append(s.problems, p.err)
		}
	}
}

// forget makes the next listing a new one, if the last was begun before a moment at which it was found wrong.
func (l *Local) forget(ctx context.Context, found time.Time) error {
	select {
	case l.lists.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-l.lists.turn }()
	if last := l.lists.last; last != nil && last.begun.Before(found) {
		last.made = time.Time{}
	}
	return nil
}

// list returns a listing that is not begun before notBefore, and not too old.
func (l *Local) list(ctx context.Context, notBefore time.Time) (*listing, error) {
	select {
	case l.lists.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-l.lists.turn }()
	if last := l.lists.last; last != nil && !last.begun.Before(notBefore) {
		if time.Since(last.made) < cmp.Or(l.opts.MaxListAge, defaultListAge) || l.stillTrue(last) {
			return last, nil
		}
	}
	fresh, err := l.newListing(ctx)
	if err == nil {
		l.lists.keep(fresh)
	}
	return fresh, err
}

// unchangedAge is how old a listing may be if the server's own list is unchanged since: of many mailboxes it takes seconds to make one.
const unchangedAge = time.Minute

// stillTrue says that the server's own list has not changed since a listing.
func (l *Local) stillTrue(ls *listing) bool {
	return time.Since(ls.made) < unchangedAge && ls.by == ByMboxlist && ls.database != "" && ls.database == l.databaseState()
}

// newListing asks ctl_mboxlist, and where that cannot be or knows nothing, the spool.
func (l *Local) newListing(ctx context.Context) (*listing, error) {
	ls := &listing{begun: time.Now(), by: ByMboxlist, database: l.databaseState()}
	boxes, err := l.mboxlist(ctx)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err != nil || len(boxes) == 0 {
		why := fmt.Errorf("%w: %w", ErrNoTool, cmp.Or(err, errors.New("it knows no mailbox")))
		if !errors.Is(err, errNotAsked) {
			ls.problems = append(ls.problems, problem{err: why})
		}
		fromSpool, problems, err := l.walk(ctx)
		if err != nil {
			return nil, errors.Join(why, err)
		}
		boxes, ls.by, ls.problems = fromSpool, BySpool, append(ls.problems, problems...)
	}
	if _, err := l.Metadata(ctx); errors.Is(err, cyrus.ErrDatabase) {
		ls.metadata = err
	}
	ls.sort(boxes)
	ls.made = time.Now()
	return ls, nil
}

// sort files the mailboxes under their users.
func (ls *listing) sort(boxes []cyrus.Mailbox) {
	ls.boxes = map[string][]Mailbox{}
	for _, b := range boxes {
		user := userOf(b.Name)
		ls.boxes[user] = append(ls.boxes[user], Mailbox{Mailbox: b, Archived: b.Name.Archived()})
	}
	for user, list := range ls.boxes {
		slices.SortFunc(list, inOrder)
		ls.boxes[user] = slices.Clone(list) // without what it grew by: a server has a million of them
		ls.users = append(ls.users, User{Name: user, DriveUnit: list[0].Partition})
	}
	slices.SortFunc(ls.users, func(a, b User) int { return cmp.Compare(a.Name, b.Name) })
}

const inbox = "INBOX"

// inOrder: INBOX first, then by name.
func inOrder(a, b Mailbox) int {
	switch {
	case a.Archived == b.Archived:
		return 0
	case a.Archived == inbox:
		return -1
	case b.Archived == inbox:
		return 1
	}
	return cmp.Compare(a.Archived, b.Archived)
}

// Users lists all users, afresh.
func (l *Local) Users(ctx context.Context) ([]User, error) {
	ls, err := l.list(ctx, time.Now())
	if err != nil {
		return nil, err
	}
	return slices.Clone(ls.users), nil
}

// Mailboxes lists a user's mailboxes, from a list that was made LocalOptions.MaxListAge ago at most. The fingerprints are of now.
func (l *Local) Mailboxes(ctx context.Context, user string) ([]Mailbox, error) {
	ls, err := l.list(ctx, time.Time{})
	if err != nil {
		return nil, err
	}
	boxes := slices.Clone(ls.boxes[user])
	if len(boxes) == 0 {
		return nil, fmt.Errorf("%s: %w", user, ErrNoUser)
	}
	all, unknown := l.Metadata(ctx)
	for i := range boxes {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		m := &boxes[i]
		p, err := l.conf.Paths(m.Mailbox)
		if err != nil {
			continue // Fetch says so, and of this mailbox only
		}
		if m.UniqueID == "" { // lists of 3.4 and before do not tell it
			m.UniqueID = uniqueIDIn(p.Header)
		}
		m.Fingerprint = withMetadata(fingerprintOf(p.Index, p.Header, p.Annotations), metadataOf(all, unknown, m.Mailbox))
	}
	return boxes, nil
}

// uniqueIDIn reads the UniqueID in a cyrus.header, empty if that cannot be: then Fetch fails, and says why.
func uniqueIDIn(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	h, err := cyrus.ParseHeader(b)
	if err != nil {
		return ""
	}
	return h.UniqueID
}

// userOf is under whom a mailbox is filed.
func userOf(n cyrus.Name) string { return cmp.Or(n.User(), SharedUser) }

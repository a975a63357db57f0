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

const minListAge = 5 * time.Second

// listing is all mailboxes of the server at one moment.
type listing struct {
	at       time.Time     // before it was begun
	serves   time.Duration // how old it may become, unless the options say so
	by       string
	problems []error
	users    []User
	boxes    map[string][]Mailbox // by user, without fingerprints; INBOX first, then by name
}

// lists keeps the last listing. turn is held (a value is in it) by whoever reads or replaces it.
type lists struct {
	turn chan struct{}
	last *listing
}

// Listing says how the last list of mailboxes was made, ByMboxlist or BySpool, and what was wrong with it: why ctl_mboxlist
// was not used, and which mailboxes of the spool are missing in it for their headers cannot be understood.
func (l *Local) Listing() (by string, problems []error) {
	l.lists.turn <- struct{}{}
	defer func() { <-l.lists.turn }()
	if l.lists.last == nil {
		return "", nil
	}
	return l.lists.last.by, l.lists.last.problems
}

// list returns a listing that is not begun before notBefore, and not too old.
func (l *Local) list(ctx context.Context, notBefore time.Time) (*listing, error) {
	select {
	case l.lists.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-l.lists.turn }()
	if last := l.lists.last; last != nil && !last.at.Before(notBefore) && time.Since(last.at) < cmp.Or(l.opts.MaxListAge, last.serves) {
		return last, nil
	}
	fresh, err := l.newListing(ctx)
	if err == nil {
		l.lists.last = fresh
	}
	return fresh, err
}

// newListing asks ctl_mboxlist, and where that cannot be or knows nothing, the spool.
func (l *Local) newListing(ctx context.Context) (*listing, error) {
	ls := &listing{at: time.Now(), by: ByMboxlist}
	boxes, err := l.mboxlist(ctx)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err != nil || len(boxes) == 0 {
		if !errors.Is(err, errNotAsked) {
			ls.problems = append(ls.problems, cmp.Or(err, errors.New("ctl_mboxlist knows no mailbox")))
		}
		fromSpool, problems, err := l.walk(ctx)
		if err != nil {
			return nil, errors.Join(append(ls.problems, err)...)
		}
		boxes, ls.by, ls.problems = fromSpool, BySpool, append(ls.problems, problems...)
	}
	ls.sort(boxes)
	ls.serves = max(minListAge, 20*time.Since(ls.at)) // a twentieth of the time is spent on lists at most
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

// Mailboxes lists a user's mailboxes, from a list that may be LocalOptions.MaxListAge old. The fingerprints are of now.
func (l *Local) Mailboxes(ctx context.Context, user string) ([]Mailbox, error) {
	ls, err := l.list(ctx, time.Time{})
	if err != nil {
		return nil, err
	}
	boxes := slices.Clone(ls.boxes[user])
	if len(boxes) == 0 {
		return nil, fmt.Errorf("%s: %w", user, ErrNoUser)
	}
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
		m.Fingerprint = fingerprintOf(p.Index, p.Header, p.Annotations)
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

package main

import (
	"errors"
	"fmt"
	"time"

	"backupfs/internal/compose"
	"backupfs/internal/cyruslab"
)

// session is who is logged in during a day.
type session struct {
	lab                *cyruslab.Lab
	mail               *compose.Composer
	alice, jane, admin *cyruslab.Client
}

func login(lab *cyruslab.Lab, mail *compose.Composer) (*session, error) {
	s := &session{lab: lab, mail: mail}
	var err error
	if s.admin, err = lab.Admin(); err != nil {
		return nil, err
	}
	// On the first day there is nobody yet; later the names are taken, which is as well.
	var taken *cyruslab.StatusError
	if err := lab.AddUsers("alice", "jane.doe"); err != nil && !errors.As(err, &taken) {
		return nil, err
	}
	if s.alice, err = lab.Login("alice"); err != nil {
		return nil, err
	}
	s.jane, err = lab.Login("jane.doe")
	return s, err
}

func (s *session) close() error { return errors.Join(s.alice.Close(), s.jane.Close(), s.admin.Close()) }

// The folders' names, as IMAP spells them (modified UTF-7).
const (
	bridge   = "Projekte/Br&APw-cke"
	finished = "Projekte/Br&APw-cke (fertig)"
	notes    = "v1.2 notes"
	receipts = "Receipts 2026"
	zurich   = "Reisen/Z&APw-rich"
	tokyo    = "Reisen/&Z3FOrA-"
)

const contract = `Dear Alice,

the contract for the house in Bridge Street is ready. The price is as we
agreed on Friday, 312,000, and the keys are yours on the first of March.

Please keep this message: it is the only one that names the price.

Jane
`

// story is what happens: a function a day. The errors are joined, since each step is carried out whatever became of the others.
var story = []func(*session) error{monday, tuesday, wednesday}

// at is a moment of the n-th day.
func at(day, hour, minute int) time.Time {
	return time.Date(2026, 11, 15+day, hour, minute, 0, 0, time.UTC)
}

// some appends n messages of mixed shapes to a folder, 20 minutes apart.
func (s *session) some(c *cyruslab.Client, folder string, n int, from time.Time) error {
	var errs []error
	for i := range n {
		date := from.Add(time.Duration(i) * 20 * time.Minute)
		size := min(s.mail.Size(), 5000)
		errs = append(errs, c.Append(folder, s.mail.Message(size, date), date))
	}
	return errors.Join(errs...)
}

func (s *session) exact(folder string, day int, sizes ...int) error {
	var errs []error
	for _, size := range sizes {
		errs = append(errs, s.alice.Append(folder, s.mail.Exactly(size, at(day, 12, 0)), at(day, 12, 0)))
	}
	return errors.Join(errs...)
}

func monday(s *session) error {
	a, j := s.alice, s.jane
	twice := s.mail.Plain("Minutes of the meeting", "The same message, in three places.\n", at(1, 8, 0))
	return errors.Join(
		a.Append("INBOX", s.mail.Plain("Welcome", "This is your new mailbox.\n", at(1, 7, 0)), at(1, 7, 0), `\Seen`),
		a.Append("INBOX", s.mail.Plain("Contract for the house in Bridge Street", contract, at(1, 7, 30)), at(1, 7, 30), `\Seen`, `\Flagged`),
		s.some(a, "INBOX", 14, at(1, 9, 0)),
		a.Append("INBOX", twice, at(1, 8, 0)),
		a.Append("INBOX", twice, at(1, 8, 1)),
		// Dates at the ends of what a mail server meets.
		a.Append("INBOX", s.mail.Plain("From long ago", "Found on a tape.\n", time.Unix(36e6, 0)), time.Unix(36e6, 0)),
		a.Append("INBOX", s.mail.Plain("A clock that is wrong", "It is 2039.\n", time.Unix(2180000000, 0)), time.Unix(2180000000, 0)),

		a.Create("Drafts"), a.Create("Sent"), a.Create("Empty"), a.Create("Projekte"), a.Create(bridge), a.Create(notes),
		a.Create(receipts), a.Create("Old"),
		a.Append("Drafts", s.mail.Plain("Re: Minutes", "I would rather\n", at(1, 15, 0)), at(1, 15, 0), `\Draft`, `\Seen`),
		s.some(a, "Sent", 4, at(1, 10, 0)),
		s.some(a, bridge, 5, at(1, 11, 0)),
		a.Append(bridge, twice, at(1, 8, 2)),
		// Sizes around the blocks of tar.
		s.exact(notes, 1, 511, 512, 513, 1023, 1024, 1025),
		s.some(a, "Old", 3, at(1, 13, 0)),
		a.Subscribe("INBOX"), a.Subscribe("Sent"), a.Subscribe(bridge),

		s.some(j, "INBOX", 6, at(1, 9, 30)),
		j.Create("Reisen"), j.Create(zurich), j.Create(tokyo),
		s.some(j, zurich, 3, at(1, 14, 0)), s.some(j, tokyo, 2, at(1, 16, 0)),
		j.Subscribe(zurich),

		s.admin.Create("Notices"), s.admin.SetACL("Notices", "anyone", "lrsip"), s.admin.SetACL("Notices", "cyrus", "lrswipkxtecda"),
		s.some(s.admin, "Notices", 3, at(1, 12, 10)),
	)
}

func tuesday(s *session) error {
	a, j := s.alice, s.jane
	err := errors.Join(
		s.some(a, "INBOX", 6, at(2, 8, 0)),
		selected(a, "INBOX"),
		a.Store("3:6", "+FLAGS", `\Seen`),
		a.Store("4,5", "+FLAGS", "$Label1", "Invoice"),
		a.Store("6", "+FLAGS", `\Answered`, `\Flagged`),
		a.Expunge("2"), // the contract
		a.Move("7,8", receipts),
		a.Copy("9", "Sent"),
		a.Unselect(),

		a.Rename(bridge, finished),
		a.Delete("Old"), a.Create("Old"),
		s.some(a, "Old", 2, at(2, 10, 0)),
		a.Subscribe(receipts), a.Unsubscribe("Sent"),

		// A draft is edited: the new version is a new message.
		selected(a, "Drafts"),
		a.Append("Drafts", s.mail.Plain("Re: Minutes", "I would rather come on Thursday.\n", at(2, 9, 0)), at(2, 9, 0), `\Draft`, `\Seen`),
		a.Expunge("1"),
		a.Unselect(),

		s.some(j, "INBOX", 2, at(2, 11, 0)),
		selected(j, zurich), j.Store("1:*", "+FLAGS", `\Seen`, "Urlaub"), j.Unselect(),
		s.some(s.admin, "Notices", 1, at(2, 12, 0)),
	)
	// Nightly work of a server: what was expunged is now gone from the disk too.
	_, purged := s.lab.Tool("cyr_expire", "-E", "3", "-X", "0", "-D", "3")
	return errors.Join(err, purged)
}

func wednesday(s *session) error {
	a, j := s.alice, s.jane
	return errors.Join(
		s.some(a, "INBOX", 5, at(3, 8, 0)),
		selected(a, "INBOX"),
		a.Store("4", "-FLAGS", "$Label1"),
		a.Store("5", "FLAGS", `\Seen`, "Paid"),
		a.Expunge("10,11"), // these stay on the disk: nobody has purged them yet
		a.Annotate("3", "/comment", "ask Jane"),
		a.Unselect(),

		a.Rename(notes, "Projekte/v1.2 notes"),
		selected(a, receipts), a.Move("1", "INBOX"), a.Unselect(),
		a.Delete("Empty"),
		a.SetMetadata("INBOX", "/private/comment", "my mail"),
		s.exact("Sent", 3, 2048),

		j.Delete(tokyo),
		s.some(j, "INBOX", 3, at(3, 9, 0)),
		s.admin.Create("Notices/2026"),
		s.some(s.admin, "Notices/2026", 2, at(3, 12, 0)),
	)
}

func selected(c *cyruslab.Client, folder string) error {
	if _, err := c.Select(folder); err != nil {
		return fmt.Errorf("select %s: %w", folder, err)
	}
	return nil
}

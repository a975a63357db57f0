package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"backupfs/archive"
	"backupfs/backup"
	"backupfs/cmd/internal/cli"
	"backupfs/internal/store"
	"backupfs/source"
	"backupfs/source/remote"
)

// summaries is up to how many users each has a line: beyond, only those with problems are named, and the totals.
const summaries = 100

// backupSession is one call of backup.
type backupSession struct {
	output
	st   *store.Store
	src  serverSource
	at   time.Time
	many bool

	unlisted map[string]bool // users of the store that the server does not list

	unreachable atomic.Pointer[error] // once no user can be had any more
	untried     int                   // users whom that hit

	tally       cli.Tally
	users       int
	newMessages int
	newBytes    int64
}

// noteListing says on stderr what was odd about the list of mailboxes. That the server's own tool could not make it costs
// nothing; any other thing may be a mailbox of which nobody knows whose it is.
func (s *backupSession) noteListing() {
	by, problems := s.src.Listing()
	for _, err := range problems {
		costs := !errors.Is(err, source.ErrNoTool)
		if costs {
			s.tally.Incomplete()
		}
		if costs || !s.quiet {
			s.note("list of mailboxes, by %s: %v", by, err)
		}
	}
}

// backup backs one user up.
func (s *backupSession) backup(ctx context.Context, user string) (*backup.Result, error) {
	if err := s.unreachable.Load(); err != nil {
		return nil, *err
	}
	result, err := backup.User(ctx, s.st, s.src, user, backup.Options{At: s.at, Progress: func(p backup.Progress) {
		s.progress.Show("%s: folder %d of %d, %s (%s) %s", user, p.FoldersDone+1, p.Folders, plural(p.Messages, "new message"), size(p.Bytes), p.Folder)
	}})
	switch {
	case errors.Is(err, remote.ErrUnreachable):
		s.unreachable.CompareAndSwap(nil, &err)
	case errors.Is(err, source.ErrNoUser) && !s.unlisted[user]:
		err = s.suggest(ctx, user, err)
	}
	return result, err
}

// suggest offers the user who was perhaps meant.
func (s *backupSession) suggest(ctx context.Context, user string, err error) error {
	users, listErr := s.src.Users(ctx)
	if listErr != nil {
		return err
	}
	var names []string
	for _, u := range users {
		names = append(names, u.Name)
	}
	return fmt.Errorf("%w%s", err, closest(user, names))
}

// report says how it went.
func (s *backupSession) report(user string, result *backup.Result, err error) {
	s.progress.Clear()
	if s.unlisted[user] && errors.Is(err, source.ErrNoUser) {
		return // deleted
	}
	if err = withDiskHint(s.st, usageIfBefore(err)); errors.Is(err, archive.ErrDamaged) {
		err = cli.WithHint(err, "backupd repair --store %s %s", cli.Shell(s.st.Root), cli.Shell(user))
	}
	s.users++
	if err != nil {
		s.tally.Add(err, false)
		if errors.Is(err, remote.ErrUnreachable) {
			if s.untried++; s.untried > 1 {
				return
			}
		}
		if s.many {
			s.fail(err)
		}
		return
	}
	if result.Nothing() {
		s.tally.Add(fmt.Errorf("%s: no mailbox could be backed up", user), false) // each is named below
	} else {
		s.tally.Add(nil, len(result.Problems) > 0 || result.Index != nil)
	}
	s.newMessages += result.Run.NewMessages
	s.newBytes += result.Run.NewBytes
	for _, p := range result.Problems {
		s.note("%s: %v", user, p)
	}
	if torn := result.Recovered.Torn; torn != "" {
		s.note("%s: an earlier run did not finish; its %s were moved to %s", user, size(result.Recovered.TornBytes), torn)
	}
	if n := result.Reread; n > 0 {
		s.note("%s: the index lacked %s, and has them from the archive again", user, plural(n, "run"))
	}
	if result.Index != nil {
		err := withDiskHint(s.st, fmt.Errorf("%s: the run is complete, but its index is not: %w", user, result.Index))
		s.fail(cli.WithHint(err, "backupd reindex --store %s %s", cli.Shell(s.st.Root), cli.Shell(user)))
	}
	s.print(user, result)
}

func (s *backupSession) print(user string, r *backup.Result) {
	m := r.Run.Marker
	if s.json {
		_ = json.NewEncoder(s.out).Encode(backedUp(user, r))
		return
	}
	if s.users > summaries && len(r.Problems) == 0 {
		return
	}
	s.say("%s: run %d, %d of %s changed, %s (%s); now %s (%s)", user, m.Run, r.Changed, plural(m.Folders, "folder"),
		plural(m.NewMessages, "new message"), size(m.NewBytes), plural(m.Messages, "message"), size(m.Bytes))
}

// noteUntried counts those who are not named since none could be had any more, after the first.
func (s *backupSession) noteUntried() {
	if s.untried > 1 {
		s.note("%s could not be backed up either", plural(s.untried-1, "further user"))
	}
}

// total ends a call for many users.
func (s *backupSession) total() {
	if !s.json && s.users > summaries {
		s.say("%s, %s (%s)", plural(s.users, "user"), plural(s.newMessages, "new message"), size(s.newBytes))
	}
}

// backedUpUser is one user in --json.
type backedUpUser struct {
	User        string        `json:"user"`
	Run         int           `json:"run"`
	Begun       time.Time     `json:"begun"`
	Ended       time.Time     `json:"ended"`
	Folders     int           `json:"folders"`
	Changed     int           `json:"changed"`
	Messages    int           `json:"messages"`
	Bytes       int64         `json:"bytes"`
	NewMessages int           `json:"new_messages"`
	NewBytes    int64         `json:"new_bytes"`
	Skipped     []string      `json:"skipped,omitempty"`
	Torn        string        `json:"torn,omitempty"`
	Problems    []jsonProblem `json:"problems"`
}

type jsonProblem struct {
	Folder string `json:"folder"`
	UID    uint32 `json:"uid,omitempty"`
	Error  string `json:"error"`
}

func backedUp(user string, r *backup.Result) backedUpUser {
	m := r.Run.Marker
	b := backedUpUser{
		User: user, Run: m.Run, Begun: m.Begun, Ended: m.Ended, Folders: m.Folders, Changed: r.Changed, Messages: m.Messages, Bytes: m.Bytes,
		NewMessages: m.NewMessages, NewBytes: m.NewBytes, Skipped: m.Skipped, Torn: r.Recovered.Torn, Problems: []jsonProblem{},
	}
	for _, p := range r.Problems {
		b.Problems = append(b.Problems, jsonProblem{p.Folder, p.UID, errors.Unwrap(p).Error()})
	}
	return b
}

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"backupfs/archive"
	"backupfs/backup"
	"backupfs/cmd/internal/cli"
	"backupfs/internal/store"
	"backupfs/source"
)

// summaries is up to how many users each has a line: beyond, only those with problems are named, and the totals.
const summaries = 100

// backupSession is one call of backup.
type backupSession struct {
	st   *store.Store
	src  *source.Local
	at   time.Time
	json bool
	many bool

	unlisted map[string]bool // users of the store that the server does not list

	out, stderr io.Writer
	progress    *cli.Progress

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
		s.note("list of mailboxes, by %s: %v", by, err)
		if !errors.Is(err, source.ErrNoTool) {
			s.tally.Incomplete()
		}
	}
}

func (s *backupSession) note(format string, args ...any) {
	s.progress.Clear()
	fmt.Fprintf(s.stderr, "backupd: %s\n", cli.Clean(fmt.Sprintf(format, args...)))
}

// backup backs one user up.
func (s *backupSession) backup(ctx context.Context, user string) (*backup.Result, error) {
	return backup.User(ctx, s.st, s.src, user, backup.Options{At: s.at, Progress: func(p backup.Progress) {
		s.progress.Show("%s: folder %d of %d, %s (%s) %s", user, p.FoldersDone+1, p.Folders, plural(p.Messages, "new message"), size(p.Bytes), p.Folder)
	}})
}

// report says how it went.
func (s *backupSession) report(user string, result *backup.Result, err error) {
	s.progress.Clear()
	if s.unlisted[user] && errors.Is(err, source.ErrNoUser) {
		return // deleted
	}
	if err = usageIfBefore(err); errors.Is(err, archive.ErrDamaged) {
		err = withHint(s.st, user, err)
	}
	s.tally.Add(err, err == nil && (len(result.Problems) > 0 || result.Index != nil))
	s.users++
	if err != nil {
		if s.many {
			cli.Report(s.stderr, "backupd", err, s.json)
		}
		return
	}
	s.newMessages += result.Run.NewMessages
	s.newBytes += result.Run.NewBytes
	for _, p := range result.Problems {
		s.note("%s: %v", user, p)
	}
	if torn := result.Recovered.Torn; torn != "" {
		s.note("%s: an earlier run did not finish; its %s were moved to %s", user, size(result.Recovered.TornBytes), torn)
	}
	if result.Index != nil {
		s.note("%s: the run is complete, but its index is not: %v", user, result.Index)
		fmt.Fprintf(s.stderr, "hint: backupd reindex --store %s %s\n", cli.Clean(cli.Shell(s.st.Root)), cli.Clean(cli.Shell(user)))
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
	fmt.Fprintf(s.out, "%s: run %d, %d of %s changed, %s (%s); now %s (%s)\n", cli.Clean(user), m.Run, r.Changed, plural(m.Folders, "folder"),
		plural(m.NewMessages, "new message"), size(m.NewBytes), plural(m.Messages, "message"), size(m.Bytes))
}

// total ends a call for many users.
func (s *backupSession) total() {
	if !s.json && s.users > summaries {
		fmt.Fprintf(s.out, "%s, %s (%s)\n", plural(s.users, "user"), plural(s.newMessages, "new message"), size(s.newBytes))
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

package schedule

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
)

// ErrList: a list of users could not be read.
var ErrList = errors.New("the list of users cannot be read")

// listing is a List as it was last read. The goroutine of Scheduler.Run owns it.
type listing struct {
	List
	reading bool
	next    time.Time // when to read it again; zero: it never was
	err     error     // why it could not be read, the last time
}

const (
	listTimeout = 2 * time.Minute // a hundred thousand users come in seconds
	listRetry   = time.Minute     // or sooner, if it is read more often than that
)

// readLists begins to read the lists whose time has come, and returns when that of the next comes.
func (s *Scheduler) readLists(ctx context.Context, group *errgroup.Group) (next time.Time) {
	for _, l := range s.lists {
		if ctx.Err() != nil || l.reading || s.opts.Once && !l.next.IsZero() {
			continue
		}
		if l.next.After(s.clock.now()) {
			next = earlier(next, l.next)
			continue
		}
		l.reading = true
		s.reading++
		group.Go(func() error {
			reading, cancel := context.WithTimeout(ctx, listTimeout)
			defer cancel()
			users, err := l.Users(reading)
			if err == nil && len(users) == 0 {
				err = errors.New("it is empty")
			}
			s.told <- func() {
				l.reading = false
				s.reading--
				if ctx.Err() == nil && slices.Contains(s.lists, l) {
					s.read(l, users, err)
				}
			}
			return nil
		})
	}
	return next
}

// haveLists says that each list was read, or cannot be: nobody is backed up before, for whom another server may be right by now.
func (s *Scheduler) haveLists() bool {
	return !slices.ContainsFunc(s.lists, func(l *listing) bool { return l.next.IsZero() })
}

// read takes a list over. One that cannot be read leaves all as it was, which is told once.
func (s *Scheduler) read(l *listing, users []User, err error) {
	now := s.clock.now()
	failedBefore := l.err != nil
	what := "list of users"
	if l.Server != "" {
		what += " of " + l.Server
	}
	if l.err = err; err != nil {
		l.next = now.Add(min(s.opts.Refresh, listRetry))
		if !failedBefore {
			s.log.Error("the list of users cannot be read; the one from before is used", "server", l.Server, "error", err)
		}
		s.trouble(what, err, now)
		return
	}
	s.untrouble(what)
	l.next = now.Add(s.opts.Refresh)
	if failedBefore {
		s.log.Info("the list of users can be read again", "server", l.Server)
	}
	listed := make(map[string]bool, len(users))
	var come, twice []string
	for _, u := range users {
		r := s.rows[u.Name]
		if listed[u.Name] || r != nil && r.listed && l.Server != "" && r.Server != l.Server {
			twice = append(twice, u.Name) // the first counts
			continue
		}
		listed[u.Name] = true
		switch {
		case r == nil:
			r = &row{User: u, seen: now}
			s.rows[u.Name] = r
			fallthrough
		case !r.listed:
			come = append(come, u.Name)
			s.removals.isBack(r)
		case r.User == u:
			continue
		}
		if r.listed && !r.running {
			s.queue.remove(r)
		}
		r.User, r.listed = u, true
		if r.seen.IsZero() {
			r.seen = now
		}
		s.changed[u.Name] = r
		if !r.running {
			s.enqueue(r)
		}
	}
	var gone []string
	for name, r := range s.rows {
		if !r.listed || listed[name] || l.Server != "" && r.Server != l.Server {
			continue
		}
		gone = append(gone, name)
		if r.listed = false; !r.running {
			s.queue.remove(r)
		}
		s.changed[name] = r
	}
	s.goneSince(now)
	s.save() // at once: the next process may find no list but this
	s.tellNames(slog.LevelInfo, "new in the list of users", come)
	stays := "no longer in the list of users; what is backed up of them stays"
	if deleted := s.opts.Retention.Deleted; deleted > 0 {
		stays += fmt.Sprintf(" for %.0f days", deleted.Hours()/24)
	}
	s.tellNames(slog.LevelWarn, stays, gone)
	s.tellNames(slog.LevelWarn, "more than once in the lists of users; the first counts", twice)
}

// named is how many names are told at most.
const named = 10

func (s *Scheduler) tellNames(level slog.Level, what string, names []string) {
	if len(names) > 0 {
		slices.Sort(names)
		s.log.Log(context.Background(), level, what, "users", len(names), "first", names[:min(len(names), named)])
	}
}

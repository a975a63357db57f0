package schedule

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"backupfs/backup"
	"backupfs/lock"
	"backupfs/source"
)

// removals are of users who are gone for longer than retention says. The goroutine of Scheduler.Run owns it.
type removals struct {
	row  *row               // who is being removed; nil: nobody
	stop context.CancelFunc // ends that, if it is not too late
	next time.Time          // when to look who is to be removed
}

const (
	// removeLook is how often it is looked who is to be removed, and how long one who could not be is left alone.
	removeLook = time.Hour
	// fewRemovals are always done. Of more it is at most one of removedShare users who is removed at a time: if many are gone, it is rather the list that is wrong.
	fewRemovals  = 10
	removedShare = 10
)

var errManyGone = errors.New("nobody is removed")

// goneSince notes since when nobody lists a user. Only lists that can all be read count, and only one that could have him: a server that is
// no longer configured, or does not answer, makes nobody gone.
func (s *Scheduler) goneSince(now time.Time) {
	if !s.listsGood() {
		return
	}
	for _, r := range s.rows {
		if since := r.gone; r.listed {
			r.gone = time.Time{}
		} else if since.IsZero() && s.covered(r) {
			r.gone = now.Round(0) // by this clock alone: it is moved on with it
		} else {
			continue
		}
		s.changed[r.Name] = r
	}
	s.removals.next = time.Time{}
}

// listsGood says that each list was read, and nothing went wrong the last time.
func (s *Scheduler) listsGood() bool {
	return !slices.ContainsFunc(s.lists, func(l *listing) bool { return l.next.IsZero() || l.err != nil })
}

// removeAt is when a user may be removed who is gone, zero for never. The mailboxes of no user are not: a list of people does not have them.
func (r *row) removeAt(deleted time.Duration) time.Time {
	if r.listed || r.gone.IsZero() || deleted == 0 || r.Name == source.SharedUser {
		return time.Time{}
	}
	since := r.gone
	if r.last.After(since) {
		since = r.last // somebody backed him up by hand
	}
	return since.Add(deleted)
}

// removeNext begins to remove a user if it is time, and returns when to look again, zero if something else happens before.
func (s *Scheduler) removeNext(ctx context.Context, group *errgroup.Group) time.Time {
	deleted, now := s.opts.Retention.Deleted, s.clock.now()
	if deleted == 0 || s.removals.row != nil || ctx.Err() != nil || !s.listsGood() {
		return time.Time{}
	}
	if now.Before(s.removals.next) {
		return s.removals.next
	}
	const what = "removal of users who are gone"
	due, others := s.toRemove(deleted, now)
	s.removals.next = now.Add(removeLook)
	if n := len(due) + others; n > max(fewRemovals, len(s.rows)/removedShare) {
		err := fmt.Errorf("%w: %d of %d users would be; is the list right?", errManyGone, n, len(s.rows))
		if _, told := s.troubles[what]; !told {
			s.log.Error("too many users are to be removed", "error", err)
		}
		s.trouble(what, err, now)
		return s.removals.next
	}
	s.untrouble(what)
	if len(due) == 0 {
		return s.removals.next
	}
	r, last := due[0], due[0].last
	removing, stop := context.WithCancel(ctx)
	s.removals.row, s.removals.stop = r, stop
	group.Go(func() error {
		defer stop()
		removed, err := s.archives.Remove(removing, r.Name, last)
		if errors.Is(err, backup.ErrNewer) {
			last = s.archives.Last(removing, r.Name)
		}
		s.told <- func() { s.removed(r, last, removed, err) }
		return nil
	})
	return time.Time{}
}

// isBack ends the removal of a user whom a list has again.
func (r *removals) isBack(u *row) {
	if r.row == u {
		r.stop()
	}
}

// toRemove are those whose time has come, the longest gone first, and how many others whose time has come could not be removed a short while ago.
func (s *Scheduler) toRemove(deleted time.Duration, now time.Time) (due []*row, others int) {
	for _, r := range s.rows {
		at := r.removeAt(deleted)
		switch {
		case at.IsZero() || at.After(now) || r.running || !s.covered(r):
		case now.Sub(past(r.stays, now)) < removeLook:
			others++
		default:
			due = append(due, r)
		}
	}
	slices.SortFunc(due, func(a, b *row) int { return cmp.Or(a.gone.Compare(b.gone), cmp.Compare(a.Name, b.Name)) })
	return due, others
}

// removed tells how a removal went.
func (s *Scheduler) removed(r *row, last time.Time, removed *backup.Removed, err error) {
	s.removals.row, s.removals.next = nil, time.Time{}
	switch {
	case err == nil:
	case errors.Is(err, backup.ErrNewer) && !r.listed: // somebody backed him up by hand
		r.last, r.stays = last, s.clock.now()
		s.changed[r.Name] = r
		return
	case errors.Is(err, backup.ErrNewer), errors.Is(err, lock.ErrBusy), errors.Is(err, context.Canceled):
		r.stays = s.clock.now()
		return
	default:
		s.log.Error("a user who is gone cannot be removed", "user", r.Name, "error", err)
		r.stays = s.clock.now()
		return
	}
	attrs := []any{"user", r.Name, "gone since", r.gone}
	if removed != nil {
		attrs = append(attrs, "runs", removed.Runs, "last", removed.Last, "bytes", removed.Bytes)
	}
	s.log.Warn("removed, as retention says", attrs...)
	if r.listed { // since a moment ago: he begins anew
		if !r.running {
			s.queue.remove(r)
		}
		if r.last, r.ended, r.scrubbed, r.damage, r.aside = (time.Time{}), (time.Time{}), (time.Time{}), "", (backup.Aside{}); !r.running {
			s.enqueue(r)
		}
		s.changed[r.Name] = r
		return
	}
	delete(s.rows, r.Name)
	s.changed[r.Name] = nil
}

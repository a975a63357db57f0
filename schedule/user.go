package schedule

import (
	"context"
	"time"

	"backupfs/backup"
)

// User is one user of the list.
type User struct {
	Name   string
	Server string
	Unit   string // drive unit: the partition of the INBOX
}

// List is where users come from.
type List struct {
	Server string // all its users are of this one; empty: it is of all servers
	Users  func(context.Context) ([]User, error)
}

// row is what is known of a user. The goroutine of Scheduler.Run owns it.
type row struct {
	User
	listed bool      // by a list, when it was last read
	seen   time.Time // first listed then
	last   time.Time // the newest run began then; zero if there is none
	ended  time.Time // a run of ours ended then

	tries  int       // failed in a row
	tried  time.Time // the last of them
	reason string    // why it failed, or what is missing in the last run

	scrubbed time.Time // his archive was last begun to be read
	damage   string    // that was found then, and not repaired
	aside    backup.Aside

	gone  time.Time // no list has him since then; zero: one has, or none could be asked who could have him
	stays time.Time // he was to be removed then, and could not be

	toCompact bool // his archive is to be looked at, whether it is to be compacted

	running bool      // he is in a batch, or his archive is compacted, and he is not queued
	due     time.Time // as of dueAt, while he is queued
}

// firstPause is how long after a first failure it is tried again; each further one takes six times as long: 10 s, 1 min, 6 min, 36 min.
const firstPause = 10 * time.Second

func pause(tries int) time.Duration {
	p := firstPause
	for range min(tries, 10) - 1 {
		p *= 6
	}
	return p
}

// dueAt is when a user's turn comes. Who failed too often waits as if that had been a run.
func (r *row) dueAt(p Plan, retries int, now time.Time) time.Time {
	since, pause := r.waits(p, retries, now)
	if pause > 0 && !since.IsZero() {
		return since.Add(pause)
	}
	return p.due(since)
}

// waits is since when he does: for a pause, or if that is zero for his turn.
func (r *row) waits(p Plan, retries int, now time.Time) (since time.Time, _ time.Duration) {
	switch {
	case r.tries == 0 && !p.once.IsZero():
		return past(r.ended, now), 0 // a run is told by the second when it began; this is finer
	case r.tries == 0:
		return past(r.last, now), 0
	case r.tries <= retries:
		return past(r.tried, now), pause(r.tries)
	}
	return past(r.tried, now), 0
}

// fail counts a failure. After the last one of a row, a new row begins. For good: trying again would not help.
func (r *row) fail(now time.Time, why error, retries int, forGood bool) {
	if r.tries > retries {
		r.tries = 0
	}
	if r.tries++; forGood {
		r.tries = retries + 1
	}
	r.tried, r.reason = now, why.Error()
}

// since is from when on a user has a right to be not late.
func (r *row) since(now time.Time) time.Time {
	last, seen := past(r.last, now), past(r.seen, now)
	if last.After(seen) {
		return last
	}
	return seen
}

package schedule

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"time"
)

// Limits of what goes on at a time.
type Limits struct {
	Workers      int // batches
	Batch        int // users of one
	PerDriveUnit int // batches
	PerServer    int // batches
	Retries      int // of a user who fails, before he waits for the next round; of a server, before that is an error
}

// queue hands out batches of users who are due. It knows no clock.
type queue struct {
	Limits
	units   []*unit
	servers map[string]*server
	running int // batches
}

// unit is one drive unit.
type unit struct {
	server *server
	name   string
	queued []*row    // longest without a backup first
	next   time.Time // none of them is due before
	active int       // batches
}

// server is one server.
type server struct {
	name   string
	active int       // batches
	tries  int       // to reach it that failed in a row
	failed time.Time // the last of them
	until  time.Time // it rests
}

// batch is what a worker gets: users of one drive unit.
type batch struct {
	*unit
	users []*row
	begun time.Time
}

func newQueue(l Limits) *queue { return &queue{Limits: l, servers: map[string]*server{}} }

func byAge(a, b *row) int { return cmp.Or(a.last.Compare(b.last), cmp.Compare(a.Name, b.Name)) }

// put queues a user, who is in no batch; his due is set.
func (q *queue) put(r *row) {
	u := q.unit(r.Server, r.Unit)
	i, _ := slices.BinarySearchFunc(u.queued, r, byAge)
	u.queued = slices.Insert(u.queued, i, r)
	if r.due.Before(u.next) {
		u.next = r.due
	}
}

// remove takes a user out who is queued.
func (q *queue) remove(r *row) {
	u := q.unit(r.Server, r.Unit)
	if i, ok := slices.BinarySearchFunc(u.queued, r, byAge); ok {
		u.queued = slices.Delete(u.queued, i, i+1)
	}
}

func (q *queue) unit(serverName, name string) *unit {
	i := slices.IndexFunc(q.units, func(u *unit) bool { return u.name == name && u.server.name == serverName })
	if i >= 0 {
		return q.units[i]
	}
	s := q.servers[serverName]
	if s == nil {
		s = &server{name: serverName}
		q.servers[serverName] = s
	}
	u := &unit{server: s, name: name}
	q.units = append(q.units, u)
	return u
}

// take returns a batch of one of the drive units that may have another, at random, or when there may be one; zero means not before
// something is given back or put in.
func (q *queue) take(now time.Time) (*batch, time.Time) {
	var wake time.Time
	if q.running >= q.Workers {
		return nil, wake
	}
	for _, i := range rand.Perm(len(q.units)) {
		u := q.units[i]
		if u.active >= q.PerDriveUnit || u.server.active >= q.PerServer || len(u.queued) == 0 {
			continue
		}
		next := u.next
		if u.server.until.After(next) {
			next = u.server.until
		}
		if !next.After(now) {
			if users := u.take(now, q.Batch); len(users) > 0 {
				u.active++
				u.server.active++
				q.running++
				return &batch{unit: u, users: users}, wake
			}
			next = u.next
		}
		if len(u.queued) > 0 && (wake.IsZero() || next.Before(wake)) {
			wake = next
		}
	}
	return nil, wake
}

// take takes out up to n users who are due, the one longest without a backup first.
func (u *unit) take(now time.Time, n int) []*row {
	var users []*row
	var next time.Time
	kept := u.queued[:0]
	for i, r := range u.queued {
		switch {
		case len(users) == n:
			u.queued = append(kept, u.queued[i:]...)
			return users // there may be more: next stays
		case !r.due.After(now):
			users = append(users, r)
		default:
			kept = append(kept, r)
			if next.IsZero() || r.due.Before(next) {
				next = r.due
			}
		}
	}
	u.queued, u.next = kept, next
	return users
}

// end gives a batch's place back.
func (q *queue) end(b *batch) {
	b.active--
	b.server.active--
	q.running--
}

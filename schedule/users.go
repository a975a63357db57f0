package schedule

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"
)

// UserReport is how it stands with one user.
type UserReport struct {
	User
	Listed   bool      // by a list
	Last     time.Time // his newest run began then; zero: there is none
	Running  bool      // he is in a batch, or his archive is compacted
	Late     bool
	Due      time.Time // when his next turn comes, if he is listed; it may be over
	Tries    int       // that failed; 0: there was a run
	Reason   string    // why they did, or what the run lacks
	Scrubbed time.Time // his archive was read again; zero: it never was
	Damage   string    // that was found then, and not repaired
}

// Place is a user's place in the order of Users: the listed ones first, and of them those who are longest without a backup, and so those who are late.
type Place struct {
	Gone  bool
	Since int64 // in milliseconds; the last backup, or if there is none the first time that he was listed
	Name  string
}

// Compare orders places.
func (p Place) Compare(q Place) int {
	if p.Gone != q.Gone {
		if q.Gone {
			return -1
		}
		return 1
	}
	return cmp.Or(cmp.Compare(p.Since, q.Since), cmp.Compare(p.Name, q.Name))
}

// Search asks for users.
type Search struct {
	Name  string // is part of the user's, whatever the case
	After Place  // zero: from the first on
	Limit int    // so many of them
}

// Found is what a Search found.
type Found struct {
	At     time.Time
	Users  []UserReport
	All    int   // users whom the search finds
	Before int   // of them up to Search.After
	Last   Place // of Users
}

// search looks at each user once, and remembers no more than it hands out.
func search(rows map[string]*row, set settings, q Search, now time.Time) Found {
	f := Found{At: now}
	name := strings.ToLower(q.Name)
	type placed struct {
		Place
		*row
	}
	var best []placed
	for _, r := range rows {
		if !strings.Contains(strings.ToLower(r.User.Name), name) {
			continue
		}
		f.All++
		p := placed{Place{!r.listed, r.since(now).UnixMilli(), r.User.Name}, r}
		switch {
		case q.After != Place{} && p.Compare(q.After) <= 0:
			f.Before++
			continue
		case len(best) == q.Limit:
			if q.Limit == 0 || p.Compare(best[q.Limit-1].Place) > 0 {
				continue
			}
			best = best[:q.Limit-1]
		}
		i, _ := slices.BinarySearchFunc(best, p, func(a, b placed) int { return a.Compare(b.Place) })
		best = slices.Insert(best, i, p)
	}
	by := newDeadlines(set, now)
	for _, p := range best {
		f.Users, f.Last = append(f.Users, p.row.report(by)), p.Place
	}
	return f
}

func (r *row) report(by deadlines) UserReport {
	return UserReport{User: r.User, Listed: r.listed, Last: r.last, Running: r.running, Late: r.listed && by.late(r), Due: r.dueAt(by.Plan, by.Retries, by.now),
		Tries: r.tries, Reason: r.reason, Scrubbed: r.scrubbed, Damage: r.damage}
}

// Users asks a Scheduler that runs about users.
func (s *Scheduler) Users(ctx context.Context, q Search) (found Found, err error) {
	err = s.ask(ctx, func() { found = search(s.rows, s.settings(), q, s.clock.now()) })
	return found, err
}

// ErrUnknown: no list has the user, and no store.
var ErrUnknown = errors.New("no such user")

// User asks a Scheduler that runs about one user.
func (s *Scheduler) User(ctx context.Context, name string) (u UserReport, err error) {
	known := false
	if err = s.ask(ctx, func() {
		var r *row
		if r, known = s.rows[name]; known {
			u = r.report(newDeadlines(s.settings(), s.clock.now()))
		}
	}); err == nil && !known {
		err = ErrUnknown
	}
	return u, err
}

package schedule

import (
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// clocks are how a clock is wrong, and then right: while a Scheduler runs, and while none does.
var clocks = []struct {
	what     string
	ahead    time.Duration
	restarts bool
}{
	{"years ahead, put right by a restart", 3650 * day, true},
	{"years ahead, put right while it runs", 3650 * day, false},
	{"an hour ahead, put right by a restart", time.Hour, true},
	{"an hour ahead, put right while it runs", time.Hour, false},
	{"in 1970, put right by a restart", -10950 * day, true},
	{"in 1970, put right while it runs", -10950 * day, false},
}

// wrongClock lets Schedulers run for two days, with a wrong clock for two more, and then with one that is right for what is said.
func (f *fakes) wrongClock(t *testing.T, path string, opts Options, ahead time.Duration, restarts bool, right time.Duration, look func()) {
	t.Helper()
	_, end := f.mustStart(t, path, opts)
	for i, part := range []struct{ ahead, lasts time.Duration }{{0, 2 * day}, {ahead, 2 * day}, {0, right}} {
		if restarts && i > 0 {
			end()
		}
		if f.setClock(part.ahead); i == 2 {
			look()
		}
		if restarts && i > 0 {
			_, end = f.mustStart(t, path, opts)
		}
		time.Sleep(part.lasts)
	}
	end()
}

// TestClockPutRight: of what was done while the clock was wrong nothing keeps a user, or an archive that is to be read, waiting when it is right, and
// nobody is said to be in time of whom nobody knows it.
func TestClockPutRight(t *testing.T) {
	for _, c := range clocks {
		path := statePath(t)
		synctest.Test(t, func(t *testing.T) {
			f := newFakes(someUsers(20, 2, 2)...)
			f.failing = func(u User, _ time.Time) error {
				if f.ahead != 0 && u.Name[7]%2 == 0 { // it is locked
					return errAway
				}
				return nil
			}
			opts := f.options(defaults, MaxAge(day))
			opts.Scrub = Scrub{Rate: 1000, Every: 4 * day}
			var since time.Time
			f.wrongClock(t, path, opts, c.ahead, c.restarts, 4*day, func() {
				if since = time.Now(); c.restarts && c.ahead > day {
					rep, _, err := ReadReport(path, false)
					late := 0
					for _, u := range rep.Units {
						if late += u.Late; u.Newest != nil && u.Newest.After(since) {
							t.Errorf("%s: the newest is of %s", c.what, u.Newest)
						}
					}
					if err != nil || rep.Due != 20 || late != 20 {
						t.Errorf("%s: %d are due, %d late, %v", c.what, rep.Due, late, err)
					}
				}
				f.mu.Lock()
				defer f.mu.Unlock()
				f.users = append(f.users, User{"user9999", "imap1", "unit1"}) // lists are read again, too
			})
			for _, u := range f.users {
				runs := slices.DeleteFunc(slices.Clone(f.record), func(r turnTaken) bool { return r.user != u || !r.began.After(since) })
				if len(runs) < 4 || len(runs) > 6 {
					t.Errorf("%s: %s has %d runs in four days", c.what, u.Name, len(runs))
				}
				if read := f.readAt[u.Name]; len(read) == 0 || !read[len(read)-1].After(since) {
					t.Errorf("%s: the archive of %s is not read again: %v", c.what, u.Name, read)
				}
			}
			opts.Once = true
			f.setClock(c.ahead)
			f.mustRun(t, path, opts, day)
			f.setClock(0)
			n := len(f.record)
			f.mustRun(t, path, opts, day)
			if len(f.record) != n+len(f.users) {
				t.Errorf("%s: %d of %d were backed up in a single round", c.what, len(f.record)-n, len(f.users))
			}
		})
	}
}

// TestNoted: who waits for what was noted in the future waits for nothing.
func TestNoted(t *testing.T) {
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	ahead := now.Add(3650 * day)
	once := MaxAge(day)
	once.once = now.Add(-time.Minute)
	for what, r := range map[string]*row{
		"a run": {last: ahead}, "a failure": {tries: 1, tried: ahead, last: ahead}, "the last failure": {tries: 4, tried: ahead}, "a run that ended": {ended: ahead},
	} {
		for _, p := range []Plan{MaxAge(day), window(t, "11:00-13:00", "UTC"), once} {
			if due := r.dueAt(p, 3, now); due.After(now) {
				t.Errorf("%s, %s: due at %s", what, p, due)
			}
		}
	}
	r := &row{last: now.Add(skew), seen: ahead}
	if due := r.dueAt(MaxAge(day), 3, now); !due.After(now) || r.since(now) != r.last {
		t.Errorf("a clock that is ahead a little: due at %s, since %s", due, r.since(now))
	}
}

// TestClockRemoves: whatever the clock does, who is gone is removed when he has been gone for as long as is said, and not before.
func TestClockRemoves(t *testing.T) {
	for _, c := range clocks {
		path := statePath(t)
		synctest.Test(t, func(t *testing.T) {
			f := newFakes(someUsers(9, 1, 1)...)
			opts := f.options(defaults, MaxAge(day))
			opts.Retention = Retention{Deleted: 30 * day}
			f.mustRun(t, path, opts, day)
			all := f.users
			f.users = all[1:]
			f.mustRun(t, path, opts, time.Hour)
			f.wrongClock(t, path, opts, c.ahead, c.restarts, 15*day, func() {})
			if len(f.removed) > 0 {
				t.Fatalf("%s: removed too early: %v", c.what, f.removed)
			}
			f.mustRun(t, path, opts, 23*day)
			if got := slices.Collect(maps.Keys(f.removed)); !slices.Equal(got, []string{all[0].Name}) {
				t.Errorf("%s: removed are %q", c.what, got)
			}
		})
	}
}

package schedule

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"backupfs/internal/testenv"
	"backupfs/source"
)

var errAway = errors.New("it is away")

func someUsers(n, servers, units int) (users []User) {
	for i := range n {
		users = append(users, User{fmt.Sprintf("user%04d", i), fmt.Sprintf("imap%d", i%servers), fmt.Sprintf("unit%d", i/servers%units)})
	}
	return users
}

var defaults = Limits{Workers: 12, Batch: 50, PerDriveUnit: 1, PerServer: 12, Retries: 3}

// TestRounds: whatever the users, the limits, who fails, which servers are away, and when the process ends and starts again: in a night
// that is long enough everyone is backed up exactly once, whoever fails for a while too, and the limits hold at each moment.
func TestRounds(t *testing.T) {
	dir := t.TempDir()
	testenv.Check(t, func(rt *rapid.T) {
		f := newFakes(someUsers(rapid.IntRange(1, 150).Draw(rt, "users"), rapid.IntRange(1, 3).Draw(rt, "servers"), rapid.IntRange(1, 4).Draw(rt, "units"))...)
		limits := Limits{
			Workers: rapid.IntRange(1, 12).Draw(rt, "workers"), Batch: rapid.IntRange(1, 50).Draw(rt, "batch"), Retries: 3,
			PerDriveUnit: rapid.IntRange(1, 3).Draw(rt, "per drive unit"), PerServer: rapid.IntRange(1, 6).Draw(rt, "per server"),
		}
		slow := rapid.IntRange(1, 20).Draw(rt, "one of so many is slow")
		f.took = func(u User) time.Duration {
			if int(u.Name[7])%slow == 0 {
				return 5 * time.Second
			}
			return 10 * time.Millisecond
		}
		weak := rapid.IntRange(1, 10).Draw(rt, "one of so many fails")
		restarts := rapid.SliceOfN(rapid.IntRange(1, 2000), 0, 5).Draw(rt, "seconds until a restart")
		outage := time.Duration(rapid.IntRange(0, 60).Draw(rt, "seconds that a server and some users fail")) * time.Second
		path := filepath.Join(dir, "state")
		_ = os.Remove(path)
		synctest.Test(t, func(t *testing.T) { // the clock begins at midnight, UTC
			night := time.Now().Add(23*time.Hour + 55*time.Minute)
			fails := func(now time.Time) bool { return now.After(night) && now.Before(night.Add(outage)) }
			f.failing = func(u User, now time.Time) error {
				if fails(now) && int(u.Name[6])%weak == 0 {
					return errAway
				}
				return nil
			}
			f.away = func(server string, now time.Time) error {
				if fails(now) && server == "imap1" {
					return errAway
				}
				return nil
			}
			for _, u := range f.users {
				f.runs[u.Name] = []time.Time{time.Now().Add(-time.Hour)} // last night
			}
			opts := f.options(limits, window(t, "23:55-06:00", "UTC"))
			time.Sleep(time.Until(night.Add(-time.Minute)))
			for _, seconds := range restarts {
				f.mustRun(t, path, opts, time.Duration(seconds)*time.Second)
			}
			f.mustRun(t, path, opts, time.Until(night.Add(6*time.Hour)))
			for _, u := range f.users {
				if n := len(f.runs[u.Name]) - 1; n != 1 {
					t.Errorf("%s has %d runs", u.Name, n)
				}
			}
			if err := f.check(limits); err != nil {
				t.Error(err)
			}
			for _, turn := range f.record {
				if turn.began.Before(night) {
					t.Errorf("%s ran at %s", turn.user.Name, turn.began)
				}
			}
		})
	})
}

// TestWindowCloses: when a night is too short nobody begins after it, and those who had no turn are the first in the next.
func TestWindowCloses(t *testing.T) {
	path := statePath(t)
	synctest.Test(t, func(t *testing.T) {
		f := newFakes(someUsers(100, 1, 1)...)
		f.took = func(User) time.Duration { return time.Minute }
		limits := defaults
		limits.Batch = 7
		f.mustRun(t, path, f.options(limits, window(t, "01:00-02:00", "UTC")), 47*time.Hour)
		if n := len(f.record); n != 120 {
			t.Errorf("%d turns in two hours", n)
		}
		for i, turn := range f.record {
			if opened := turn.began.Hour() == 1; !opened {
				t.Errorf("%s ran at %s", turn.user.Name, turn.began)
			}
			if want := fmt.Sprintf("user%04d", i%100); turn.user.Name != want {
				t.Errorf("turn %d was %s's", i, turn.user.Name)
			}
		}
		rep, _, err := ReadReport(path, true)
		if err != nil {
			t.Fatal(err)
		}
		if u := rep.Units[0]; u.Users != 100 || u.Never != 0 || u.Late != 40 || u.Due != 40 {
			t.Errorf("%+v", u)
		}
	})
}

// TestMaxAge: no backup gets older than the age, for days.
func TestMaxAge(t *testing.T) {
	path := statePath(t)
	synctest.Test(t, func(t *testing.T) {
		f := newFakes(someUsers(200, 2, 3)...)
		f.took = func(User) time.Duration { return time.Minute }
		f.mustRun(t, path, f.options(defaults, MaxAge(6*time.Hour)), 48*time.Hour)
		for name, runs := range f.runs {
			for i, run := range append(runs[1:], time.Now()) {
				if age := run.Sub(runs[i]); age > 6*time.Hour || age < 4*time.Hour && i < len(runs)-1 {
					t.Errorf("%s has runs %s apart", name, age)
				}
			}
		}
	})
}

// TestListAway: a database that is away for an hour leaves the list as it was, also over a restart; who is no longer in it stays where he
// is, and has no more turns.
func TestListAway(t *testing.T) {
	path := statePath(t)
	synctest.Test(t, func(t *testing.T) {
		f := newFakes(someUsers(20, 1, 2)...)
		opts := f.options(defaults, MaxAge(time.Hour))
		f.mustRun(t, path, opts, time.Hour)
		f.listFailing = errAway
		f.mustRun(t, path, opts, 2*time.Hour-time.Minute)
		for name, runs := range f.runs {
			if len(runs) != 4 {
				t.Errorf("%s has %d runs in three hours", name, len(runs))
			}
		}
		f.listFailing = nil
		all := f.users
		f.users = f.users[:19]
		f.mustRun(t, path, opts, 2*time.Hour)
		rep, _, err := ReadReport(path, true)
		if err != nil {
			t.Fatal(err)
		}
		if n := rep.Users(); n != 19 || len(rep.Gone) != 1 || rep.Gone[0].User != all[19].Name || rep.Gone[0].Last == nil {
			t.Errorf("%d users, gone: %+v", n, rep.Gone)
		}
	})
}

// TestFailures: one who fails for good costs the others nothing, is tried as often as is said, and told once a round.
func TestFailures(t *testing.T) {
	path := statePath(t)
	synctest.Test(t, func(t *testing.T) {
		f := newFakes(someUsers(100, 1, 1)...)
		f.failing = func(u User, _ time.Time) error {
			if u.Name == "user0003" {
				return errAway
			}
			return nil
		}
		f.mustRun(t, path, f.options(defaults, window(t, "12:00", "UTC")), 3*24*time.Hour+time.Hour)
		var tries []time.Time
		for _, turn := range f.record {
			if !turn.done {
				tries = append(tries, turn.began)
			}
		}
		if len(tries) != 4*4 { // at once, and at three noons
			t.Errorf("%d tries", len(tries))
		}
		if gap := tries[3].Sub(tries[2]); gap < 6*time.Minute || gap > 8*time.Minute {
			t.Errorf("the last of a row came after %s", gap)
		}
		for name, runs := range f.runs {
			if len(runs) != 4 {
				t.Errorf("%s has %d runs", name, len(runs))
			}
		}
		rep, _, err := ReadReport(path, true)
		if err != nil || len(rep.Failures) != 1 || rep.Failures[0].User != "user0003" || rep.Failures[0].Reason != errAway.Error() || rep.Failures[0].Tries != 4 {
			t.Errorf("%+v, %v", rep.Failures, err)
		}
	})
}

// TestOnce: each has one turn, whenever the last was; a server that stays away fails its users only; it ends.
func TestOnce(t *testing.T) {
	path := statePath(t)
	synctest.Test(t, func(t *testing.T) {
		f := newFakes(someUsers(100, 2, 2)...)
		for n := 1; n <= 2; n++ {
			outcomes := map[string]int{}
			opts := f.options(defaults, MaxAge(24*time.Hour))
			opts.Once = true
			opts.Done = func(o Outcome) {
				if outcomes[o.User.Name]++; (o.Err != nil) != (o.User.Server == "imap1") || o.Again {
					t.Errorf("%+v", o)
				}
			}
			f.away = func(server string, _ time.Time) error {
				if server == "imap1" {
					return errAway
				}
				return nil
			}
			f.mustRun(t, path, opts, time.Hour)
			for _, u := range f.users {
				if outcomes[u.Name] != 1 {
					t.Errorf("%s had %d turns", u.Name, outcomes[u.Name])
				}
			}
			time.Sleep(time.Second)
			if len(f.record) != n*50 {
				t.Errorf("%d runs", len(f.record))
			}
		}
	})
}

// TestServerAway: a server goes away while a user is being backed up, for hours. Its users are not blamed; they have their turn soon after it is
// back, and those of the other server have theirs meanwhile.
func TestServerAway(t *testing.T) {
	path := statePath(t)
	synctest.Test(t, func(t *testing.T) {
		f := newFakes(someUsers(100, 2, 2)...)
		away := func(now time.Time) bool { return now.Hour() >= 1 && now.Hour() < 4 }
		f.took = func(User) time.Duration { return 10 * time.Second }
		f.failing = func(u User, now time.Time) error {
			if away(now) && u.Server == "imap1" {
				return fmt.Errorf("%s: %w", u.Name, source.ErrLost)
			}
			return nil
		}
		f.away = func(server string, now time.Time) error {
			if away(now) && server == "imap1" {
				return errAway
			}
			return nil
		}
		opts := f.options(defaults, MaxAge(24*time.Hour))
		time.Sleep(58 * time.Minute)
		f.mustRun(t, path, opts, 2*time.Hour)
		rep, _, err := ReadReport(path, true)
		if err != nil || len(rep.Failures) != 0 || len(rep.Troubles) != 1 || rep.Troubles[0].What != "server imap1" || rep.Troubles[0].Since.Hour() != 1 {
			t.Errorf("%+v, %v", rep, err)
		}
		f.mustRun(t, path, opts, 2*time.Hour)
		for name, runs := range f.runs {
			if n := len(runs); n != 1 || runs[0].Hour() > 4 || runs[0].Minute() > 20 && runs[0].Hour() == 4 {
				t.Errorf("%s: %s", name, runs)
			}
		}
		if n := len(f.runs); n != 100 {
			t.Errorf("%d users", n)
		}
		rep, _, err = ReadReport(path, true)
		if err != nil || len(rep.Troubles) != 0 {
			t.Errorf("%+v, %v", rep.Troubles, err)
		}
	})
}

// TestStop: within seconds, and who was being backed up is neither done nor failed.
func TestStop(t *testing.T) {
	path := statePath(t)
	synctest.Test(t, func(t *testing.T) {
		f := newFakes(someUsers(10, 1, 2)...)
		f.took = func(u User) time.Duration {
			if u.Unit == "unit0" {
				return time.Hour
			}
			return 3 * time.Second
		}
		began := time.Now()
		f.mustRun(t, path, f.options(defaults, MaxAge(24*time.Hour)), time.Second)
		if took := time.Since(began); took > time.Second+grace {
			t.Errorf("it ended after %s", took)
		}
		rep, _, err := ReadReport(path, true)
		if err != nil || len(rep.Failures) != 0 || rep.Due != 9 {
			t.Errorf("%+v, %v", rep, err)
		}
	})
}

// TestLostState: of a state that is spoilt, or older than the archives, as a crash or a run by hand leaves it, nobody has a second run.
func TestLostState(t *testing.T) {
	path := statePath(t)
	synctest.Test(t, func(t *testing.T) {
		f := newFakes(someUsers(30, 1, 2)...)
		opts := f.options(defaults, MaxAge(24*time.Hour))
		f.mustRun(t, path, opts, 3*time.Second)
		old, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		f.mustRun(t, path, opts, time.Hour)
		for _, state := range [][]byte{old, []byte(strings.Repeat("this is no database ", 100))} {
			if err := os.WriteFile(path, state, 0o600); err != nil {
				t.Fatal(err)
			}
			f.mustRun(t, path, opts, time.Hour)
			if len(f.record) != 30 {
				t.Fatalf("%d turns", len(f.record))
			}
		}
	})
}

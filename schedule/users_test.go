package schedule

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"backupfs/internal/testenv"
)

// TestUsers: page by page, everyone whom a search finds is there once, the late ones first, those who are gone last.
func TestUsers(t *testing.T) {
	now := time.Unix(1795800000, 0)
	set := settings{Plan: MaxAge(24 * time.Hour), Retries: 3}
	testenv.Check(t, func(rt *rapid.T) {
		rows, want := map[string]*row{}, 0
		part := rapid.SampledFrom([]string{"", "a", "B1", "nobody"}).Draw(rt, "part of the name")
		for i := range rapid.IntRange(0, 60).Draw(rt, "users") {
			hours := rapid.IntRange(0, 40)
			r := &row{User: User{Name: fmt.Sprintf("%s%d", rapid.SampledFrom([]string{"a", "b", "Ab"}).Draw(rt, "name"), i)}, listed: rapid.Bool().Draw(rt, "listed"),
				seen: now.Add(-time.Duration(hours.Draw(rt, "seen")) * time.Hour)}
			if rapid.Bool().Draw(rt, "had a run") {
				r.last = now.Add(-time.Duration(hours.Draw(rt, "last")) * time.Hour)
			}
			rows[r.Name] = r
			if strings.Contains(strings.ToLower(r.Name), strings.ToLower(part)) {
				want++
			}
		}
		late := 0
		for _, u := range report(rows, nil, set, now).Units {
			late += u.Late
		}
		var all []UserReport
		q := Search{Name: part, Limit: rapid.IntRange(1, 20).Draw(rt, "limit")}
		for {
			f := search(rows, set, q, now)
			if f.All != want || f.Before != len(all) || len(f.Users) > q.Limit {
				t.Fatalf("%d found of %d, %d before of %d, %d on a page of %d", f.All, want, f.Before, len(all), len(f.Users), q.Limit)
			}
			if all = append(all, f.Users...); len(f.Users) == 0 {
				break
			}
			q.After = f.Last
		}
		names := map[string]bool{}
		for i, u := range all {
			names[u.Name] = true
			if r := rows[u.Name]; u.Late != (r.listed && now.Sub(r.since(now)) > 24*time.Hour) || u.Listed != r.listed || !u.Last.Equal(r.last) {
				t.Fatalf("%+v", u)
			}
			if i > 0 && (u.Late && !all[i-1].Late || u.Listed && !all[i-1].Listed) {
				t.Fatalf("%+v behind %+v", u, all[i-1])
			}
		}
		if len(names) != want || len(all) != want {
			t.Fatalf("%d users, %d names, want %d", len(all), len(names), want)
		}
		if n := len(slices.DeleteFunc(all, func(u UserReport) bool { return !u.Late })); part == "" && n != late {
			t.Fatalf("%d are late, the report has %d", n, late)
		}
	})
}

// TestDays: turns are counted by nights, also over a restart.
func TestDays(t *testing.T) {
	path := statePath(t)
	synctest.Test(t, func(t *testing.T) { // the clock begins at midnight, UTC, of 2000-01-01
		f := newFakes(someUsers(10, 1, 1)...)
		f.lacking = map[string]bool{"user0003": true}
		f.took = func(User) time.Duration { return 20 * time.Minute }
		f.failing = func(u User, now time.Time) error {
			if u.Name == "user0007" && now.Day() < 3 {
				return errAway
			}
			return nil
		}
		var last []Day
		opts := f.options(defaults, window(t, "23:00-06:00", "UTC"))
		opts.Retries = 1
		opts.Progress = func(r Report) { last = r.Days }
		f.mustRun(t, path, opts, 24*time.Hour+time.Minute) // the second night goes on
		f.mustRun(t, path, opts, 29*time.Hour)
		rep, _, err := ReadReport(path, true)
		if err != nil {
			t.Fatal(err)
		}
		want := []Day{{"1999-12-31", 8, 1, 1}, {"2000-01-01", 8, 1, 1}, {"2000-01-02", 8, 1, 0}}
		want[2].OK++ // user0007
		if !slices.Equal(rep.Days[:2], want[:2]) || !slices.Equal(rep.Days, last) {
			t.Errorf("%v, told %v, want %v", rep.Days, last, want)
		}
	})
}

// TestUser: a Scheduler that runs is asked about users.
func TestUser(t *testing.T) {
	path := statePath(t)
	synctest.Test(t, func(t *testing.T) {
		f := newFakes(someUsers(3, 1, 1)...)
		s, end := f.mustStart(t, path, f.options(defaults, MaxAge(24*time.Hour)))
		defer end()
		synctest.Wait()
		time.Sleep(time.Minute)
		u, err := s.User(t.Context(), "user0001")
		if err != nil || u.Server != "imap0" || u.Last.IsZero() || u.Late || !u.Listed || !u.Due.After(time.Now()) {
			t.Errorf("%+v, %v", u, err)
		}
		if _, err := s.User(t.Context(), "nobody"); !errors.Is(err, ErrUnknown) {
			t.Error(err)
		}
		if found, err := s.Users(t.Context(), Search{Name: "R0002", Limit: 9}); err != nil || found.All != 1 || found.Users[0].Name != "user0002" {
			t.Errorf("%+v, %v", found, err)
		}
	})
}

// TestReportIsCopy: what goes on after a report does not change it, which another goroutine may be reading.
func TestReportIsCopy(t *testing.T) {
	then := time.Unix(1795800000, 0)
	r := &row{User: User{Name: "brong"}, listed: true, last: then, scrubbed: then}
	rep := report(map[string]*row{"brong": r}, nil, settings{Plan: MaxAge(time.Hour), Scrub: Scrub{Rate: 1, Every: time.Hour}}, then)
	r.last, r.scrubbed = time.Time{}, time.Time{}
	for what, at := range map[string]*time.Time{"oldest": rep.Units[0].Oldest, "newest": rep.Units[0].Newest, "read again": rep.Scrub.Oldest} {
		if !at.Equal(then) {
			t.Errorf("%s: %s", what, at)
		}
	}
}

package schedule

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"backupfs/archive"
)

const day = 24 * time.Hour

// TestScrub: each archive is read as often as it should be, the one that was not for longest first, and not faster than is allowed; over
// restarts; runs go on meanwhile.
func TestScrub(t *testing.T) {
	path := statePath(t)
	synctest.Test(t, func(t *testing.T) {
		f := newFakes(someUsers(50, 1, 2)...)
		f.size = 60 * 1000 // a minute for each
		opts := f.options(defaults, MaxAge(day))
		opts.Scrub = Scrub{Rate: 1000, Every: 10 * day}
		for range 5 {
			f.mustRun(t, path, opts, 7*day)
		}
		for i, name := range f.read[50:] {
			if name != f.read[i] {
				t.Fatalf("read: %v", f.read)
			}
		}
		if took := f.readAt[f.read[49]][0].Sub(f.readAt[f.read[0]][0]); took < 48*time.Minute || took > 2*time.Hour {
			t.Errorf("50 archives were read in %s", took)
		}
		for name, times := range f.readAt {
			for i, now := range append(times, time.Now())[1:] {
				if gap := now.Sub(times[i]); gap > 10*day {
					t.Errorf("%s was not read for %s", name, gap)
				}
			}
		}
		if len(f.readAt) != 50 || len(f.read) > 4*50+50 {
			t.Errorf("%d archives of %d users", len(f.read), len(f.readAt))
		}
		rep, _, err := ReadReport(path, true)
		if err != nil || rep.Scrub.Late != 0 || rep.Scrub.Oldest == nil || len(rep.Scrub.Damaged) != 0 || rep.Scrub.Every != "240h0m0s" {
			t.Errorf("%+v, %v", rep.Scrub, err)
		}
		for name, runs := range f.runs {
			if len(runs) < 35 {
				t.Errorf("%s has %d runs", name, len(runs))
			}
		}
	})
}

// TestScrubFirst: what a run finds damaged is read at once, and repaired, and then he has his run.
func TestScrubFirst(t *testing.T) {
	path := statePath(t)
	synctest.Test(t, func(t *testing.T) {
		f := newFakes(someUsers(20, 1, 1)...)
		opts := f.options(defaults, MaxAge(day))
		opts.Scrub = Scrub{Rate: 1000, Every: 10 * day, Repair: true}
		f.mustRun(t, path, opts, 3*day)
		f.damaged["user0007"] = true
		f.failing = func(u User, _ time.Time) error {
			if f.damaged[u.Name] {
				return archive.ErrDamaged
			}
			return nil
		}
		f.mustRun(t, path, opts, day)
		runs := f.runs["user0007"]
		for i, run := range runs[1:] {
			if gap := run.Sub(runs[i]); gap > 19*time.Hour {
				t.Errorf("no run for %s", gap)
			}
		}
		if rep, _, err := ReadReport(path, false); err != nil || len(rep.Failures) != 0 || len(f.damaged) != 0 || len(runs) != len(f.runs["user0008"]) {
			t.Errorf("%+v, %v, %d runs", rep.Failures, err, len(runs))
		}
	})
}

// TestScrubDamage: what is damaged is told, and looked at again each day, or repaired.
func TestScrubDamage(t *testing.T) {
	path := statePath(t)
	synctest.Test(t, func(t *testing.T) {
		f := newFakes(someUsers(20, 1, 1)...)
		f.damaged["user0007"] = true
		told := 0
		opts := f.options(defaults, MaxAge(day))
		opts.Scrub = Scrub{Rate: 1000, Every: 10 * day}
		opts.Scrubbed = func(s Scrubbed) {
			if told += len(s.Damage); s.Repaired != nil != opts.Scrub.Repair && len(s.Damage) > 0 {
				t.Errorf("%+v", s)
			}
		}
		f.mustRun(t, path, opts, 3*day+time.Hour)
		rep, _, err := ReadReport(path, false)
		if err != nil || len(rep.Scrub.Damaged) != 1 || rep.Scrub.Damaged[0].User != "user0007" || len(rep.Troubles) != 1 || told < 3 || told > 4 {
			t.Errorf("%d: %+v, %v", told, rep, err) // it is first looked for archives before or after the list is read
		}
		before := told
		opts.Scrub.Repair = true
		f.mustRun(t, path, opts, 2*day)
		rep, _, err = ReadReport(path, false)
		if err != nil || len(rep.Scrub.Damaged) != 0 || len(rep.Troubles) != 0 || told != before+1 ||
			!slices.Equal(rep.Aside, []Aside{{"user0007", 1, f.size}}) {
			t.Errorf("%d: %+v, %v", told, rep, err)
		}
		clear(f.aside) // by hand
		f.mustRun(t, path, opts, day)
		if rep, _, err = ReadReport(path, false); err != nil || len(rep.Aside) != 0 {
			t.Errorf("%+v, %v", rep.Aside, err)
		}
	})
}

package backup

import (
	"errors"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"backupfs/internal/testenv"
)

func TestKept(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		what string
		keep Keep
		loc  *time.Location
		runs []string
		kept []string
	}{
		{"nothing", Keep{Daily: 3}, time.UTC, nil, nil},
		{"the newest stays, whatever is said", Keep{}, time.UTC, []string{"2009-09-27 10:00", "2009-09-28 10:00"}, []string{"2009-09-28 10:00"}},
		{"the last ones, of one day", Keep{Last: 2}, time.UTC, []string{"2009-09-28 10:00", "2009-09-28 10:00", "2009-09-28 10:00"}, []string{"2009-09-28 10:00", "2009-09-28 10:00"}},
		{"the newest of a day", Keep{Daily: 2}, time.UTC, []string{"2009-09-26 10:00", "2009-09-27 10:00", "2009-09-27 23:55", "2009-09-28 01:00", "2009-09-28 02:00"},
			[]string{"2009-09-27 23:55", "2009-09-28 02:00"}},
		{"days that have a run", Keep{Daily: 3}, time.UTC, []string{"2008-01-01 10:00", "2009-01-01 10:00", "2009-06-01 10:00", "2009-09-28 10:00"},
			[]string{"2009-01-01 10:00", "2009-06-01 10:00", "2009-09-28 10:00"}},
		{"days of the time zone", Keep{Daily: 2}, berlin, []string{"2009-09-26 21:00", "2009-09-27 21:00", "2009-09-27 23:55"}, []string{"2009-09-27 21:00", "2009-09-27 23:55"}},
		{"a day of 25 hours", Keep{Daily: 2}, berlin, []string{"2009-10-24 21:00", "2009-10-24 22:30", "2009-10-25 22:30"}, []string{"2009-10-24 21:00", "2009-10-25 22:30"}},
		{"weeks begin on Monday", Keep{Weekly: 2}, time.UTC, []string{"2009-09-19 10:00", "2009-09-20 10:00", "2009-09-26 10:00", "2009-09-27 10:00"}, []string{"2009-09-20 10:00", "2009-09-27 10:00"}},
		{"the week of New Year", Keep{Weekly: 2}, time.UTC, []string{"2009-12-27 10:00", "2009-12-31 10:00", "2010-01-02 10:00"}, []string{"2009-12-27 10:00", "2010-01-02 10:00"}},
		{"months of two years", Keep{Monthly: 2}, time.UTC, []string{"2008-09-30 10:00", "2009-09-01 10:00", "2009-09-28 10:00"}, []string{"2008-09-30 10:00", "2009-09-28 10:00"}},
		{"years", Keep{Yearly: 2}, time.UTC, []string{"2007-06-01 10:00", "2008-06-01 10:00", "2008-12-31 10:00", "2009-09-28 10:00"}, []string{"2008-12-31 10:00", "2009-09-28 10:00"}},
		{"one run counts for all", Keep{Last: 1, Daily: 1, Weekly: 1, Monthly: 1, Yearly: 1}, time.UTC, []string{"2009-08-01 10:00", "2009-09-28 10:00"}, []string{"2009-09-28 10:00"}},
	} {
		var begun []time.Time
		for _, text := range c.runs {
			at, err := time.Parse("2006-01-02 15:04", text)
			if err != nil {
				t.Fatal(err)
			}
			begun = append(begun, at)
		}
		var kept []string
		for i, yes := range c.keep.Kept(begun, c.loc) {
			if yes {
				kept = append(kept, c.runs[i])
			}
		}
		if !slices.Equal(kept, c.kept) {
			t.Errorf("%s: %q", c.what, kept)
		}
	}
}

// TestKeptModel compares with a rule said the other way round: a run stays if it is the newest of its period, and fewer than so many
// periods come behind it.
func TestKeptModel(t *testing.T) {
	testenv.Check(t, func(t *rapid.T) {
		zone := time.FixedZone("", rapid.IntRange(-12, 14).Draw(t, "zone")*3600)
		n := func(what string) int { return rapid.IntRange(0, 6).Draw(t, what) }
		keep := Keep{n("last"), n("daily"), n("weekly"), n("monthly"), n("yearly")}
		at := time.Date(2009, 1, 1, 0, 0, 0, 0, time.UTC)
		var begun []time.Time
		for range rapid.IntRange(0, 60).Draw(t, "runs") {
			hours := rapid.SampledFrom([]int{0, 1, 5, 20, 24, 48, 24 * 7, 24 * 40, 24 * 400}).Draw(t, "hours")
			at = at.Add(time.Duration(hours) * time.Hour)
			begun = append(begun, at)
		}
		formats := []struct {
			n      int
			period func(t time.Time) any
		}{
			{keep.Daily, func(t time.Time) any { return t.Format(time.DateOnly) }},
			{keep.Weekly, func(t time.Time) any { year, week := t.ISOWeek(); return [2]int{year, week} }},
			{keep.Monthly, func(t time.Time) any { return t.Format("2006-01") }},
			{keep.Yearly, func(t time.Time) any { return t.Year() }},
		}
		for i, kept := range keep.Kept(begun, zone) {
			want := i == len(begun)-1 || len(begun)-i <= keep.Last
			for _, f := range formats {
				behind := map[any]bool{}
				for _, later := range begun[i+1:] {
					behind[f.period(later.In(zone))] = true
				}
				want = want || !behind[f.period(begun[i].In(zone))] && len(behind) < f.n
			}
			if kept != want {
				t.Fatalf("%s of %v: run %d is kept: %t", keep, begun, i, kept)
			}
		}
	})
}

func TestParseKeep(t *testing.T) {
	for text, want := range map[string]Keep{
		"daily=14": {Daily: 14}, "last=1,daily=14,weekly=8,monthly=12,yearly=3": {1, 14, 8, 12, 3}, " weekly = 2 , last=0": {Weekly: 2},
	} {
		if k, err := ParseKeep(text); k != want || err != nil {
			t.Errorf("%q: %+v, %v", text, k, err)
		}
	}
	for _, text := range []string{"", "14", "daily", "daily=", "daily=-1", "daily=x", "dayly=3", "daily=3,", "hourly=2", "daily=0"} {
		if k, err := ParseKeep(text); !errors.Is(err, ErrKeep) || k != (Keep{}) {
			t.Errorf("%q: %+v, %v", text, k, err)
		}
	}
	if text := (Keep{1, 14, 0, 12, 0}).String(); text != "last=1,daily=14,monthly=12" {
		t.Error(text)
	}
}

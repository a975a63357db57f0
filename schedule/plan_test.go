package schedule

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"backupfs/internal/testenv"
)

func zone(t rapid.TB, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func window(t rapid.TB, text, place string) Plan {
	t.Helper()
	p, err := Window(text, zone(t, place))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func moment(t rapid.TB, text string) time.Time {
	t.Helper()
	when, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return when
}

// TestWindow: which window a moment belongs to, and when the next one opens, in the two nights of a year that are longer or shorter.
func TestWindow(t *testing.T) {
	for _, c := range []struct {
		plan, zone, now    string
		round, until, next string // until empty: closed
	}{
		{"23:55-06:00", "UTC", "2026-11-24T12:00:00Z", "2026-11-23T23:55:00Z", "", "2026-11-24T23:55:00Z"},
		{"23:55-06:00", "UTC", "2026-11-24T23:55:00Z", "2026-11-24T23:55:00Z", "2026-11-25T06:00:00Z", "2026-11-25T23:55:00Z"},
		{"23:55-06:00", "UTC", "2026-11-25T05:59:59Z", "2026-11-24T23:55:00Z", "2026-11-25T06:00:00Z", "2026-11-25T23:55:00Z"},
		{"23:55-06:00", "UTC", "2026-11-25T06:00:00Z", "2026-11-24T23:55:00Z", "", "2026-11-25T23:55:00Z"},
		{"01:00-05:00", "UTC", "2026-11-25T04:00:00Z", "2026-11-25T01:00:00Z", "2026-11-25T05:00:00Z", "2026-11-26T01:00:00Z"},
		// Clocks put forward from 02:00 to 03:00: the night is an hour short, and a window from 02:30 opens at 03:00.
		{"23:55-06:00", "Europe/Berlin", "2026-03-29T02:00:00Z", "2026-03-28T22:55:00Z", "2026-03-29T04:00:00Z", "2026-03-29T21:55:00Z"},
		{"02:30-06:00", "Europe/Berlin", "2026-03-29T00:59:59Z", "2026-03-28T01:30:00Z", "", "2026-03-29T01:00:00Z"},
		{"02:30-06:00", "Europe/Berlin", "2026-03-29T01:00:00Z", "2026-03-29T01:00:00Z", "2026-03-29T04:00:00Z", "2026-03-30T00:30:00Z"},
		// Put back from 03:00 to 02:00: 02:30 comes twice, and the window opens at the first, once.
		{"02:30-06:00", "Europe/Berlin", "2026-10-25T00:30:00Z", "2026-10-25T00:30:00Z", "2026-10-25T05:00:00Z", "2026-10-26T01:30:00Z"},
		{"02:30-06:00", "Europe/Berlin", "2026-10-25T01:30:00Z", "2026-10-25T00:30:00Z", "2026-10-25T05:00:00Z", "2026-10-26T01:30:00Z"},
		{"22:00-02:30", "Europe/Berlin", "2026-10-25T00:29:59Z", "2026-10-24T20:00:00Z", "2026-10-25T00:30:00Z", "2026-10-25T21:00:00Z"},
		// Midnight itself is skipped; half an hour is.
		{"00:00-04:00", "America/Santiago", "2026-09-06T04:00:00Z", "2026-09-06T04:00:00Z", "2026-09-06T07:00:00Z", "2026-09-07T03:00:00Z"},
		{"02:15-04:00", "Australia/Lord_Howe", "2026-10-03T15:30:00Z", "2026-10-03T15:30:00Z", "2026-10-03T17:00:00Z", "2026-10-04T15:15:00Z"},
	} {
		p, now := window(t, c.plan, c.zone), moment(t, c.now)
		if got := p.round(now); !got.Equal(moment(t, c.round)) {
			t.Errorf("%s in %s at %s: opened %s, want %s", c.plan, c.zone, c.now, got.UTC(), c.round)
		}
		if got := p.opening(now); !got.Equal(moment(t, c.next)) {
			t.Errorf("%s in %s at %s: opens %s, want %s", c.plan, c.zone, c.now, got.UTC(), c.next)
		}
		if got := p.until(now); c.until == "" && !got.IsZero() || c.until != "" && !got.Equal(moment(t, c.until)) {
			t.Errorf("%s in %s at %s: until %s, want %s", c.plan, c.zone, c.now, got.UTC(), c.until)
		}
	}
}

// TestOpenings: whatever the clocks do, a window opens once on each day, at its time or, where that is skipped, when it is.
func TestOpenings(t *testing.T) {
	testenv.Check(t, func(t *rapid.T) {
		place := rapid.SampledFrom([]string{"UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Santiago", "Asia/Kathmandu"}).Draw(t, "zone")
		p := Plan{Zone: zone(t, place), Closes: untilDone, Opens: rapid.IntRange(0, 24*60-1).Draw(t, "opens")}
		first := time.Date(2026, 1, 1, 12, 0, 0, 0, p.Zone)
		for day, last := 1, first; day <= 365; day++ {
			next := p.opening(last)
			local := next.In(p.Zone)
			minute := 60*local.Hour() + local.Minute()
			if want := first.AddDate(0, 0, day-1).YearDay(); local.YearDay() != want && local.YearDay() != want%365+1 {
				t.Fatalf("%s opens on day %d, want %d", p, local.YearDay(), want)
			}
			if start, _ := local.ZoneBounds(); minute != p.Opens && !next.Equal(start) {
				t.Fatalf("%s in %s opens at %s", p, place, local)
			}
			if gap := next.Sub(last); day > 1 && (gap < 22*time.Hour || gap > 26*time.Hour) {
				t.Fatalf("%s in %s opens %s after it did", p, place, gap)
			}
			if !p.round(next).Equal(next) || !p.round(next.Add(-1)).Before(next) || !p.due(last).Equal(next) {
				t.Fatalf("%s in %s: %s is no opening", p, place, next)
			}
			last = next
		}
	})
}

// TestDueBefore: who is due is known without asking for each user when he will be.
func TestDueBefore(t *testing.T) {
	plans := []Plan{window(t, "23:55-06:00", "Europe/Berlin"), window(t, "02:30", "America/New_York"), MaxAge(24 * time.Hour), MaxAge(time.Nanosecond)}
	testenv.Check(t, func(rt *rapid.T) {
		p := rapid.SampledFrom(plans).Draw(rt, "plan")
		year := time.Unix(1767225600, 0)
		seconds := rapid.Int64Range(0, 365*24*3600)
		last, now := year.Add(time.Duration(seconds.Draw(rt, "last"))*time.Second), year.Add(time.Duration(seconds.Draw(rt, "now"))*time.Second)
		if rapid.Bool().Draw(rt, "just then") {
			now = p.due(last).Add(time.Duration(rapid.IntRange(-1, 1).Draw(rt, "more or less")))
		}
		if rapid.Bool().Draw(rt, "once") {
			p.once = rapid.SampledFrom([]time.Time{last, now, now.Add(-1)}).Draw(rt, "since")
		}
		if due := p.due(last); !now.Before(p.once) && last.Before(p.dueBefore(now)) == due.After(now) {
			t.Fatalf("%s: last %s, now %s: due %s, before %s", p, last, now, due, p.dueBefore(now))
		}
	})
}

func TestLate(t *testing.T) {
	night, evening := window(t, "23:55-06:00", "UTC"), window(t, "23:55", "UTC")
	for _, c := range []struct {
		plan       Plan
		since, now string
		late       bool
	}{
		{night, "2026-11-22T23:56:00Z", "2026-11-24T01:00:00Z", false}, // its turn may come tonight
		{night, "2026-11-22T23:56:00Z", "2026-11-24T06:00:00Z", true},
		{night, "2026-11-23T23:55:00Z", "2026-11-24T06:00:00Z", false},
		{evening, "2026-11-22T23:56:00Z", "2026-11-24T06:00:00Z", false},
		{evening, "2026-11-22T23:56:00Z", "2026-11-24T23:55:00Z", true},
		{MaxAge(24 * time.Hour), "2026-11-22T12:00:00Z", "2026-11-23T12:00:00Z", false},
		{MaxAge(24 * time.Hour), "2026-11-22T12:00:00Z", "2026-11-23T12:00:01Z", true},
	} {
		if got := moment(t, c.since).Before(c.plan.lateBefore(moment(t, c.now))); got != c.late {
			t.Errorf("%s: since %s, at %s: late is %t", c.plan, c.since, c.now, got)
		}
	}
	if due := MaxAge(24 * time.Hour).due(moment(t, "2026-11-22T12:00:00Z")); !due.Equal(moment(t, "2026-11-23T06:00:00Z")) {
		t.Error(due)
	}
}

func TestWindowErrors(t *testing.T) {
	for _, text := range []string{"", "-", "23:55-", "24:00", "23:60-06:00", "06:00-06:00", "23:55-06:00-07:00", "23:55 - 06:00", "noon", "-1:00"} {
		if p, err := Window(text, time.UTC); err == nil {
			t.Errorf("%q is %s", text, p)
		}
	}
}

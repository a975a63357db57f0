package index

import (
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"backupfs/archive"
	"backupfs/internal/testenv"
)

func begun(t *testing.T, times ...string) []archive.Run {
	t.Helper()
	runs := make([]archive.Run, len(times))
	for i, s := range times {
		at, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t.Fatal(err)
		}
		runs[i].Begun = at
	}
	return runs
}

func TestDateNames(t *testing.T) {
	plus2 := time.FixedZone("", 2*3600)
	for _, c := range []struct {
		name  string
		times []string
		loc   *time.Location
		want  []string
	}{
		{"one a day", []string{"2009-09-27T23:55:00Z", "2009-09-28T23:55:00Z"}, time.UTC, []string{"2009-09-27", "2009-09-28"}},
		{"several a day", []string{"2009-09-28T11:05:07Z", "2009-09-28T12:00:00Z", "2009-09-28T23:55:00Z"}, time.UTC,
			[]string{"2009-09-28T1105Z", "2009-09-28T1200Z", "2009-09-28"}},
		{"a minute twice", []string{"2009-09-28T11:05:07Z", "2009-09-28T11:05:09Z", "2009-09-28T11:06:09Z", "2009-09-28T12:00:00Z"}, time.UTC,
			[]string{"2009-09-28T110507Z", "2009-09-28T110509Z", "2009-09-28T1106Z", "2009-09-28"}},
		{"a second thrice", []string{"2009-09-28T11:05:07Z", "2009-09-28T11:05:07Z", "2009-09-28T11:05:07Z", "2009-09-29T11:05:07Z"}, time.UTC,
			[]string{"2009-09-28T110507Z", "2009-09-28T110507Z-2", "2009-09-28", "2009-09-29"}},
		{"another zone", []string{"2009-09-28T21:30:00Z", "2009-09-28T21:55:00Z", "2009-09-28T22:30:00Z"}, plus2,
			[]string{"2009-09-28T2330+0200", "2009-09-28", "2009-09-29"}},
		{"none", nil, time.UTC, []string{}},
	} {
		if got := DateNames(begun(t, c.times...), c.loc); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestDateNamesSort(t *testing.T) {
	testenv.Check(t, func(t *rapid.T) {
		at := time.Date(2009, 9, 27, 23, 55, 0, 0, time.UTC)
		runs := make([]archive.Run, rapid.IntRange(0, 60).Draw(t, "runs"))
		for i := range runs {
			at = at.Add(time.Duration(rapid.SampledFrom([]int{0, 0, 0, 1, 7, 60, 3600, 30000, 86400}).Draw(t, "after")) * time.Second)
			runs[i].Begun = at
		}
		names := DateNames(runs, time.UTC)
		seen := map[string]bool{}
		byDay := map[string][]string{}
		var days []string
		for i, n := range names {
			day := runs[i].Begun.Format("2006-01-02")
			if seen[n] || !strings.HasPrefix(n, day) || strings.ContainsAny(n, ": /") {
				t.Fatalf("name %q of %v", n, runs[i].Begun)
			}
			seen[n] = true
			if byDay[day] == nil {
				days = append(days, day)
			}
			byDay[day] = append(byDay[day], n)
		}
		// The newest of a day is its bare name, and sorts before the others, which sort as they were.
		var want []string
		for _, day := range days {
			of := byDay[day]
			last := len(of) - 1
			if of[last] != day {
				t.Fatalf("the newest run of %s is %s", day, of[last])
			}
			want = append(append(want, day), of[:last]...)
		}
		if !slices.Equal(slices.Sorted(slices.Values(names)), want) {
			t.Fatalf("%q do not sort as %q", names, want)
		}
	})
}

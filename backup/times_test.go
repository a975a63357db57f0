package backup

import (
	"context"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"backupfs/archive"
	"backupfs/index"
	"backupfs/index/indextest"
	"backupfs/internal/testenv"
)

// clocked are runs as clocks say, each a day after the one before it by the true one.
func clocked(first time.Time, n int, wrong map[int]time.Time) (runs []index.Run) {
	for i := range n {
		at := first.AddDate(0, 0, i)
		if w, ok := wrong[i]; ok {
			at = w
		}
		r := index.Run{Run: archive.Run{Marker: archive.Marker{Begun: at}}}
		if i > 0 && at.Before(runs[i-1].Begun) {
			r.Begun, r.Clock = runs[i-1].Begun, at
		}
		runs = append(runs, r)
	}
	return runs
}

// TestWrongClocks: whenever clocks were wrong for some of the runs, and however, of the newest days none goes whose run was made while they were right,
// and what is gone for a week keeps its last date.
func TestWrongClocks(t *testing.T) {
	const day = 24 * time.Hour
	first := time.Date(2026, 11, 1, 2, 0, 0, 0, time.UTC)
	testenv.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(20, 60).Draw(t, "runs")
		wrong := map[int]time.Time{}
		from := rapid.IntRange(0, n-1).Draw(t, "from")
		clock := rapid.SampledFrom([]time.Time{time.Unix(0, 0), first.AddDate(10, 0, 0), first.AddDate(274, 0, 0), first.AddDate(0, -1, 0)}).Draw(t, "a clock")
		for i := from; i < min(n, from+rapid.IntRange(1, 20).Draw(t, "for")); i++ {
			wrong[i] = clock.AddDate(0, 0, i-from)
		}
		times := timesOf(clocked(first, n, wrong))
		kept := times.kept(Keep{Daily: 14}, time.UTC)
		for i := n - 14; i < n; i++ {
			if _, w := wrong[i]; !w && !kept[i] {
				t.Errorf("of %d runs number %d goes; wrong are %v", n, i, wrong)
			}
		}
		if i := n - 1 - rapid.IntRange(0, 7).Draw(t, "gone for"); times.older(i, 30*day) {
			t.Errorf("of %d runs number %d is older than 30 days; wrong are %v", n, i, wrong)
		}
	})
}

// TestDeletedAge: with clocks that are right, what is gone is kept for as long as is said, and no longer; while one is wrong, too.
func TestDeletedAge(t *testing.T) {
	const day = 24 * time.Hour
	first := time.Date(2026, 11, 1, 2, 0, 0, 0, time.UTC)
	for name, wrong := range map[string]map[int]time.Time{
		"right": nil, "ahead": {20: first.AddDate(10, 0, 0)}, "behind": {20: time.Unix(0, 0)}, "behind of late": {55: time.Unix(0, 0)},
	} {
		runs := timesOf(clocked(first, 61, wrong))
		var older []int
		for i := range 61 {
			if runs.older(i, 30*day) {
				older = append(older, i)
			}
		}
		if n := len(older); n < 29 || n > 39 || !slices.IsSorted(older) {
			t.Errorf("%s: %d of 60 days are older than 30 days: %v", name, n, older)
		}
	}
}

// TestClock: a run says what its clock said, if that was put back, also behind a compaction that drops the run which was ahead; and what was made
// since is no single day for retention.
func TestClock(t *testing.T) {
	m := newModel(t, indextest.Store(t))
	ahead := time.Now().UTC().AddDate(10, 0, 0).Truncate(time.Second)
	before := time.Now().UTC().Truncate(time.Second)
	for i := range 4 {
		opts := Options{}
		if i == 0 {
			opts.At = ahead
		}
		if _, err := User(context.Background(), m.st, m.server, "brong", opts); err != nil {
			t.Fatal(err)
		}
	}
	check := func(n int) {
		t.Helper()
		runs, err := Runs(t.Context(), m.user(t))
		if err != nil || len(runs) != n {
			t.Fatalf("%d runs, %v", len(runs), err)
		}
		for _, r := range runs[len(runs)-2:] {
			if !r.Begun.Equal(ahead) || r.Clock.Before(before) || r.Clock.After(time.Now()) || !r.Clocked().Equal(r.Clock) {
				t.Errorf("%+v", r)
			}
		}
		if err := index.Check(t.Context(), mustArchive(t, m), m.user(t).Index()); err != nil {
			t.Error(err)
		}
	}
	check(4)
	if _, err := Compact(t.Context(), m.user(t), CompactOptions{Keep: Keep{Last: 2}, Live: always}); err != nil {
		t.Fatal(err)
	}
	check(2)
}

package schedule

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"backupfs/archive"
	"backupfs/index"
	"backupfs/index/indextest"
)

// TestRetention: after each of a user's backups his archive is compacted, as many at a time as may be, and nobody is being backed up meanwhile who
// is compacted. Without retention nobody is, and with it no backup is a second later. A single round ends when all are.
func TestRetention(t *testing.T) {
	var without []time.Time
	for atOnce := range 3 {
		retention := Retention{}
		if atOnce > 0 {
			retention = Retention{Keep: Keep{Daily: 14}, Location: time.UTC, Live: 0.8, AtOnce: atOnce}
		}
		path := statePath(t)
		synctest.Test(t, func(t *testing.T) {
			f := newFakes(someUsers(40, 1, 4)...)
			opts := f.options(defaults, MaxAge(24*time.Hour))
			opts.Retention = retention
			f.mustRun(t, path, opts, 80*time.Hour)
			if err := f.check(defaults); err != nil {
				t.Error(err)
			}
			var ends []time.Time
			had := map[string]int{}
			for _, turn := range f.record {
				ends = append(ends, turn.end)
				had[turn.user.Name]++
			}
			for _, name := range f.compacted {
				had[name]--
			}
			if slices.SortFunc(ends, time.Time.Compare); atOnce == 0 {
				without, had = ends, nil
			}
			for name, n := range had {
				if n != 0 {
					t.Errorf("%s was backed up %d times more often than compacted", name, n)
				}
			}
			if f.mostAtOnce != atOnce || !slices.EqualFunc(ends, without, time.Time.Equal) {
				t.Errorf("%d were compacted at a time, want %d; backups ended at %v, want %v", f.mostAtOnce, atOnce, ends, without)
			}
			f.compacted = nil
			opts.Once = true
			f.mustRun(t, path, opts, time.Hour)
			if n := len(f.compacted); (n == len(f.users)) != (atOnce > 0) {
				t.Errorf("%d were compacted in a single round", n)
			}
		})
	}
}

// TestRetentionLeftOver: whose archive there was no time for is the first in the next window, and has his backup there, too.
func TestRetentionLeftOver(t *testing.T) {
	path := statePath(t)
	synctest.Test(t, func(t *testing.T) {
		f := newFakes(someUsers(6, 1, 1)...)
		f.compactTakes = 50 * time.Minute
		opts := f.options(defaults, window(t, "01:00-02:00", "UTC"))
		opts.Retention = Retention{Live: 0.8, AtOnce: 1}
		f.mustRun(t, path, opts, 71*time.Hour)
		var want []string
		for _, u := range f.users {
			want = append(want, u.Name)
		}
		if err := f.check(defaults); err != nil || !slices.Equal(f.compacted, want) || len(f.record) != 3*len(want) {
			t.Errorf("compacted were %q in three nights, want %q; %d runs; %v", f.compacted, want, len(f.record), err)
		}
	})
}

// TestRetentionFails: that an archive cannot be compacted is no failure of the backup; it is told, and tried again with the next one.
func TestRetentionFails(t *testing.T) {
	path := statePath(t)
	synctest.Test(t, func(t *testing.T) {
		f := newFakes(someUsers(1, 1, 1)...)
		f.notCompacted = fmt.Errorf("a thing: %w", archive.ErrDamaged)
		opts := f.options(defaults, MaxAge(24*time.Hour))
		opts.Retention = Retention{Live: 0.8, AtOnce: 1}
		opts.Done = func(o Outcome) {
			if o.Err != nil {
				t.Error(o.Err)
			}
		}
		opts.Compacted = func(o Compaction) {
			if !errors.Is(o.Err, archive.ErrDamaged) || o.User != f.users[0].Name || o.Took != time.Second {
				t.Errorf("%+v", o)
			}
		}
		f.mustRun(t, path, opts, 70*time.Hour)
		if n := len(f.record); n != 4 || len(f.compacted) != n {
			t.Errorf("%d runs, compacted were %q", n, f.compacted)
		}
		rep, _, err := ReadReport(path, true)
		if err != nil {
			t.Fatal(err)
		}
		if u := rep.Units[0]; u.Failed != 0 {
			t.Errorf("%+v", u)
		}
		// The window has closed by then: nothing begins any more before the next one opens.
		f.compacted, f.took = nil, func(User) time.Duration { return 2 * time.Hour }
		opts = f.options(defaults, window(t, "01:00-02:00", "UTC"))
		opts.Retention = Retention{Live: 0.8, AtOnce: 1}
		f.mustRun(t, path, opts, 47*time.Hour)
		if n := len(f.record); n != 6 || len(f.compacted) != 1 {
			t.Errorf("%d runs, compacted were %q", n, f.compacted)
		}
	})
}

// TestStoresCompact compacts in the store that has the user.
func TestStoresCompact(t *testing.T) {
	stores, u := mustStores(t)
	w := indextest.NewWriter(t, u.Dir)
	for day := range 3 {
		w.Run(indextest.Run{Begun: time.Unix(1259443200+int64(day)*86400, 0).UTC(), Folders: []indextest.Folder{{UniqueID: "0123456789abcdef", Name: "INBOX"}}})
	}
	w.Close()
	if err := index.Rebuild(t.Context(), w.Path(), u.Index(), nil); err != nil {
		t.Fatal(err)
	}
	res, err := stores.Compact(t.Context(), "brong", Retention{Keep: Keep{Daily: 2}, Location: time.UTC, Live: 1})
	if err != nil || len(res.Kept) != 2 || res.Path == "" {
		t.Errorf("%+v, %v", res, err)
	}
	if err := os.RemoveAll(u.Dir); err != nil { // an administrator, meanwhile
		t.Fatal(err)
	}
	_, compactErr := stores.Compact(t.Context(), "brong", Retention{Keep: Keep{Daily: 2}})
	_, repairErr := stores.Repair(t.Context(), "brong")
	for _, err := range []error{compactErr, repairErr} {
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("of a user who is gone: %v", err)
		}
	}
}

package schedule

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"backupfs/archive"
	"backupfs/index"
	"backupfs/index/indextest"
)

// TestRetention: after a user's backup his archive is compacted, as many at a time as may be, and nobody is being backed up meanwhile who is
// compacted. Without retention nobody is.
func TestRetention(t *testing.T) {
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
			had := map[string]bool{}
			for _, name := range f.compacted {
				had[name] = true
			}
			// There are four batches at a time.
			if f.mostAtOnce != atOnce || retention.Live > 0 && len(had) < 10 {
				t.Errorf("%d of %d users were compacted, %d at a time, want %d", len(had), len(f.users), f.mostAtOnce, atOnce)
			}
		})
	}
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
			if o.Err != nil || !errors.Is(o.NotCompacted, archive.ErrDamaged) {
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
		// The window has closed by then: nothing begins any more.
		f.compacted, f.took = nil, func(User) time.Duration { return 2 * time.Hour }
		opts = f.options(defaults, window(t, "01:00-02:00", "UTC"))
		opts.Retention = Retention{Live: 0.8, AtOnce: 1}
		f.mustRun(t, path, opts, 47*time.Hour)
		if n := len(f.record); n < 5 || len(f.compacted) > 0 {
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

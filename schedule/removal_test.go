package schedule

import (
	"errors"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"backupfs/backup"
	"backupfs/index"
	"backupfs/index/indextest"
	"backupfs/source"
)

// TestRemoved: who is gone from the list is removed once the time is over, over restarts, and not before; who comes back is not; and what is
// not known makes nobody gone.
func TestRemoved(t *testing.T) {
	path := statePath(t)
	synctest.Test(t, func(t *testing.T) {
		f := newFakes(append(someUsers(9, 2, 2), User{source.SharedUser, "imap0", "unit0"})...)
		opts := f.options(defaults, MaxAge(day))
		opts.Retention = Retention{Deleted: 30 * day}
		f.mustRun(t, path, opts, 2*day)
		all, began := f.users[:9], time.Now() // of the list that follows, nobody's mailboxes are no part
		f.users = all[3:]                     // three are gone
		f.mustRun(t, path, opts, 20*day)
		f.users = append(slices.Clone(all[:1]), all[3:]...) // one is back
		f.mustRun(t, path, opts, time.Hour)
		rep, _, err := ReadReport(path, false)
		if err != nil || len(rep.Gone) != 3 || rep.Gone[0].Removed != nil || rep.Gone[1].Since.Sub(began) > time.Hour || !rep.Gone[1].Removed.Equal(rep.Gone[1].Since.Add(30*day)) {
			t.Fatalf("%+v, %v", rep.Gone, err)
		}
		f.listFailing = errors.New("the database is away") // on the day they would be removed
		f.mustRun(t, path, opts, 11*day)
		if len(f.removed) > 0 {
			t.Fatalf("removed while nobody knows who is gone: %v", f.removed)
		}
		f.users, f.listFailing = all[3:], nil
		f.mustRun(t, path, opts, 2*time.Hour)
		if got := slices.Sorted(maps.Keys(f.removed)); !slices.Equal(got, []string{all[1].Name, all[2].Name}) {
			t.Fatalf("removed are %q, want %q and %q", got, all[1].Name, all[2].Name)
		}
		f.runs[all[0].Name] = append(f.runs[all[0].Name], time.Now().Add(12*day)) // by hand
		f.mustRun(t, path, opts, 40*day)
		if len(f.removed) != 2 {
			t.Errorf("with a newer run, removed are %v", f.removed)
		}
		f.mustRun(t, path, opts, 5*day)
		if len(f.removed) != 3 || len(f.runs) != 7 || f.check(defaults) != nil {
			t.Errorf("removed are %v; %d are left; %v", f.removed, len(f.runs), f.check(defaults))
		}
		if rep, _, err := ReadReport(path, false); err != nil || len(rep.Gone) != 1 {
			t.Errorf("%+v, %v", rep.Gone, err)
		}
	})
}

// TestBackWhileRemoved: who is in a list again while he is being removed is not, if it is not too late.
func TestBackWhileRemoved(t *testing.T) {
	path := statePath(t)
	synctest.Test(t, func(t *testing.T) {
		f := newFakes(someUsers(3, 1, 1)...)
		opts := f.options(defaults, window(t, "01:00-02:00", "UTC"))
		opts.Retention = Retention{Deleted: 30 * day}
		f.mustRun(t, path, opts, 3*time.Hour)
		all := f.users
		f.users, f.removes = all[2:], 40*time.Minute // the list is read every 15 minutes
		_, end := f.mustStart(t, path, opts)
		defer end()
		time.Sleep(30*day + 50*time.Minute) // the one is removed, and the other will be in half an hour
		f.mu.Lock()
		f.users = all[1:]
		f.mu.Unlock()
		time.Sleep(2 * day)
		f.mu.Lock()
		defer f.mu.Unlock()
		if n := len(f.runs[all[1].Name]); len(f.removed) != 1 || f.removed[all[0].Name].IsZero() || n < 2 {
			t.Errorf("removed are %v; %d runs of who is back", f.removed, n)
		}
	})
}

// TestManyGone: if very many are gone, nobody is removed, and it is told; nor is anybody of a server that has no list any more.
func TestManyGone(t *testing.T) {
	path := statePath(t)
	synctest.Test(t, func(t *testing.T) {
		f := newFakes(someUsers(24, 2, 2)...)
		opts := f.options(defaults, MaxAge(day))
		opts.Retention = Retention{Deleted: 30 * day}
		f.mustRun(t, path, opts, 2*day)
		all := f.users
		f.users = all[12:]
		f.mustRun(t, path, opts, 40*day)
		rep, _, err := ReadReport(path, true)
		if err != nil || len(f.removed) > 0 || len(rep.Troubles) != 1 {
			t.Fatalf("removed are %v, %+v, %v", f.removed, rep.Troubles, err)
		}
		f.users = all[5:] // five are not many
		f.stuck = errors.New("a disk that is broken")
		f.mustRun(t, path, opts, 31*day)
		if f.stuck = nil; len(f.removed) > 0 {
			t.Fatal(f.removed)
		}
		opts.Lists = []List{{Server: "another", Users: f.list}}
		f.mustRun(t, path, opts, 40*day)
		if len(f.removed) > 0 {
			t.Fatalf("of a server that has no list: %v", f.removed)
		}
		opts = f.options(defaults, MaxAge(day))
		opts.Retention, opts.Once = Retention{Deleted: 30 * day}, true
		f.mustRun(t, path, opts, day)
		if len(f.removed) != 5 || len(f.runs) != 19 {
			t.Errorf("removed are %v, and %d are left", f.removed, len(f.runs))
		}
	})
}

// TestStoresRemove removes from the store that has the user.
func TestStoresRemove(t *testing.T) {
	stores, u := mustStores(t)
	begun := time.Unix(1259443200, 0).UTC()
	w := indextest.NewWriter(t, u.Dir)
	w.Run(indextest.Run{Begun: begun, Folders: []indextest.Folder{{UniqueID: "0123456789abcdef", Name: "INBOX"}}})
	w.Close()
	if err := index.Rebuild(t.Context(), w.Path(), u.Index(), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := stores.Remove(t.Context(), u.Name, begun.Add(-time.Second)); !errors.Is(err, backup.ErrNewer) {
		t.Errorf("with a newer run: %v", err)
	}
	if r, err := stores.Remove(t.Context(), u.Name, begun); err != nil || r.Runs != 1 || !r.Last.Equal(begun) || r.Bytes == 0 {
		t.Errorf("%+v, %v", r, err)
	}
	if names, err := stores.Names(); err != nil || len(names) > 0 {
		t.Errorf("%q, %v", names, err)
	}
	if r, err := stores.Remove(t.Context(), u.Name, begun); err != nil || r != nil {
		t.Errorf("once more: %+v, %v", r, err)
	}
}

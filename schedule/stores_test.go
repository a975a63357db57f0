package schedule

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"backupfs/index"
	"backupfs/index/indextest"
	"backupfs/internal/store"
)

// mustStores are two, of which the second has a user.
func mustStores(t *testing.T) (stores Stores, u store.User) {
	t.Helper()
	for range 2 {
		st, err := store.Init(filepath.Join(t.TempDir(), "store"))
		if err != nil {
			t.Fatal(err)
		}
		stores = append(stores, st)
	}
	u, err := stores[1].User("brong")
	if err == nil {
		err = u.Make()
	}
	if err != nil {
		t.Fatal(err)
	}
	return stores, u
}

// TestLast: when a user's last run began is known from his archive, though the process was killed before the run was in the index, or the
// index is gone; whichever store he is in.
func TestLast(t *testing.T) {
	stores, u := mustStores(t)
	w := indextest.NewWriter(t, u.Dir)
	begun := []time.Time{time.Unix(1259443200, 0).UTC(), time.Unix(1259529600, 0).UTC()}
	check := func(what string, want time.Time) {
		t.Helper()
		if got := stores.Last(t.Context(), "brong"); !got.Equal(want) {
			t.Errorf("%s: %s, want %s", what, got, want)
		}
	}
	for i, at := range begun {
		w.Run(indextest.Run{Begun: at, Folders: []indextest.Folder{{UniqueID: "0123456789abcdef", Name: "INBOX"}}})
		check("the index is behind, or not there", at)
		if i == 0 {
			if err := index.Rebuild(context.Background(), w.Path(), u.Index(), nil); err != nil {
				t.Fatal(err)
			}
			check("with its index", at)
		}
	}
	if err := os.Remove(u.Index()); err != nil {
		t.Fatal(err)
	}
	check("without an index", begun[1])
	if got := stores.Last(t.Context(), "nobody"); !got.IsZero() {
		t.Errorf("of nobody: %s", got)
	}
	if names, err := stores.Names(); err != nil || !slices.Equal(names, []string{"brong"}) {
		t.Errorf("%v, %v", names, err)
	}
}

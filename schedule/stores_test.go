package schedule

import (
	"context"
	"database/sql"
	"errors"
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

// TestIndexRuns: a user's runs are read from his index alone, while a run writes to it and without holding that up; one that is missing or
// damaged is told.
func TestIndexRuns(t *testing.T) {
	stores, u := mustStores(t)
	if runs, err := stores.Runs("nobody"); err != nil || len(runs) != 0 {
		t.Errorf("of nobody: %v, %v", runs, err)
	}
	if _, err := stores.Runs("brong"); !errors.Is(err, index.ErrNone) {
		t.Errorf("without an index: %v", err)
	}
	indextest.Archive(t, u.Dir, indextest.Run{Begun: time.Unix(1259443200, 0), Folders: []indextest.Folder{{UniqueID: "0123456789abcdef", Name: "INBOX"}}})
	path, err := u.Archive()
	if err == nil {
		err = index.Rebuild(t.Context(), path, u.Index(), nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite3", "file:"+u.Index()+"?_txlock=immediate&_busy_timeout=0")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	tx, err := db.Begin() // as a run has it
	if err == nil {
		_, err = tx.Exec("UPDATE runs SET messages = 7")
	}
	if err != nil {
		t.Fatal(err)
	}
	if runs, err := stores.Runs("brong"); err != nil || len(runs) != 1 || runs[0].Date != "2009-11-28" || runs[0].Messages != 0 {
		t.Errorf("during a run: %+v, %v", runs, err)
	}
	if err := tx.Commit(); err != nil {
		t.Errorf("the run was held up: %v", err)
	}
	if err := os.WriteFile(u.Index(), []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := stores.Runs("brong"); !errors.Is(err, index.ErrNone) {
		t.Errorf("damaged: %v", err)
	}
}

package index_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"backupfs/index"
	"backupfs/index/indextest"
)

// TestDeep: a name so deep that no server has it makes no rows, is told, and takes nothing else with it.
func TestDeep(t *testing.T) {
	dir := indextest.Store(t)
	path := indextest.Archive(t, dir, indextest.Run{Begun: time.Unix(1e9, 0), Folders: []indextest.Folder{
		{UniqueID: "a", Name: "INBOX"}, {UniqueID: "b", Name: "INBOX" + strings.Repeat(".x", 3000)}, {UniqueID: "c", Name: "INBOX" + strings.Repeat(".y", 200)},
	}})
	ix := mustOpenRead(t, filepath.Join(dir, "index.sqlite3"))
	folders, err := ix.Folders(1)
	if err != nil || len(folders) != 2 || len(folders[1].Path) != 201 {
		t.Errorf("%v, %v", folders, err)
	}
	problems, err := ix.Problems()
	if err != nil || len(problems) != 1 || !strings.Contains(problems[0].Text, "3001 levels") {
		t.Errorf("%v, %v", problems, err)
	}
	if err := index.Check(context.Background(), path, filepath.Join(dir, "index.sqlite3")); err != nil {
		t.Error(err)
	}
}

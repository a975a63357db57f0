package index_test

import (
	"path/filepath"
	"testing"

	"backupfs/index"
	"backupfs/index/indextest"
)

// TestNothingNamed: an index that is made for a while has no name that a process could leave behind that is killed.
func TestNothingNamed(t *testing.T) {
	dir := t.TempDir()
	path := indextest.Archive(t, dir, days(2, "one")...)
	t.Setenv("TMPDIR", filepath.Join(dir, "not there"))
	mustCheck(t, path, filepath.Join(dir, "index.sqlite3"))
	ix, remove, err := index.Temporary(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer remove()
	if s, err := ix.Status(); err != nil || s.Runs != 2 {
		t.Errorf("%+v, %v", s, err)
	}
	if names, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(names) != 2 {
		t.Errorf("%q, %v", names, err)
	}
}

package index

import (
	"errors"
	"path/filepath"
	"testing"

	sqlite3 "github.com/mattn/go-sqlite3"
)

// TestLockRefused: only a file system that refuses locks makes a reader do without them.
func TestLockRefused(t *testing.T) {
	for _, c := range []struct {
		err  error
		want bool
	}{
		{sqlite3.Error{Code: sqlite3.ErrIoErr, ExtendedCode: sqlite3.ErrIoErrLock}, true},
		{sqlite3.Error{Code: sqlite3.ErrIoErr, ExtendedCode: sqlite3.ErrIoErrRDlock}, true},
		{sqlite3.Error{Code: sqlite3.ErrIoErr, ExtendedCode: sqlite3.ErrIoErrRead}, false},
		{sqlite3.Error{Code: sqlite3.ErrReadonly, ExtendedCode: sqlite3.ErrReadonlyRollback}, false},
		{sqlite3.Error{Code: sqlite3.ErrBusy}, false},
		{errors.New("another"), false},
		{nil, false},
	} {
		if lockRefused(dbError("path", c.err)) != c.want {
			t.Errorf("%v: %v", c.err, !c.want)
		}
	}
}

// TestImmutable: what OpenRead falls back to asks for no lock at all.
func TestImmutable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "index.sqlite3")
	w, err := OpenWrite(path)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if err := w.db.script("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE"); err != nil {
		t.Fatal(err)
	}
	d, err := openIdent(path, withoutLocks())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.status(); err != nil {
		t.Error(err)
	}
	if err := d.close(); err != nil {
		t.Fatal(err)
	}
}

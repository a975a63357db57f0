package index

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// TestTogether: questions in Together are one transaction, in which sqlite gives its lock back between none of them, and once it has ended
// anybody can commit; also if it failed, and if it was in another.
func TestTogether(t *testing.T) {
	path := filepath.Join(t.TempDir(), "index.sqlite3")
	w, err := OpenWrite(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	ix, err := OpenRead(path)
	if err != nil {
		t.Fatal(err)
	}
	defer ix.Close()
	// Its locks are the process's: to close this one earlier would end sqlite's, too.
	probe, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer probe.Close()
	locked := func() bool {
		t.Helper()
		// sqlite: os.h SHARED_FIRST, SHARED_SIZE
		want := unix.Flock_t{Type: unix.F_WRLCK, Start: 0x40000002, Len: 510}
		if err := unix.FcntlFlock(probe.Fd(), unix.F_OFD_GETLK, &want); err != nil {
			t.Fatal(err)
		}
		return want.Type != unix.F_UNLCK
	}
	ask := func() {
		t.Helper()
		if _, err := ix.Status(); err != nil {
			t.Fatal(err)
		}
	}
	ask()
	if locked() {
		t.Fatal("behind a question by itself it is locked")
	}
	failed := errors.New("failed")
	err = ix.Together(func() error {
		ask()
		if !locked() {
			t.Error("between two questions it is not locked")
		}
		if err := ix.Together(func() error { ask(); return nil }); err != nil {
			t.Error(err)
		}
		if !locked() {
			t.Error("behind one within it is not locked")
		}
		return failed
	})
	if err != failed || locked() {
		t.Errorf("%v; locked: %v", err, locked())
	}
	ask()
	if err := ix.Close(); err != nil {
		t.Fatal(err)
	}
	if err := ix.Together(func() error { _, err := ix.Status(); return err }); !errors.Is(err, os.ErrClosed) {
		t.Errorf("of one that is closed: %v", err)
	}
}

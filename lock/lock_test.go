package lock

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func mustOpen(t *testing.T, path string) *os.File {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// mustPosix takes or gives back a lock as Cyrus does.
func mustPosix(t *testing.T, f *os.File, kind int16) {
	t.Helper()
	if err := unix.FcntlFlock(f.Fd(), unix.F_SETLK, &unix.Flock_t{Type: kind, Whence: io.SeekStart}); err != nil {
		t.Fatal(err)
	}
}

func TestReadAgainstCyrus(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cyrus.index")
	theirs, ours := mustOpen(t, path), mustOpen(t, path)

	mustPosix(t, theirs, unix.F_WRLCK)
	began := time.Now()
	err := Read(t.Context(), ours, 50*time.Millisecond)
	if took := time.Since(began); !errors.Is(err, ErrBusy) || !strings.Contains(err.Error(), path) || took < 50*time.Millisecond || took > time.Minute {
		t.Fatalf("under a write lock: %v after %v", err, took)
	}

	given := make(chan struct{})
	go func() {
		defer close(given)
		time.Sleep(30 * time.Millisecond)
		mustPosix(t, theirs, unix.F_UNLCK)
	}()
	err = Read(t.Context(), ours, time.Hour)
	<-given
	if err != nil {
		t.Fatalf("once it is given back: %v", err)
	}
	if err := unix.FcntlFlock(theirs.Fd(), unix.F_SETLK, &unix.Flock_t{Type: unix.F_WRLCK}); err != unix.EAGAIN {
		t.Fatalf("a writer beside our read lock: %v", err)
	}
	mustPosix(t, theirs, unix.F_RDLCK)

	// Unlike a POSIX lock it outlives the closing of another descriptor, and ends with its own.
	mustPosix(t, theirs, unix.F_UNLCK)
	mustOpen(t, path).Close()
	if err := unix.FcntlFlock(theirs.Fd(), unix.F_SETLK, &unix.Flock_t{Type: unix.F_WRLCK}); err != unix.EAGAIN {
		t.Fatalf("after another descriptor was closed: %v", err)
	}
	ours.Close()
	mustPosix(t, theirs, unix.F_WRLCK)
}

func TestWriteAgainstCyrus(t *testing.T) {
	dir := t.TempDir()
	theirs := mustOpen(t, filepath.Join(dir, "x.lock"))
	ours, err := OpenWrite(filepath.Join(dir, "x.lock"), Owner{os.Getuid(), os.Getgid()})
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Close()
	mustPosix(t, theirs, unix.F_RDLCK)
	if err := Write(t.Context(), ours, 0); !errors.Is(err, ErrBusy) {
		t.Fatalf("beside a reader: %v", err)
	}
	mustPosix(t, theirs, unix.F_UNLCK)
	if err := Write(t.Context(), ours, 0); err != nil {
		t.Fatal(err)
	}
	if err := unix.FcntlFlock(theirs.Fd(), unix.F_SETLK, &unix.Flock_t{Type: unix.F_RDLCK}); err != unix.EAGAIN {
		t.Fatalf("a reader beside our write lock: %v", err)
	}
}

func TestReadCancelled(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.lock")
	theirs, ours := mustOpen(t, path), mustOpen(t, path)
	mustPosix(t, theirs, unix.F_WRLCK)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := Read(ctx, ours, time.Hour); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	mustPosix(t, theirs, unix.F_UNLCK)
	mustPosix(t, theirs, unix.F_WRLCK)
}

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	if err := os.WriteFile(path, []byte("999999999 of a dead process"), 0o600); err != nil {
		t.Fatal(err)
	}
	held := func(want bool) {
		t.Helper()
		if got, err := Held(path); got != want || err != nil {
			t.Errorf("held: %t, %v", got, err)
		}
	}
	held(false)
	release, err := File(path)
	if err != nil {
		t.Fatalf("a dead process's file: %v", err)
	}
	held(true)
	if _, err := File(path); !errors.Is(err, ErrBusy) || !strings.Contains(err.Error(), fmt.Sprintf(", pid %d (lock.test on ", os.Getpid())) {
		t.Fatalf("held: %v", err)
	}
	if err := errors.Join(release(), release()); err != nil {
		t.Fatal(err)
	}
	held(false)
	taken := mustOpen(t, path)
	if err := os.Remove(path); err != nil { // by who held it
		t.Fatal(err)
	}
	if err := hold(taken); !errors.Is(err, ErrBusy) {
		t.Errorf("of a file that was taken away: %v", err)
	}
	again, err := File(path)
	if err != nil {
		t.Fatalf("released: %v", err)
	}
	if err := release(); err != nil { // must not touch the lock of the next
		t.Fatal(err)
	}
	if _, err := File(path); !errors.Is(err, ErrBusy) {
		t.Fatalf("held again: %v", err)
	}
	if err := again(); err != nil {
		t.Fatal(err)
	}
}

// TestOpenMakesFilesOfTheServer: as root they are made as the server's user, else as ourselves.
func TestOpenMakesFilesOfTheServer(t *testing.T) {
	dir, err := os.MkdirTemp("", "lock")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	owner := Owner{os.Geteuid(), os.Getegid()}
	if owner.UID == 0 {
		owner = Owner{12345, 54321}
	}
	if err := errors.Join(os.Chmod(dir, 0o755), os.Mkdir(dir+"/lock", 0o700), os.Chown(dir+"/lock", owner.UID, owner.GID)); err != nil {
		t.Fatal(err)
	}
	if got, err := OwnerOf(dir + "/lock"); err != nil || got != owner {
		t.Fatal(got, err)
	}
	path := dir + "/lock/a/user/alice/Work.lock"
	for range 2 { // makes it, finds it
		f, err := Open(path, owner)
		if err != nil {
			t.Fatal(err)
		}
		if err := Read(t.Context(), f, 0); err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	for p := path; p != dir; p = filepath.Dir(p) {
		st, err := os.Stat(p)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := OwnerOf(p); err != nil || got != owner || st.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: owner %v, mode %v, %v", p, got, st.Mode(), err)
		}
	}
	// We are ourselves again. Where the server's user may not make files, nor may we in his name; but a lock folder that is
	// missing, and that he could not make, is made for him, and nothing above it is given away.
	mine := mustOpen(t, filepath.Join(dir, "mine"))
	if got, err := OwnerOf(mine.Name()); err != nil || got.UID != os.Geteuid() {
		t.Errorf("%v %v", got, err)
	}
	if owner.UID != os.Geteuid() {
		if f, err := Open(dir+"/x.lock", owner); !errors.Is(err, os.ErrPermission) {
			t.Errorf("made in another's folder: %v %v", f, err)
		}
		f, err := Open(dir+"/new/lock/x.lock", owner)
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
		for path, want := range map[string]int{"": 0, "/new": owner.UID, "/new/lock": owner.UID, "/new/lock/x.lock": owner.UID} {
			if got, err := OwnerOf(dir + path); err != nil || got.UID != want {
				t.Errorf("%s is of %v, %v", dir+path, got, err)
			}
		}
	}
}

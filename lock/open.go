package lock

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"
)

// Owner is the user that a Cyrus server runs as.
type Owner struct{ UID, GID int }

// OwnerOf returns the owner of a file or folder.
func OwnerOf(path string) (Owner, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return Owner{}, &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	return Owner{int(st.Uid), int(st.Gid)}, nil
}

// Open opens one of Cyrus's lock files for reading, and makes it, with the folders above it, if it is not there: Cyrus does
// so too, and never unlinks them.
//
// It is made as owner, with mode 0600, and as it will stay from the first moment: imapd answers "System I/O error" to
// everything that needs a lock file which it cannot open, for instance one that root made. Where owner may not make the
// lock folder itself (/run/cyrus/lock, before the server's first start), root makes it and gives it to him.
func Open(path string, owner Owner) (*os.File, error) { return open(path, os.O_RDONLY, owner) }

// OpenWrite opens one for Write, which needs it.
func OpenWrite(path string, owner Owner) (*os.File, error) { return open(path, os.O_RDWR, owner) }

func open(path string, mode int, owner Owner) (*os.File, error) {
	f, err := os.OpenFile(path, mode, 0)
	if !errors.Is(err, fs.ErrNotExist) {
		return f, err
	}
	make := func() error {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
		f, err = os.OpenFile(path, mode|os.O_CREATE, 0o600)
		return err
	}
	err = as(owner, make)
	if errors.Is(err, fs.ErrPermission) && os.Geteuid() == 0 {
		if err := MakeFolder(filepath.Dir(path), owner); err != nil {
			return nil, err
		}
		err = as(owner, make)
	}
	return f, err
}

// MakeFolder makes dir and what is missing above it, and gives what it made to owner. What is there is left as it is.
func MakeFolder(dir string, owner Owner) error {
	err := os.Mkdir(dir, 0o700)
	if errors.Is(err, fs.ErrNotExist) {
		if err := MakeFolder(filepath.Dir(dir), owner); err != nil {
			return err
		}
		err = os.Mkdir(dir, 0o700)
	}
	switch {
	case errors.Is(err, fs.ErrExist):
		return nil
	case err != nil:
		return err
	}
	return os.Chown(dir, owner.UID, owner.GID)
}

// as runs f with the file system rights of owner, in which it makes files as owner. Only this thread is changed by it
// (setfsuid(2)), and the way back is open: the effective user stays who he is.
func as(owner Owner, f func() error) error {
	uid, gid := os.Geteuid(), os.Getegid()
	if uid == owner.UID || uid != 0 {
		return f() // who is not root makes files as himself, or is refused by the file system
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer func() { _, _ = setfs(uid, gid) }()
	if ok, err := setfs(owner.UID, owner.GID); err != nil || !ok {
		return fmt.Errorf("cannot make files as user %d: %w", owner.UID, errors.Join(err, fs.ErrPermission))
	}
	return f()
}

// setfs sets the thread's identity towards file systems, the user last: the group can be set by root only. The calls report
// no error, so it asks afterwards.
func setfs(uid, gid int) (bool, error) {
	if _, err := unix.SetfsgidRetGid(gid); err != nil {
		return false, err
	}
	if _, err := unix.SetfsuidRetUid(uid); err != nil {
		return false, err
	}
	now, err := unix.SetfsuidRetUid(-1)
	return now == uid, err
}

package lock

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// File makes (mode 0600) and write-locks path without waiting: the store's lock of one user. ErrBusy names the holder's pid
// if known: where the disk is full none is written, or that of an earlier holder left. The file stays when the lock is released; what stands
// in it is for people only, and a file that a dead process left behind is no lock. release can be called more than once.
func File(path string) (release func() error, err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := hold(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return sync.OnceValue(func() error {
		// A child between fork and exec has the file open, too: closing it here would not end the lock.
		return errors.Join(try(f, unix.F_UNLCK), f.Close())
	}), nil
}

// hold locks f and writes our pid into it. ErrBusy, too, if f does not bear its name any more: who held the lock before has taken the folder away,
// and what bears the name now has another lock.
func hold(f *os.File) error {
	err := try(f, unix.F_WRLCK)
	if errors.Is(err, ErrBusy) {
		b, _ := io.ReadAll(io.LimitReader(f, 32))
		if pid, convErr := strconv.Atoi(strings.TrimSpace(string(b))); convErr == nil {
			return fmt.Errorf("%s: %w, pid %d", f.Name(), ErrBusy, pid)
		}
	}
	if err != nil {
		return err
	}
	if same, err := BearsName(f); !same {
		return errors.Join(fmt.Errorf("%s: %w, which took it away", f.Name(), ErrBusy), err)
	}
	err = f.Truncate(0)
	if err == nil {
		_, err = f.WriteAt(strconv.AppendInt(nil, int64(os.Getpid()), 10), 0)
	}
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return nil // it is locked all the same, and who only reads the store needs no room
	}
	return err
}

// Held says whether somebody holds the lock of File. It takes none.
func Held(path string) (bool, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer func() { _ = f.Close() }()
	fl := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart}
	if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, &fl); err != nil {
		return false, fmt.Errorf("%s: lock: %w", path, err)
	}
	return fl.Type != unix.F_UNLCK, nil
}

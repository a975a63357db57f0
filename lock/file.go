package lock

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// File makes (mode 0600) and write-locks path without waiting: the store's lock of one user. ErrBusy names the holder's pid
// if known. The file stays when the lock is released; what stands in it is for people only, and a file that a dead process
// left behind is no lock. release can be called more than once.
func File(path string) (release func() error, err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := hold(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return sync.OnceValue(f.Close), nil
}

// hold locks f and writes our pid into it.
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
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err = f.WriteAt(strconv.AppendInt(nil, int64(os.Getpid()), 10), 0)
	return err
}

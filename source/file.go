package source

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"backupfs/lock"
)

// openLocked opens a file that the server replaces by renaming, and read-locks it: what is returned is locked and bears the
// name at the same time.
//
// cyrus: lib/lock_fcntl.c lock_reopen_ex
func openLocked(ctx context.Context, path string, timeout time.Duration) (*os.File, error) {
	deadline := time.Now().Add(timeout)
	for {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		if err := lock.Read(ctx, f, time.Until(deadline)); err != nil {
			_ = f.Close()
			return nil, err
		}
		same, err := bearsName(f)
		if err == nil && same {
			return f, nil
		}
		_ = f.Close()
		if err != nil {
			return nil, err
		}
	}
}

// bearsName reports whether the name by which f was opened still leads to it.
func bearsName(f *os.File) (bool, error) {
	opened, err := f.Stat()
	if err != nil {
		return false, err
	}
	named, err := os.Stat(f.Name())
	if err != nil {
		return false, err
	}
	return os.SameFile(opened, named), nil
}

// content reads an open file whole, into buf if it is large enough. stat is of that state as long as the file is locked.
func content(f *os.File, buf []byte) (File, *unix.Stat_t, error) {
	st := new(unix.Stat_t)
	if err := unix.Fstat(int(f.Fd()), st); err != nil {
		return File{}, nil, fmt.Errorf("%s: stat: %w", f.Name(), err)
	}
	if int64(cap(buf)) < st.Size {
		buf = make([]byte, st.Size)
	}
	b := buf[:st.Size]
	if n, err := f.ReadAt(b, 0); n < len(b) {
		return File{}, nil, fmt.Errorf("%s: %d bytes of %d: %w", f.Name(), n, len(b), err)
	}
	return File{Name: filepath.Base(f.Name()), Data: b, Mtime: int64(st.Mtim.Sec), Inode: st.Ino}, st, nil
}

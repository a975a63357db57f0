package lock

import (
	"context"
	"os"
	"time"
)

// OpenRead opens a file that the server replaces by renaming, and read-locks it: what is returned is locked and bears the
// name at the same time.
//
// cyrus: lib/lock_fcntl.c lock_reopen_ex
func OpenRead(ctx context.Context, path string, timeout time.Duration) (*os.File, error) {
	deadline := time.Now().Add(timeout)
	for {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		if err := Read(ctx, f, time.Until(deadline)); err != nil {
			_ = f.Close()
			return nil, err
		}
		same, err := BearsName(f)
		if err == nil && same {
			return f, nil
		}
		_ = f.Close()
		if err != nil {
			return nil, err
		}
	}
}

// BearsName reports whether the name by which f was opened still leads to it.
func BearsName(f *os.File) (bool, error) {
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

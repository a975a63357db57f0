package lock

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// ErrBusy: a lock could not be had in time.
var ErrBusy = errors.New("locked by another process")

// Pauses between two tries. A writer of Cyrus holds its locks for a few milliseconds and comes back at once, so that the
// gaps are short: the pauses begin well below that, and end where they cost nothing and still find a gap soon.
const (
	firstPause = 200 * time.Microsecond
	lastPause  = 10 * time.Millisecond
)

// Read polls for an OFD read lock on the whole of f until timeout or ctx ends. ErrBusy if it could not be had. It is tried
// at least once. Closing f gives it back.
func Read(ctx context.Context, f *os.File, timeout time.Duration) error {
	return poll(ctx, f, unix.F_RDLCK, timeout)
}

// Write is Read for a write lock. f must be open for writing.
func Write(ctx context.Context, f *os.File, timeout time.Duration) error {
	return poll(ctx, f, unix.F_WRLCK, timeout)
}

func poll(ctx context.Context, f *os.File, kind int16, timeout time.Duration) error {
	deadline := time.Now().Add(timeout)
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		if err := ctx.Err(); err != nil {
			return err
		}
		err := try(f, kind)
		if !errors.Is(err, ErrBusy) {
			return err
		}
		left := time.Until(deadline)
		if left <= 0 {
			return err
		}
		if err := Pause(ctx, min(pause, left)); err != nil {
			return err
		}
	}
}

// Pause sleeps, or returns the error of ctx if that ends first.
func Pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// try takes a lock (unix.F_RDLCK, unix.F_WRLCK) if that is possible now.
func try(f *os.File, kind int16) error {
	fl := unix.Flock_t{Type: kind, Whence: io.SeekStart}
	for {
		switch err := unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &fl); err {
		case nil:
			return nil
		case unix.EINTR:
		case unix.EAGAIN, unix.EACCES:
			return fmt.Errorf("%s: %w", f.Name(), ErrBusy)
		default:
			return fmt.Errorf("%s: lock: %w", f.Name(), err)
		}
	}
}

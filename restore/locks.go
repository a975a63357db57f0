package restore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"backupfs/cyrus"
	"backupfs/lock"
)

// lockTimeout is how long a mailbox's locks are asked for.
const lockTimeout = 30 * time.Second

// locks are what imapd holds for an APPEND or SETMETADATA.
type locks struct {
	index *os.File
	held  []*os.File // in their order
}

func (l *locks) release() {
	for _, f := range slices.Backward(l.held) {
		_ = f.Close()
	}
}

// lock takes the locks of lock/order.go for writers.
func (s *Spool) lock(ctx context.Context, paths cyrus.Paths) (*locks, error) {
	deadline := time.Now().Add(lockTimeout)
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		l := new(locks)
		err := s.tryLock(ctx, paths, l)
		if err == nil {
			return l, nil
		}
		l.release()
		if !errors.Is(err, lock.ErrBusy) || time.Now().After(deadline) {
			return nil, err
		}
		if err := lock.Pause(ctx, pause); err != nil {
			return nil, err
		}
	}
}

// tryLock waits for nothing. Its caller releases what it got, also with an error.
func (s *Spool) tryLock(ctx context.Context, paths cyrus.Paths, l *locks) error {
	users, err := s.userLocks()
	if err != nil {
		return err
	}
	for _, path := range users {
		f, err := lock.OpenWrite(path, s.owner)
		if err != nil {
			return err
		}
		l.held = append(l.held, f)
		if err := lock.Write(ctx, f, 0); err != nil {
			return err
		}
	}
	mailbox, err := lock.Open(paths.Lock, s.owner)
	if err != nil {
		return err
	}
	l.held = append(l.held, mailbox)
	if err := lock.Read(ctx, mailbox, 0); err != nil {
		return err
	}
	if l.index, err = os.OpenFile(paths.Index, os.O_RDWR, 0); err != nil {
		return err
	}
	l.held = append(l.held, l.index)
	if err := lock.Write(ctx, l.index, 0); err != nil {
		return err
	}
	// The clean-up after an expunge puts another file into its place.
	same, err := lock.BearsName(l.index)
	if err == nil && !same {
		err = fmt.Errorf("%s: %w", paths.Index, lock.ErrBusy)
	}
	return err
}

// userLocks are those of the user's that the server has used, or all names that it may use if it has used none yet.
func (s *Spool) userLocks() ([]string, error) {
	all, err := s.src.Config().UserLocks(s.user)
	if err != nil {
		return nil, err
	}
	used := slices.DeleteFunc(slices.Clone(all), func(path string) bool {
		_, err := os.Stat(path)
		return errors.Is(err, os.ErrNotExist)
	})
	if len(used) > 0 {
		return used, nil
	}
	return all, nil
}

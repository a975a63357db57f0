package restore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"backupfs/lock"
)

// lockTimeout is how long a mailbox's locks are asked for.
const lockTimeout = 30 * time.Second

// locks are what imapd holds for an APPEND.
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
func (p *livePlace) lock(ctx context.Context) (*locks, error) {
	deadline := time.Now().Add(lockTimeout)
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		l := new(locks)
		err := p.tryLock(ctx, l)
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
func (p *livePlace) tryLock(ctx context.Context, l *locks) error {
	users, err := p.userLocks()
	if err != nil {
		return err
	}
	for _, path := range users {
		f, err := lock.OpenWrite(path, p.spool.owner)
		if err != nil {
			return err
		}
		l.held = append(l.held, f)
		if err := lock.Write(ctx, f, 0); err != nil {
			return err
		}
	}
	mailbox, err := lock.Open(p.paths.Lock, p.spool.owner)
	if err != nil {
		return err
	}
	l.held = append(l.held, mailbox)
	if err := lock.Read(ctx, mailbox, 0); err != nil {
		return err
	}
	if l.index, err = os.OpenFile(p.paths.Index, os.O_RDWR, 0); err != nil {
		return err
	}
	l.held = append(l.held, l.index)
	if err := lock.Write(ctx, l.index, 0); err != nil {
		return err
	}
	// The clean-up after an expunge puts another file into its place.
	same, err := lock.BearsName(l.index)
	if err == nil && !same {
		err = fmt.Errorf("%s: %w", p.paths.Index, lock.ErrBusy)
	}
	return err
}

// userLocks are those of the user's that the server has used, or all names that it may use if it has used none yet.
func (p *livePlace) userLocks() ([]string, error) {
	all, err := p.spool.src.Config().UserLocks(p.spool.user)
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

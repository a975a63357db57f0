package schedule

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"backupfs/backup"
	"backupfs/index"
	"backupfs/internal/store"
	"backupfs/lock"
)

// busyPause is waited for a run that holds an archive.
const busyPause = 10 * time.Second

// Scrub reads a user's archive and says what is damaged. It holds up no run but where something is.
func (s Stores) Scrub(ctx context.Context, name string, progress func(done, total int64)) (damage []error, err error) {
	u, err := s.user(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	damaged, err := backup.Scrub(ctx, u, progress)
	if errors.Is(err, fs.ErrNotExist) {
		return gone(u), nil
	}
	if err != nil || !damaged {
		return nil, err
	}
	var report *backup.Report
	err = unlocked(ctx, func() (err error) {
		report, err = backup.Verify(ctx, u, nil)
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, f := range report.Damaged {
		damage = append(damage, fmt.Errorf("%s: %w", f.What(), f.Err))
	}
	if len(damage) == 0 {
		damage = report.Archive
	}
	return damage, nil
}

// gone is the damage of a user who has no archive, nil if no run of his was ever complete.
func gone(u store.User) []error {
	ix, err := index.OpenRead(u.Index())
	if err != nil {
		return nil // none is known
	}
	defer func() { _ = ix.Close() }()
	if status, err := ix.Status(); err == nil && status.Runs > 0 {
		return []error{fmt.Errorf("%w: the archive is gone", backup.ErrLost)}
	}
	return nil
}

// Repair repairs a user's archive.
func (s Stores) Repair(ctx context.Context, name string) (repaired *backup.Repaired, err error) {
	u, err := s.user(name)
	if err != nil {
		return nil, err
	}
	err = unlocked(ctx, func() (err error) {
		repaired, err = backup.Repair(ctx, u, backup.RepairOptions{Write: true})
		return err
	})
	return repaired, err
}

// Aside counts the damaged archives that repairs have left of a user.
func (s Stores) Aside(name string) (a backup.Aside) {
	if u, err := s.user(name); err == nil {
		a, _ = backup.Asides(u)
	}
	return a
}

// unlocked does what a run that goes on refuses, once it is over.
func unlocked(ctx context.Context, do func() error) error {
	for {
		err := do()
		if !errors.Is(err, lock.ErrBusy) {
			return err
		}
		if err := lock.Pause(ctx, busyPause); err != nil {
			return err
		}
	}
}

package main

import (
	"context"
	"errors"
	"time"

	"backupfs/internal/managed"
	"backupfs/schedule"
)

// supervise tells who started the daemon that it works, and how far it is, as long as the scheduler answers.
func (s *serving) supervise(ctx context.Context, manager *managed.Manager, scheduler *schedule.Scheduler) {
	tell := func(err error) {
		if err != nil {
			s.log.Warn("who started it cannot be told how it stands", "error", err)
		}
	}
	every, err := manager.Every()
	tell(err)
	tell(manager.Ready())
	ticks := time.NewTicker(every)
	defer ticks.Stop()
	for {
		asking, cancel := context.WithTimeout(ctx, every)
		r, err := scheduler.Report(asking)
		cancel()
		switch {
		case ctx.Err() != nil:
			tell(manager.Stopping())
			return
		case errors.Is(err, schedule.ErrLoading):
			tell(manager.Alive(err.Error()))
		case err == nil:
			tell(manager.Alive(summary(r)))
		}
		select {
		case <-ctx.Done():
		case <-ticks.C:
		}
	}
}

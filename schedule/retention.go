package schedule

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"backupfs/archive"
	"backupfs/backup"
	"backupfs/lock"
)

// Keep says which dates of a user are kept.
type Keep = backup.Keep

// DefaultKeep is fourteen days.
var DefaultKeep = backup.DefaultKeep

// Retention says which dates are kept, and when the others go. The zero Retention keeps all.
type Retention struct {
	Keep     Keep
	Location *time.Location // of days, weeks, months
	Live     float64        // an archive of which so much is needed, of 1, stays as it is
	AtOnce   int            // so many archives are compacted at a time

	// Deleted is for how long a folder that is gone keeps its last date, and after how long a user whom no list has any more is removed. Zero: folders
	// go with the dates that show them, and users stay.
	Deleted time.Duration
}

func (r Retention) String() string {
	if r.Live == 0 {
		return "all is kept"
	}
	text := fmt.Sprintf("%s by the days of %s, below %.0f %%", r.Keep, r.Location, 100*r.Live)
	if r.Deleted > 0 {
		text += fmt.Sprintf("; what is gone, for %.0f days", r.Deleted.Hours()/24)
	}
	return text
}

// Compaction is how an archive's turn to be compacted went.
type Compaction struct {
	User   string
	Result *backup.Compacted // Path is empty where it does not pay; nil if it failed
	Err    error
	Took   time.Duration
}

// compacting is whose archives are to be looked at, and how many are. The goroutine of Scheduler.Run owns it.
type compacting struct {
	queued []*row // users who had a backup since they were looked at, the one who had it first in front
	active int
}

// put queues a user, unless he is.
func (c *compacting) put(r *row) {
	if !r.toCompact {
		r.toCompact = true
		c.queued = append(c.queued, r)
	}
}

// take takes out the first user who is in no batch, nil if there is none. Who is in no list any more loses his turn.
func (c *compacting) take() *row {
	for i := 0; i < len(c.queued); {
		r := c.queued[i]
		if r.listed && r.running {
			i++
			continue
		}
		c.queued = slices.Delete(c.queued, i, i+1)
		if r.toCompact = false; r.listed {
			return r
		}
	}
	return nil
}

// compactNext begins to drop what archives need not keep, where that pays: while the window is open, no more at a time than AtOnce, since there need
// not be space for several new archives. It holds up no batch, only the user himself, who has no turn meanwhile. Whoever a window left over is the first
// when the next one opens, before he is in a batch: else those whose turns come early would always be before him.
func (s *Scheduler) compactNext(ctx context.Context, group *errgroup.Group) {
	retention := s.opts.Retention
	for s.compacting.active < retention.AtOnce && ctx.Err() == nil && !s.plan.until(s.clock.now()).IsZero() {
		r := s.compacting.take()
		if r == nil {
			return
		}
		s.queue.remove(r)
		r.running = true
		s.compacting.active++
		o, attrs, begun := Compaction{User: r.Name}, []any{"user", r.Name, "server", r.Server, "unit", r.Unit}, time.Now()
		group.Go(func() error {
			o.Result, o.Err = s.archives.Compact(ctx, o.User, retention)
			o.Took = time.Since(begun)
			s.told <- func() { s.compacted(ctx, r, o, attrs) }
			return nil
		})
	}
}

// compacted tells how a compaction went. What keeps it from being done is no failure of the backup, and seen in backupd status.
func (s *Scheduler) compacted(ctx context.Context, r *row, o Compaction, attrs []any) {
	s.compacting.active--
	if r.running = false; r.listed {
		s.enqueue(r)
	}
	if ctx.Err() != nil || errors.Is(o.Err, lock.ErrBusy) {
		return // it is made another day
	}
	switch res, err := o.Result, o.Err; {
	case err != nil:
		r.reason = "retention: " + err.Error()
		s.changed[r.Name] = r
		if errors.Is(err, archive.ErrDamaged) {
			s.log.Error("damage is found, and the archive is not compacted", append(attrs, "error", err)...)
		} else {
			s.log.Warn("the archive is not compacted", append(attrs, "error", err)...)
		}
	case res.Path != "":
		s.log.Info("compacted", append(attrs, "dates", len(res.Kept), "dropped", len(res.Dropped), "messages", res.Dead.Messages,
			"before", res.Before, "after", res.After)...)
	}
	if s.opts.Compacted != nil {
		s.opts.Compacted(o)
	}
}

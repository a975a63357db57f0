package schedule

import (
	"context"
	"errors"
	"fmt"
	"time"

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

// compact drops what a user's archive need not keep, if that pays: nil if he is not the one to be compacted now. No more are at a time than
// AtOnce, since there need not be space for several new archives; whose turn ends meanwhile has to wait for his next one.
func (w *worker) compact(ctx context.Context, t turn) (*backup.Compacted, error) {
	if w.retention.Live == 0 {
		return nil, nil
	}
	defer w.compacting.Add(-1)
	if w.compacting.Add(1) > int32(w.retention.AtOnce) {
		return nil, nil
	}
	res, err := w.archives.Compact(ctx, t.user.Name, w.retention)
	if ctx.Err() != nil || errors.Is(err, lock.ErrBusy) {
		return nil, nil // it is made another day
	}
	return res, err
}

// tellCompacted tells what a compaction did. What keeps it from being done is no failure of the backup, and seen in backupd status.
func (s *Scheduler) tellCompacted(r *row, o Outcome, attrs []any) {
	switch res, err := o.Compacted, o.NotCompacted; {
	case err != nil:
		r.reason = "retention: " + err.Error()
		if errors.Is(err, archive.ErrDamaged) {
			s.log.Error("damage is found, and the archive is not compacted", append(attrs, "error", err)...)
		} else {
			s.log.Warn("the archive is not compacted", append(attrs, "error", err)...)
		}
	case res != nil && res.Path != "":
		s.log.Info("compacted", append(attrs, "dates", len(res.Kept), "dropped", len(res.Dropped), "messages", res.Dead.Messages,
			"before", res.Before, "after", res.After)...)
	}
}

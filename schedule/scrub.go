package schedule

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"backupfs/backup"
)

// Scrub says how archives are read again in the background, to find damage while the server still has the mail.
type Scrub struct {
	Rate   int64         `json:"rate"`  // bytes a second; 0: not at all
	Every  time.Duration `json:"every"` // each archive at least so often
	Repair bool          `json:"repair"`
}

const (
	// damagedEvery is how soon an archive is looked at again that is damaged: perhaps it was repaired by hand. If one is repaired more
	// often than that, it is something that a repair does not mend.
	damagedEvery = 24 * time.Hour
	// scrubLook is how often it is looked for archives whose turn has come; by then there may be some hundred of 100,000.
	scrubLook = time.Hour
	// maxBurst is read without a pause.
	maxBurst = 1 << 20
)

// Scrubbed is how an archive was found.
type Scrubbed struct {
	User     string
	Bytes    int64            // that were read
	Damage   []error          // each thing that is damaged
	Repaired *backup.Repaired // nil if it was not
	Aside    backup.Aside
	Err      error // why it could not be read to the end, or be repaired
}

// scrubbing is which archives are read next, and whether one is. The goroutine of Scheduler.Run owns it.
type scrubbing struct {
	queued []*row // those whose turn has come, longest unread first
	active bool
	look   time.Time // when to look for others
	limit  *rate.Limiter
}

// configure begins anew with other settings.
func (s *scrubbing) configure(how Scrub) {
	s.queued, s.look = nil, time.Time{}
	s.limit = rate.NewLimiter(rate.Limit(how.Rate), int(min(how.Rate, maxBurst)))
}

// first has an archive read next that a run found damaged.
func (s *scrubbing) first(r *row) {
	s.queued = slices.Insert(slices.DeleteFunc(s.queued, func(o *row) bool { return o == r }), 0, r)
}

// scrubNext begins to read an archive if it is time, and returns when to look again, zero if something else happens before.
func (s *Scheduler) scrubNext(ctx context.Context, group *errgroup.Group) time.Time {
	how, now := s.opts.Scrub, s.clock.now()
	if how.Rate == 0 || s.scrubs.active || ctx.Err() != nil {
		return time.Time{}
	}
	if len(s.scrubs.queued) == 0 {
		if now.Before(s.scrubs.look) {
			return s.scrubs.look
		}
		s.queueScrubs(now)
	}
	if len(s.scrubs.queued) == 0 {
		return s.scrubs.look
	}
	r := s.scrubs.queued[0]
	s.scrubs.queued, s.scrubs.active = s.scrubs.queued[1:], true
	name, limit := r.Name, s.scrubs.limit
	group.Go(func() error {
		o := scrub(ctx, s.archives, limit, name)
		if len(o.Damage) > 0 && how.Repair {
			o.Repaired, o.Err = s.archives.Repair(ctx, name)
		}
		o.Aside = s.archives.Aside(name)
		s.told <- func() { s.scrubbed(ctx, r, now, o) }
		return nil
	})
	return time.Time{}
}

// queueScrubs queues all whose turn has come. As with runs, a quarter of the time is for all to get theirs.
func (s *Scheduler) queueScrubs(now time.Time) {
	every := s.opts.Scrub.Every
	for _, r := range s.rows {
		wait := every - every/4
		if r.damage != "" {
			wait = min(wait, damagedEvery)
		}
		if now.Sub(past(r.scrubbed, now)) >= wait {
			s.scrubs.queued = append(s.scrubs.queued, r)
		}
	}
	slices.SortFunc(s.scrubs.queued, func(a, b *row) int { return cmp.Or(a.scrubbed.Compare(b.scrubbed), cmp.Compare(a.Name, b.Name)) })
	s.scrubs.look = now.Add(min(scrubLook, every/8))
}

// scrub reads one archive, as fast as limit lets it.
func scrub(ctx context.Context, archives Archives, limit *rate.Limiter, user string) Scrubbed {
	o := Scrubbed{User: user}
	var size int64
	read := func(upTo int64) {
		for upTo > o.Bytes && ctx.Err() == nil {
			part := min(upTo-o.Bytes, int64(limit.Burst()))
			_ = limit.WaitN(ctx, int(part)) // it fails when ctx has ended, as does the reading
			o.Bytes += part
		}
	}
	o.Damage, o.Err = archives.Scrub(ctx, user, func(done, total int64) {
		size = total
		read(done)
	})
	if o.Err == nil {
		read(size)
	}
	return o
}

// scrubbed notes and tells how an archive was found.
func (s *Scheduler) scrubbed(ctx context.Context, r *row, began time.Time, o Scrubbed) {
	s.scrubs.active = false
	if ctx.Err() != nil && o.Err != nil {
		return // it is read again
	}
	if o.Bytes == 0 && len(o.Damage) == 0 && o.Err == nil {
		return // there is none yet
	}
	before := r.scrubbed
	r.scrubbed, r.damage, r.aside = began, "", o.Aside
	s.changed[r.Name] = r
	for i, err := range o.Damage {
		if i == named {
			s.log.Error("damaged", "user", r.Name, "more", len(o.Damage)-i)
			break
		}
		s.log.Error("damaged", "user", r.Name, "error", err)
	}
	switch {
	case o.Err != nil:
		s.log.Error("the archive cannot be read, or not be repaired", "user", r.Name, "error", o.Err)
		r.damage = o.Err.Error()
	case o.Repaired != nil:
		s.log.Warn("repaired; the next run stores again what the server still has", "user", r.Name, "lost", len(o.Repaired.Lost),
			"damaged archive", o.Repaired.Aside)
		if r.tries > 0 && began.Sub(past(before, began)) > damagedEvery {
			s.retry(r)
		}
	case len(o.Damage) == 1:
		r.damage = o.Damage[0].Error()
	case len(o.Damage) > 1:
		r.damage = fmt.Sprintf("%v (and %d more)", o.Damage[0], len(o.Damage)-1)
	}
	if s.opts.Scrubbed != nil {
		s.opts.Scrubbed(o)
	}
}

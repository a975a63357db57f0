package schedule

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"backupfs/archive"
	"backupfs/backup"
	"backupfs/internal/store"
	"backupfs/source"
)

// begin hands out batches as long as there may be more, and returns when there may be another if nothing else happens, zero for never.
func (s *Scheduler) begin(ctx, work context.Context, group *errgroup.Group) time.Time {
	for {
		now := s.clock.now()
		until := s.plan.until(now)
		if until.IsZero() {
			s.endRound("the window has closed")
			return s.plan.opening(now)
		}
		b, wake := s.queue.take(now)
		if b == nil {
			if s.queue.running == 0 && (wake.IsZero() || !wake.Before(s.plan.next(now))) {
				s.endRound("all had their turn")
			}
			return wake
		}
		s.beginRound(now)
		s.batches++
		turns := make([]turn, len(b.users))
		for i, r := range b.users {
			r.running = true
			turns[i] = turn{row: r, user: r.User, known: r.last}
		}
		b.begun = now
		w := &worker{s, b, s.batches, s.plan, until, s.opts.Connect}
		group.Go(func() error {
			w.run(ctx, work, turns)
			return nil
		})
	}
}

// beginRound tells that a round begins. By age there are none.
func (s *Scheduler) beginRound(now time.Time) {
	if s.round.begun.IsZero() && !s.plan.next(now).IsZero() {
		s.round = round{begun: now}
		s.log.Info("a round begins", "plan", s.plan.String())
	}
}

func (s *Scheduler) endRound(why string) {
	if r := s.round; !r.begun.IsZero() {
		s.log.Info("the round is over: "+why, "users", r.users, "failures", r.failures, "took", time.Since(r.begun).Round(time.Second))
		s.round = round{}
	}
}

// turn is a user's in a batch. What is in row belongs to the goroutine of Run.
type turn struct {
	row   *row
	user  User
	known time.Time // when his last run began, as far as is known
}

// worker is one batch while it is worked on. It uses nothing of Scheduler but archives, log and told.
type worker struct {
	*Scheduler
	batch   *batch
	number  int
	plan    Plan
	until   time.Time
	connect func(context.Context, string) (source.Source, error)
}

// run backs the users of a batch up, one by one. When ctx ends, or the window closes, those whose turn is still to come are given back;
// when work ends, also the one who is being backed up.
func (w *worker) run(ctx, work context.Context, turns []turn) {
	src, err := w.connect(ctx, w.batch.server.name)
	for err == nil && len(turns) > 0 && ctx.Err() == nil && w.clock.now().Before(w.until) {
		t := turns[0]
		o, last := w.backUp(work, src, t)
		if o.Err != nil && work.Err() != nil {
			break // abandoned
		}
		if o.Err != nil { // the user's, or the server's?
			_ = src.Close()
			if src, err = w.connect(ctx, w.batch.server.name); err != nil && errors.Is(o.Err, source.ErrLost) {
				break
			}
		}
		o.Aside = w.archives.Aside(t.user.Name)
		turns = turns[1:]
		if !o.Begun.IsZero() {
			w.log.Debug("had his turn", "user", t.user.Name, "server", t.user.Server, "unit", t.user.Unit, "batch", w.number,
				"begun", o.Begun, "took", o.Took, "done", o.Err == nil)
		}
		w.told <- func() { w.ended(t, last, o) }
	}
	if err == nil {
		_ = src.Close() // what it read is on disk
	}
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	w.told <- func() { w.back(w.batch, turns, err) }
}

// backUp backs one user up, unless his archive has a run that nobody here knew of. last is when the newest run of it began.
func (w *worker) backUp(ctx context.Context, src source.Source, t turn) (o Outcome, last time.Time) {
	o.User = t.user
	if last = w.archives.Last(ctx, t.user.Name); last.After(t.known) && w.plan.due(last).After(w.clock.now()) {
		return o, last
	}
	o.Begun = time.Now()
	o.Result, o.Err = w.archives.Backup(ctx, src, t.user.Name)
	o.Took = time.Since(o.Begun)
	if o.Err == nil {
		last = o.Result.Run.Clocked()
	}
	if o.Err == nil && o.Result.Nothing() {
		o.Err = fmt.Errorf("%s: no mailbox could be backed up: %w", t.user.Name, o.Result.Problems[0])
	}
	return o, last
}

// ended notes how a user's turn went, and queues him for the next.
func (s *Scheduler) ended(t turn, last time.Time, o Outcome) {
	now, r, err := s.clock.now(), t.row, o.Err
	if !last.IsZero() {
		r.last = last
	}
	r.running, r.aside = false, o.Aside
	s.changed[r.Name] = r
	s.round.users++
	attrs := []any{"user", r.Name, "server", t.user.Server, "unit", t.user.Unit}
	if err != nil {
		s.round.failures++
		damaged := errors.Is(err, archive.ErrDamaged)
		if damaged {
			s.scrubs.first(r)
		}
		forGood := damaged || errors.Is(err, source.ErrNoUser) || errors.Is(err, store.ErrName)
		r.fail(now, err, s.opts.Retries, forGood)
		if o.Again = r.tries <= s.opts.Retries; !o.Again {
			s.log.Error("failed", append(attrs, "tries", r.tries, "error", err)...)
		} else {
			s.log.Warn("failed, and is tried again", append(attrs, "in", pause(r.tries), "error", err)...)
		}
	} else {
		r.tries, r.tried, r.reason, r.ended = 0, time.Time{}, "", now
		s.tellResult(r, o.Result, attrs)
		if s.opts.Retention.Live > 0 {
			s.compacting.put(r)
		}
	}
	s.done(o, now)
	if r.listed {
		s.enqueue(r)
	}
}

// done counts a turn, and tells who wants to hear of it.
func (s *Scheduler) done(o Outcome, now time.Time) {
	s.count(o, now)
	if s.opts.Done != nil {
		s.opts.Done(o)
	}
}

// tellResult tells what is not as it should be with a run that was made.
func (s *Scheduler) tellResult(r *row, result *backup.Result, attrs []any) {
	if result == nil {
		return // somebody else's
	}
	for _, p := range result.Problems {
		s.log.Warn("not all was backed up", append(attrs, "error", p)...)
	}
	switch n := len(result.Problems); n {
	case 0:
	case 1:
		r.reason = result.Problems[0].Error()
	default:
		r.reason = fmt.Sprintf("%v (and %d more)", result.Problems[0], n-1)
	}
	if torn := result.Recovered.Torn; torn != "" {
		s.log.Warn("an earlier run did not finish; its bytes were moved", append(attrs, "to", torn)...)
	}
	if result.Reread > 0 {
		s.log.Info("the index lacked runs, and has them from the archive again", append(attrs, "runs", result.Reread)...)
	}
	if result.Index != nil {
		s.log.Warn("the run is complete, but its index is not", append(attrs, "error", result.Index)...)
	}
}

// back takes a batch back, with the users whose turn is still to come. err is that of the server.
func (s *Scheduler) back(b *batch, turns []turn, err error) {
	s.queue.end(b)
	for _, t := range turns {
		if t.row.running = false; t.row.listed {
			s.enqueue(t.row)
		}
	}
	srv, now := b.server, s.clock.now()
	if errors.Is(err, context.Canceled) {
		return // it was not the server's
	}
	if b.begun.After(srv.failed) { // else another batch has told it
		s.reached(srv, err, now)
	}
	if err != nil && s.opts.Once && srv.tries > s.opts.Retries {
		s.giveUp(srv, fmt.Errorf("server %s: %w", srv.name, err), now)
	}
}

// longestRest is how long a server that cannot be reached is left alone at most, as long as the round lasts.
const longestRest = 10 * time.Minute

// reached notes that a server could be reached, or could not. Then it rests, and its users stay due.
func (s *Scheduler) reached(srv *server, err error, now time.Time) {
	what := "server " + srv.name
	if err == nil {
		if srv.tries > s.opts.Retries {
			s.log.Info("the server can be reached again", "server", srv.name)
		}
		srv.tries = 0
		s.untrouble(what)
		return
	}
	srv.tries, srv.failed = srv.tries+1, now
	rest := min(pause(srv.tries), longestRest)
	srv.until = now.Add(rest)
	switch {
	case srv.tries <= s.opts.Retries:
		s.log.Warn("the server cannot be reached, and is tried again", "server", srv.name, "in", rest, "error", err)
		return
	case srv.tries == s.opts.Retries+1:
		s.log.Error("the server cannot be reached", "server", srv.name, "error", err)
	}
	s.trouble(what, err, now)
}

// giveUp ends the one round for all users of a server who are due.
func (s *Scheduler) giveUp(srv *server, why error, now time.Time) {
	for _, u := range s.queue.units {
		if u.server != srv {
			continue
		}
		for _, r := range u.take(now, len(u.queued)) {
			r.fail(now, why, s.opts.Retries, true)
			s.changed[r.Name] = r
			s.round.users++
			s.round.failures++
			s.done(Outcome{User: r.User, Err: fmt.Errorf("%s: %w", r.Name, why)}, now)
			s.enqueue(r)
		}
	}
}
